//go:build unix

package safetensors

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModeFollowsTheUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
}

func TestOpenNeverWaitsAndNamesThePath(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, dir, filepath.Join(dir, "absent")} {
		_, err := Open(path)
		require.ErrorIs(t, err, Unreadable)
		assert.Contains(t, err.Error(), path)
	}
	_, err := Open(filepath.Join(dir, "absent"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestUnreadableNamesThePath(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	require.NoError(t, os.Chmod(path, 0))
	_, err := Open(path)
	require.ErrorIs(t, err, os.ErrPermission)
	assert.Contains(t, err.Error(), path)
}
