// Package downstream tests the module from outside: a module that requires it builds, and fine-tunes.
package downstream

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const manifest = `module example.com/downstream

go %s

require github.com/gofinetune/finetune v0.0.0

replace github.com/gofinetune/finetune => %s
`

func TestAModuleThatRequiresThisOneFineTunes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and links another module; not with -short")
	}
	_, here, _, _ := runtime.Caller(0)
	here = filepath.Dir(here)
	root := filepath.Join(here, "..", "..")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(manifest, goVersion(t, root), root))
	copyFile(t, filepath.Join(root, "go.sum"), filepath.Join(dir, "go.sum"))
	copyFile(t, filepath.Join(here, "testdata", "module", "finetune_test.go.txt"), filepath.Join(dir, "finetune_test.go"))

	cmd := exec.Command("go", "test", "-v", "-count=1", ".")
	cmd.Dir = dir
	// What it needs is in the module cache, since this test was built: nothing is downloaded. The requirements it lacks are
	// added to its go.mod, as go get would.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "--- PASS: TestFineTuneTwoLayersWithLoRA")
	t.Logf("%s", out)
}

// goVersion is what this module's go.mod asks for.
func goVersion(t *testing.T, root string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if version, ok := strings.CutPrefix(line, "go "); ok {
			return strings.TrimSpace(version)
		}
	}
	t.Fatal("go.mod names no version of Go")
	return ""
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	write(t, to, string(text))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
}
