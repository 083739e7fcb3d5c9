package libtorch

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func find(t *testing.T, r Report, name string) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	require.Failf(t, "no such check", "%s in %+v", name, r.Checks)
	return Check{}
}

func TestDoctorOnAHealthyMachine(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the make-believe libtorch is for amd64")
	}
	m := newMachine(t)
	clean(t)
	t.Setenv("CGO_ENABLED", "1")
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	_, err = Persist(t.Context(), got)
	require.NoError(t, err)
	r, err := Doctor(t.Context(), m.root, false)
	require.NoError(t, err)
	assert.True(t, r.Passed, "%+v", r.Checks)
	assert.Contains(t, find(t, r, "installed").Found, "libtorch 2.11.0, from the package index, in "+got.Prefix())
	assert.Contains(t, find(t, r, "CGO_LDFLAGS").Found, "persisted in ")

	var table, text bytes.Buffer
	require.NoError(t, r.Write(&table))
	assert.Contains(t, table.String(), "ok    compiler      g++ 12 (g++)\n")
	assert.Contains(t, table.String(), "\nall well\n")
	require.NoError(t, r.WriteJSON(&text))
	var back Report
	require.NoError(t, json.Unmarshal(text.Bytes(), &back))
	assert.Equal(t, r, back)
}

// Each line that fails names the command that mends it.
func TestDoctorOnAnEmptyMachine(t *testing.T) {
	m := newMachine(t)
	clean(t)
	t.Setenv("CGO_ENABLED", "0")
	m.remove("g++")
	m.remove("python3")
	m.script("getconf", `echo "glibc 2.17"`)
	r, err := Doctor(t.Context(), m.root, true)
	require.NoError(t, err)
	assert.False(t, r.Passed)
	for name, fix := range map[string]string{
		"compiler": "apt-get install g++", "cgo": "unset CGO_ENABLED", "glibc": "newer distribution", "pip": "apt-get install python3-pip", "installed": Command + " install"} {
		c := find(t, r, name)
		assert.Equal(t, Fail, c.Verdict, name)
		assert.Contains(t, c.Fix, fix)
	}
	assert.Equal(t, OK, find(t, r, "go").Verdict)
	assert.Equal(t, OK, find(t, r, "disk").Verdict)
	var table bytes.Buffer
	require.NoError(t, r.Write(&table))
	assert.Contains(t, table.String(), "→ go run github.com/gofinetune/finetune/cmd/libtorch install\n")
	assert.Contains(t, table.String(), "5 of ")
}

func TestDoctorOnFlags(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the make-believe libtorch is for amd64")
	}
	m := newMachine(t)
	clean(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	examine := func() Check {
		r, err := Doctor(t.Context(), m.root, false)
		require.NoError(t, err)
		return find(t, r, "CGO_CXXFLAGS")
	}
	assert.Contains(t, examine().Fix, "env --persist")
	t.Setenv("CGO_CXXFLAGS", "-O3")
	assert.Contains(t, examine().Fix, `eval "$(`)
	_, err = Persist(t.Context(), got)
	require.NoError(t, err)
	c := examine()
	assert.Equal(t, "unset CGO_CXXFLAGS", c.Fix)
	assert.Contains(t, c.Found, "hide the persisted")
	t.Setenv("CGO_CXXFLAGS", got.Flags(Compiler{Major: 12}).Values()["CGO_CXXFLAGS"]+" -DMINE")
	assert.Equal(t, "in this environment", examine().Found)
}

func TestDoctorSeesChangedLibtorch(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the make-believe libtorch is for amd64")
	}
	m := newMachine(t)
	dir := t.TempDir()
	torchIn(t, dir, unchanged)
	t.Setenv("LIBTORCH", dir)
	_, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	writeTree(t, dir, map[string]string{"include/torch/headeronly/version.h": versionHeader("2", "12", "0")})
	r, err := Doctor(t.Context(), m.root, false)
	require.NoError(t, err)
	c := find(t, r, "libtorch")
	assert.Equal(t, Fail, c.Verdict)
	assert.Contains(t, c.Found, "it is version 2.12.0 now; it was 2.11.0")
}

func TestGPU(t *testing.T) {
	const version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:19:02 UTC 2025\nGCC version:  gcc version 12.2.0\n"
	const driver, device, library = "proc/driver/nvidia/version", "dev/nvidia0", "usr/lib/x86_64-linux-gnu/libcuda.so.1"
	for _, tt := range []struct {
		name  string
		files map[string]string
		text  string // "" means usable
	}{
		{"nothing", nil, "no NVIDIA driver is loaded"},
		{"all", map[string]string{driver: version, device: "", library: ""}, ""},
		{"no device", map[string]string{driver: version, library: ""}, "driver 580.65.06 is loaded but no device file"},
		{"no library", map[string]string{driver: version, device: ""}, "libcuda.so.1 is missing"},
		{"old", map[string]string{driver: "Kernel Module  535.104.05  Sat", device: "", library: ""}, "driver 535.104.05 is too old for CUDA 13; want 580 or later"},
		{"WSL", map[string]string{"dev/dxg": "", "usr/lib/wsl/lib/libcuda.so.1": ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			writeTree(t, root, tt.files)
			err := findGPU(root).problem()
			if tt.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrDriver)
			assert.ErrorContains(t, err, tt.text)
			assert.ErrorContains(t, err, "to mend it: ")
		})
	}
}

func TestBuild(t *testing.T) {
	m := newMachine(t)
	clean(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	require.NoError(t, Build(t.Context(), got, m.log))
	assert.Contains(t, m.log.String(), "gotch is not compiled now: no module here requires it")

	// A go command that compiles whatever it is told to, and counts.
	require.NoError(t, os.MkdirAll(os.Getenv("GOCACHE"), 0o755))
	tool, err := goTool()
	require.NoError(t, err)
	real, err := filepath.EvalSymlinks(tool)
	require.NoError(t, err)
	m.script("go", `case $1 in list) exit 0 ;; build) echo build >> "$FAKE_CALLS"; printf '%s\n' "$FAKE_LOG" >&2; [ -z "$FAKE_LOG" ] ;; *) exec `+real+` "$@" ;; esac`)
	m.downloads()
	for range 2 {
		require.NoError(t, Build(t.Context(), got, m.log))
	}
	assert.Equal(t, []string{"build"}, m.downloads(), "the second time it is known to be compiled")
	for log, kind := range map[string]error{
		"g++: fatal error: Killed signal terminated program cc1plus":    ErrNoMemory,
		"cc1plus: out of memory allocating 65536 bytes":                 ErrNoMemory,
		"/tmp/x.s: Fatal error: can't write: No space left on device":   ErrDiskFull,
		"torch_api.cpp:10:10: fatal error: torch/torch.h: No such file": ErrBuild,
	} {
		t.Setenv("FAKE_LOG", log)
		require.NoError(t, os.Remove(filepath.Join(got.Prefix(), "built.json")))
		err := Build(t.Context(), got, m.log)
		require.ErrorIs(t, err, kind)
		assert.ErrorContains(t, err, log)
		t.Setenv("FAKE_LOG", "")
		require.NoError(t, Build(t.Context(), got, m.log))
	}
}

func TestProgress(t *testing.T) {
	assert.Equal(t, "x  100 of 531 MB [###                 ]  19%  50 MB/s", line("x", 100e6, 531e6, 2e9))
	assert.Equal(t, "x  100 MB  50 MB/s", line("x", 100e6, 0, 2e9))
	b := &syncBuffer{}
	p := &progress{out: b, terminal: true}
	stop := p.watch("x", 10, func() int64 { return 99 })
	assert.Eventually(t, func() bool { return len(b.String()) > 20 }, 5e9, 1e7)
	stop()
	assert.Contains(t, b.String(), "100%")
	assert.True(t, len(b.String()) > 4 && b.String()[len(b.String())-4:] == "\r\x1b[K", "the line is cleared")
}
