package libtorch

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// torchIn lays an unpacked libtorch out below dir: lib, include.
func torchIn(t *testing.T, dir string, change func(files map[string]string)) {
	files := wheelFiles(elfFile{})
	change(files)
	inside := map[string]string{}
	for name, content := range files {
		if rest, ok := strings.CutPrefix(name, "torch/"); ok {
			inside[rest] = content
		}
	}
	writeTree(t, dir, inside)
}

func unchanged(map[string]string) {}

func TestLIBTORCH(t *testing.T) {
	const version = "torch/include/torch/headeronly/version.h"
	for _, tt := range []struct {
		name   string
		cuda   bool
		change func(files map[string]string)
		kind   error
		text   string
	}{
		{"good", false, unchanged, nil, ""},
		{"good for CUDA", true, unchanged, nil, ""},
		{"2.6 with its version elsewhere", false, func(f map[string]string) {
			delete(f, version)
			f["torch/include/torch/csrc/api/include/torch/version.h"] = versionHeader("2", "6", "0")
		}, nil, ""},
		{"2.5", false, func(f map[string]string) { f[version] = versionHeader("2", "5", "0") }, ErrOldLibtorch, "is version 2.5.0; want 2.6 or later"},
		{"1.13", false, func(f map[string]string) { f[version] = versionHeader("1", "13", "0") }, ErrOldLibtorch, "1.13.0"},
		{"old ABI", false, func(f map[string]string) { f["torch/lib/libc10.so"] = elfFile{oldABI: true}.bytes() }, ErrOldABI, "the two do not link"},
		{"for arm64", false, func(f map[string]string) { f["torch/lib/libc10.so"] = elfFile{machine: elf.EM_AARCH64}.bytes() }, ErrWrongArch, "want EM_X86_64"},
		{"no headers", false, func(f map[string]string) { delete(f, version) }, ErrNoLibtorch, "the headers are missing"},
		{"no torch.h", false, func(f map[string]string) { delete(f, "torch/include/torch/csrc/api/include/torch/torch.h") }, ErrNoLibtorch, "torch.h"},
		{"empty", false, func(f map[string]string) { clear(f) }, ErrNoLibtorch, "holds neither"},
		{"without CUDA", true, func(f map[string]string) { delete(f, "torch/lib/libtorch_cuda.so") }, ErrNoCUDA, "has no libtorch_cuda.so"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			dir := t.TempDir()
			torchIn(t, dir, tt.change)
			t.Setenv("LIBTORCH", dir)
			cfg := m.config()
			cfg.CUDA = tt.cuda
			got, err := Install(t.Context(), cfg)
			assert.Empty(t, m.downloads(), "who names one means it: no other is fetched in its place")
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
				assert.ErrorContains(t, err, tt.text)
				assert.ErrorContains(t, err, "to mend it: ")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, dir, got.Origin)
			assert.Contains(t, got.Flags(Compiler{Major: 12}).LD, "-Wl,-rpath,"+dir+"/lib")
			assert.NoDirExists(t, filepath.Join(got.Prefix(), "torch"), "nothing is copied")
			link, err := os.Readlink(filepath.Join(got.Prefix(), "link", "libgomp.so"))
			require.NoError(t, err)
			assert.Equal(t, filepath.Join(dir, "lib", "libgomp.so.1"), link)
		})
	}
}

// A libtorch outside the prefix may change under it; Go's build cache would not notice, so the prefix's name must.
func TestLibtorchReplacedInPlace(t *testing.T) {
	m := newMachine(t)
	dir := t.TempDir()
	torchIn(t, dir, unchanged)
	t.Setenv("LIBTORCH", dir)
	first, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	writeTree(t, dir, map[string]string{"include/torch/headeronly/version.h": versionHeader("2", "12", "0")})
	second, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.NotEqual(t, first.Flags(Compiler{}), second.Flags(Compiler{}))
	assert.Contains(t, second.Prefix(), "2.12.0")
}

func TestPythonAndSystem(t *testing.T) {
	old := func(f map[string]string) {
		f["torch/include/torch/headeronly/version.h"] = versionHeader("2", "4", "0")
	}
	setUp := func(t *testing.T, python, system func(map[string]string)) (*machine, Config) {
		m := newMachine(t)
		cfg := m.config()
		if python != nil {
			dir := filepath.Join(t.TempDir(), "site-packages", "torch")
			torchIn(t, dir, python)
			t.Setenv("FAKE_TORCH", dir)
		}
		if system != nil {
			dir := t.TempDir()
			torchIn(t, dir, system)
			cfg.system = []place{{"/does/not", "/exist"}, {filepath.Join(dir, "include"), filepath.Join(dir, "lib")}}
		}
		return m, cfg
	}
	for _, tt := range []struct {
		name           string
		python, system func(map[string]string)
		download       bool
		want           string
		says           string
	}{
		{"Python's first", unchanged, unchanged, false, FromPython, "using libtorch 2.11.0 of "},
		{"Python's too old", old, unchanged, false, FromSystem, "passing over the torch package of python3: libtorch too old"},
		{"both too old", old, old, false, FromIndex, "passing over the system's libtorch"},
		{"neither wanted", unchanged, unchanged, true, FromIndex, "downloading"},
		{"neither there", nil, nil, false, FromIndex, "downloading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, cfg := setUp(t, tt.python, tt.system)
			cfg.Download = tt.download
			got, err := Install(t.Context(), cfg)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.Source)
			assert.Contains(t, m.log.String(), tt.says)
			assert.Equal(t, tt.want == FromIndex, len(m.downloads()) > 0)
		})
	}
	t.Run("no CUDA part", func(t *testing.T) {
		m, cfg := setUp(t, func(f map[string]string) { delete(f, "torch/lib/libtorch_cuda.so") }, nil)
		cfg.CUDA = true
		got, err := Install(t.Context(), cfg)
		require.NoError(t, err)
		assert.Equal(t, FromIndex, got.Source)
		assert.Contains(t, m.log.String(), "it has no CUDA part")
	})
	t.Run("own prefix before both", func(t *testing.T) {
		m, cfg := setUp(t, nil, nil)
		_, err := Install(t.Context(), cfg)
		require.NoError(t, err)
		dir := t.TempDir()
		torchIn(t, dir, unchanged)
		t.Setenv("FAKE_TORCH", dir)
		m.downloads()
		got, err := Install(t.Context(), cfg)
		require.NoError(t, err)
		assert.Equal(t, FromIndex, got.Source)
		assert.Empty(t, m.downloads())
	})
}

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{"2.6.0": false, "2.11.0": false, "3.0.0": false, "2.5.1": true, "1.13.1": true, "0.4": true, "": true, "2": true, "x.y": true} {
		assert.Equal(t, want, tooOld(version), version)
	}
}
