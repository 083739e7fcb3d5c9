package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/gofinetune/finetune/internal/libtorch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	t.Setenv("FINETUNE_LIBTORCH", root)
	stderr := os.Stderr
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	os.Stderr = null // usage and option errors are printed there too
	t.Cleanup(func() { os.Stderr = stderr; _ = null.Close() })
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "no command given"},
		{[]string{"instal"}, `command "instal" is not known`},
		{[]string{"install", "torch"}, `install: argument "torch" is not expected`},
		{[]string{"env", "--shel", "sh"}, "flag provided but not defined: -shel"},
		{[]string{"path"}, root + " holds no finished installation"},
		{[]string{"env"}, "to mend it: go run github.com/gofinetune/finetune/cmd/libtorch install"},
	} {
		assert.ErrorContains(t, run(t.Context(), tt.args), tt.want, tt.args)
	}
	assert.ErrorIs(t, run(t.Context(), []string{"env"}), libtorch.ErrNotInstalled)
	assert.ErrorIs(t, run(t.Context(), []string{"install", "-h"}), flag.ErrHelp)
	assert.NoError(t, run(t.Context(), []string{"uninstall"}))
	assert.NoError(t, run(t.Context(), []string{"help"}))
	assert.NoDirExists(t, root, "looking changes nothing")
}
