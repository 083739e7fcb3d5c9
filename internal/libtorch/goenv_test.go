package libtorch

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// clean takes CGO_… out of the environment, where newMachine has put empty ones: Go takes those for set.
func clean(t *testing.T) {
	for _, name := range flagVariables {
		require.NoError(t, os.Unsetenv(name)) // t.Setenv in newMachine restores them
	}
}

func TestPersist(t *testing.T) {
	m := newMachine(t)
	clean(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	ours := got.Flags(Compiler{Major: 12}).Values()

	changed, err := Persist(t.Context(), got)
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Contains(t, m.goEnvFile(), "CGO_CXXFLAGS="+ours["CGO_CXXFLAGS"]+"\n")
	assert.Contains(t, m.goEnvFile(), "CGO_LDFLAGS="+ours["CGO_LDFLAGS"]+"\n")
	s, err := readGoSettings(t.Context())
	require.NoError(t, err)
	assert.Equal(t, ours["CGO_CXXFLAGS"], s.CGO_CXXFLAGS, "Go reads what was written")

	changed, err = Persist(t.Context(), got)
	require.NoError(t, err)
	assert.False(t, changed, "a second time there is nothing to do")

	changed, err = Unpersist(t.Context(), m.root)
	require.NoError(t, err)
	assert.True(t, changed)
	assert.NotContains(t, m.goEnvFile(), "CGO_", "Go's own defaults are back")
	changed, err = Unpersist(t.Context(), m.root)
	require.NoError(t, err)
	assert.False(t, changed)
}

func TestPersistKeepsTheUsersFlags(t *testing.T) {
	const users = "CGO_CFLAGS=-O1\nCGO_CXXFLAGS=-O3 '-I/a b' -isystem /mine\nCGO_LDFLAGS=-L/mine\nGOFLAGS=-v\n"
	m := newMachine(t)
	clean(t)
	require.NoError(t, os.WriteFile(os.Getenv("GOENV"), []byte(users), 0o644))
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	_, err = Persist(t.Context(), got)
	require.NoError(t, err)
	assert.Contains(t, m.goEnvFile(), " -O3 '-I/a b' -isystem /mine\n")
	assert.Contains(t, m.goEnvFile(), "-lgomp -L/mine\n", "the user's come last, where they win")

	// The flags change: the old ones go, the user's stay.
	cfg := m.config()
	cfg.CUDA = true
	cuda, err := Install(t.Context(), cfg)
	require.NoError(t, err)
	_, err = Persist(t.Context(), cuda)
	require.NoError(t, err)
	assert.NotContains(t, m.goEnvFile(), "libtorch-2.11.0-cpu")
	assert.Contains(t, m.goEnvFile(), "-Wl,--no-as-needed -L/mine\n")

	// The record of what was written is lost: the paths still tell our flags from the user's.
	require.NoError(t, os.Remove(recordPath(m.root)))
	_, err = Persist(t.Context(), got)
	require.NoError(t, err)
	assert.NotContains(t, m.goEnvFile(), "libtorch-2.11.0-cuda")

	_, err = Unpersist(t.Context(), m.root)
	require.NoError(t, err)
	assert.Contains(t, m.goEnvFile(), "CGO_CFLAGS=-O1\n")
	assert.Contains(t, m.goEnvFile(), "GOFLAGS=-v\n")
	assert.Contains(t, m.goEnvFile(), "-isystem /mine\n")
	assert.NotContains(t, m.goEnvFile(), "libtorch-")
}

func TestPersistRefused(t *testing.T) {
	m := newMachine(t)
	clean(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	t.Run("broken quotes", func(t *testing.T) {
		require.NoError(t, os.WriteFile(os.Getenv("GOENV"), []byte("CGO_CXXFLAGS='-I/a\n"), 0o644))
		_, err := Persist(t.Context(), got)
		require.ErrorIs(t, err, ErrNoGo, "Go itself refuses to run with it")
		assert.ErrorContains(t, err, "unterminated")
	})
	t.Run("no configuration file", func(t *testing.T) {
		t.Setenv("GOENV", "off")
		_, err := Persist(t.Context(), got)
		require.ErrorIs(t, err, ErrNotPersisted)
		assert.ErrorContains(t, err, "unset GOENV")
	})
}

// What a shell makes of the exports is what Go should get, however often it is done.
func TestExports(t *testing.T) {
	m := newMachine(t)
	clean(t)
	cfg := m.config()
	cfg.Root = filepath.Join(t.TempDir(), "it's here")
	got, err := Install(t.Context(), cfg)
	require.NoError(t, err)
	ours := got.Flags(Compiler{Major: 12}).Values()
	t.Setenv("CGO_CXXFLAGS", "-DMINE")

	for range 2 {
		text, err := Exports(t.Context(), got, "sh")
		require.NoError(t, err)
		out, err := exec.Command("/bin/sh", "-c", text+`printf '%s\n%s\n' "$CGO_CXXFLAGS" "$CGO_LDFLAGS"`).Output()
		require.NoError(t, err)
		values := strings.Split(string(out), "\n")
		assert.Equal(t, ours["CGO_CXXFLAGS"]+" -DMINE", values[0])
		assert.Equal(t, ours["CGO_LDFLAGS"], values[1])
		t.Setenv("CGO_CXXFLAGS", values[0])
	}
	text, err := Exports(t.Context(), got, "json")
	require.NoError(t, err)
	var values map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &values))
	assert.Equal(t, ours["CGO_LDFLAGS"], values["CGO_LDFLAGS"])

	text, err = Exports(t.Context(), got, "fish")
	require.NoError(t, err)
	assert.Contains(t, text, `set -gx CGO_CXXFLAGS '-O2 -fopenmp -include "`)
	assert.Contains(t, text, `it\'s here`)
	text, err = Exports(t.Context(), got, "make")
	require.NoError(t, err)
	assert.Contains(t, text, "export CGO_LDFLAGS := \"-L")
	_, err = Exports(t.Context(), got, "csh")
	assert.EqualError(t, err, `shell "csh" is not known; want sh, fish, make or json`)
}

func TestFlagsAreSplitAsTheyWereJoined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9,/=_. '-]*`), rapid.StringMatching(`[a-z "	]*`))
		flags := rapid.SliceOf(word).Draw(t, "flags")
		got, err := splitFlags(joinFlags(flags))
		require.NoError(t, err)
		require.Equal(t, append([]string(nil), flags...), got)
	})
}

func FuzzSplitFlags(f *testing.F) {
	f.Add(`-O2 -I'/a b' "-L/c d"`)
	f.Fuzz(func(t *testing.T, s string) {
		flags, err := splitFlags(s)
		if err != nil || strings.ContainsAny(s, `'"`) {
			return // a word of quotes in the middle is taken literally, as Go does
		}
		again, err := splitFlags(joinFlags(flags))
		require.NoError(t, err)
		require.Equal(t, flags, again)
	})
}
