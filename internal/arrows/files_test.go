package arrows

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign are names that are true on one machine or for one user only: home folders of builders, and package indexes, which
// pip and Go know from the user's configuration. The patterns are written so that they do not match themselves.
var foreign = regexp.MustCompile(`(^|[^\w.~-])/(root|work|opt|home/\w+)/` + `|` +
	`\b(pypi\.org|files\.pythonhosted\.org|proxy\.golang\.org|sum\.golang\.org|goproxy\.\w+|download\.pytorch\.org)\b`)

// known are folders that every machine may have.
var known = strings.NewReplacer("/opt/libtorch/", "/usr/libtorch/")

func TestNoFileNamesAMachine(t *testing.T) {
	for _, path := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root(t), path))
		if os.IsNotExist(err) {
			continue // removed, but not yet from the index
		}
		require.NoError(t, err)
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			continue // not text
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := foreign.FindString(known.Replace(line)); found != "" {
				t.Errorf("%s:%d names %q, which other machines do not have", path, i+1, found)
			}
		}
	}
}

// Everybody who imports the module downloads its archive. Reference cases are not part of it: testdata is a module of its own.
func TestTheModuleArchiveIsSmall(t *testing.T) {
	const most = 4 << 20
	assert.FileExists(t, filepath.Join(root(t), "testdata", "go.mod"))
	var total int64
	for _, path := range tracked(t) {
		if info, err := os.Stat(filepath.Join(root(t), path)); err == nil {
			total += info.Size()
		}
	}
	assert.Less(t, total, int64(most), "bytes in the module's archive, before compression")
}

// tracked lists the files that git knows, but for the module in testdata.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--", ":!testdata")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Skip("not a git checkout:", err)
	}
	files := strings.Split(strings.Trim(string(out), "\x00"), "\x00")
	require.Greater(t, len(files), 10)
	return files
}
