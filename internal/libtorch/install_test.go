package libtorch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// below lists the files below dir.
func below(t *testing.T, dir string) []string {
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return names
}

func TestInstallFromIndex(t *testing.T) {
	m := newMachine(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, []string{"torch", "nvidia-cuda-runtime"}, m.downloads())
	assert.Equal(t, filepath.Join(m.root, "libtorch-2.11.0-cpu"), got.Prefix())
	assert.ElementsMatch(t, []string{
		"manifest.json", "include/gotch_compat_1.h",
		"torch/include/ATen/ATen.h", "torch/include/torch/headeronly/version.h", "torch/include/torch/csrc/api/include/torch/torch.h", "torch/include/torch/csrc/api/include/torch/data.h",
		"torch/lib/libc10.so", "torch/lib/libtorch_cpu.so", "torch/lib/libgomp.so.1", "nvidia/cu13/lib/libcudart.so.13", "torch-2.11.0.dist-info/licenses/LICENSE",
		"link/libgomp.so", "link/libtorch.a", "link/libcuda.a", "link/libcudart.a", "link/libcublas.a", "link/libcudnn.a", "link/libcaffe2_nvrtc.a", "link/libnvrtc-builtins.a",
		"link/libnvrtc.a", "link/libnvToolsExt.a", "link/libc10_cuda.a", "link/libtorch_cuda.a",
	}, below(t, got.Prefix()))
	openMP, err := filepath.EvalSymlinks(filepath.Join(got.Prefix(), "link", "libgomp.so"))
	require.NoError(t, err)
	assert.Equal(t, "libgomp.so.1", filepath.Base(openMP), "-lgomp means the runtime that libtorch loads")

	p := got.Prefix()
	assert.Equal(t, Flags{
		CXX: []string{"-O2", "-fopenmp", "-include", p + "/include/gotch_compat_1.h", "-isystem", p + "/torch/include", "-isystem", p + "/torch/include/torch/csrc/api/include"},
		LD: []string{"-L" + p + "/link", "-L" + p + "/torch/lib", "-L" + p + "/nvidia/cu13/lib", "-Wl,--disable-new-dtags",
			"-Wl,-rpath," + p + "/torch/lib", "-Wl,-rpath," + p + "/nvidia/cu13/lib", "-Wl,--as-needed", "-lgomp"},
	}, got.Flags(Compiler{Major: 12}))

	again, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, got.Prefix(), again.Prefix())
	assert.Equal(t, got.Flags(Compiler{}), again.Flags(Compiler{}), "the manifest survives the disk")
	assert.Empty(t, m.downloads(), "a second run does nothing")
}

func TestInstallForCUDA(t *testing.T) {
	m := newMachine(t)
	cfg := m.config()
	cfg.CUDA = true
	got, err := Install(t.Context(), cfg)
	require.NoError(t, err)
	assert.Equal(t, []string{"torch", "nvidia-cuda-runtime", "nvidia-cublas"}, m.downloads())
	files := below(t, got.Prefix())
	assert.Contains(t, files, "torch/lib/libtorch_cuda.so")
	assert.Contains(t, files, "nvidia/cu13/include/cuda_runtime.h")
	assert.NotContains(t, files, "nvidia/cu13/lib/libcudart_static.a")
	assert.NotContains(t, files, "link/libtorch_cuda.a", "gotch's -ltorch_cuda finds the real one")
	flags := got.Flags(Compiler{Major: 12})
	assert.Contains(t, flags.CXX, got.Prefix()+"/nvidia/cu13/include")
	assert.Contains(t, flags.LD, "-Wl,-rpath,"+got.Prefix()+"/nvidia/cudnn/lib")
	assert.Equal(t, "-Wl,--no-as-needed", flags.LD[len(flags.LD)-1])

	// The variants live side by side: going back to the CPU downloads its half once, then nothing.
	cpu, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	m.downloads()
	_, err = Install(t.Context(), cfg)
	require.NoError(t, err)
	back, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, cpu.Prefix(), back.Prefix())
	assert.Empty(t, m.downloads())
	current, err := Current(m.root)
	require.NoError(t, err)
	assert.Equal(t, cpu.Prefix(), current.Prefix())
}

func TestTwoInstallsAtOnce(t *testing.T) {
	m := newMachine(t)
	t.Setenv("FAKE_SLOW", "0.3")
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			_, err := Install(t.Context(), m.config())
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	assert.Equal(t, []string{"torch", "nvidia-cuda-runtime"}, m.downloads(), "one of them downloads")
	assert.Contains(t, m.log.String(), "another run is installing into "+m.root+": waiting")
	assert.Contains(t, m.log.String(), "meanwhile")
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	m := newMachine(t)
	unlock, err := lock(t.Context(), m.root, newProgress(m.log))
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = Install(ctx, m.config())
	assert.ErrorIs(t, err, ErrLocked)
}

func TestInterruptedInstallIsResumed(t *testing.T) {
	m := newMachine(t)
	t.Setenv("FAKE_HANG", "nvidia-cuda-runtime")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !exists(m.calls + ".hanging") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	_, err := Install(ctx, m.config())
	require.ErrorIs(t, err, context.Canceled)
	_, err = Current(m.root)
	require.ErrorIs(t, err, ErrNotInstalled, "nothing half done is taken for an installation")
	assert.Equal(t, []string{"torch", "nvidia-cuda-runtime"}, m.downloads())

	t.Setenv("FAKE_HANG", "")
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, []string{"nvidia-cuda-runtime"}, m.downloads(), "the finished wheel is not fetched again")
	left, err := os.ReadDir(got.Prefix())
	require.NoError(t, err)
	for _, e := range left {
		assert.False(t, strings.HasPrefix(e.Name(), "."), "%s is left over", e.Name())
	}
}

// A run that was killed between downloading and unpacking leaves a whole wheel, or half of one.
func TestLeftoversOfAKilledRun(t *testing.T) {
	m := newMachine(t)
	dir := partial(filepath.Join(m.root, "libtorch-2.11.0-cpu"))
	whole, err := os.ReadFile(filepath.Join(m.index, "torch.whl"))
	require.NoError(t, err)
	writeTree(t, dir, map[string]string{downloadFolder + "/torch-1-py3-none-any.whl": string(whole), unpackFolder + "/torch/lib/libc10.so": "half"})
	writeTree(t, m.root, map[string]string{".old-libtorch-2.10.0-cpu/x": "", ".partial-libtorch-2.10.0-cpu/x": "", ".tmp-123": ""})
	_, err = Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, []string{"nvidia-cuda-runtime"}, m.downloads())
	entries, err := os.ReadDir(m.root)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.ElementsMatch(t, []string{"current", "libtorch-2.11.0-cpu", "lock"}, names)

	require.NoError(t, os.RemoveAll(filepath.Join(m.root, "libtorch-2.11.0-cpu")))
	writeTree(t, dir, map[string]string{downloadFolder + "/torch-1-py3-none-any.whl": string(whole[:100])})
	_, err = Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Equal(t, []string{"torch", "nvidia-cuda-runtime"}, m.downloads(), "half a wheel is fetched again")
}

func TestDamagedInstallIsReplaced(t *testing.T) {
	for name, damage := range map[string]func(prefix string) error{
		"library gone":      func(p string) error { return os.Remove(p + "/torch/lib/libtorch_cpu.so") },
		"library truncated": func(p string) error { return os.Truncate(p+"/torch/lib/libtorch_cpu.so", 3) },
		"header gone":       func(p string) error { return os.Remove(p + "/" + compatName) },
		"manifest cut":      func(p string) error { return os.Truncate(p+"/manifest.json", 10) },
		"other format":      func(p string) error { return os.WriteFile(p+"/manifest.json", []byte(`{"format":99}`), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			got, err := Install(t.Context(), m.config())
			require.NoError(t, err)
			require.NoError(t, damage(got.Prefix()))
			_, err = Current(m.root)
			require.ErrorIs(t, err, ErrDamaged)
			assert.ErrorContains(t, err, Command+" install")
			_, err = Install(t.Context(), m.config())
			require.NoError(t, err)
			_, err = Current(m.root)
			require.NoError(t, err)
		})
	}
}

func TestWrongContentIsRefused(t *testing.T) {
	m := newMachine(t)
	m.pins[0].SHA256 = strings.Repeat("0", 64) // pip, here, does not look
	_, err := Install(t.Context(), m.config())
	require.ErrorIs(t, err, ErrHash)
	assert.ErrorContains(t, err, "; want 0000")
	_, err = Current(m.root)
	assert.ErrorIs(t, err, ErrNotInstalled)
}

func TestDiskTooSmall(t *testing.T) {
	m := newMachine(t)
	m.pins[0].Size = 1 << 60
	_, err := Install(t.Context(), m.config())
	require.ErrorIs(t, err, ErrDiskFull)
	assert.Regexp(t, `has \d+ MB free; installing takes \d+ MB`, err.Error())
	assert.ErrorContains(t, err, "FINETUNE_LIBTORCH=/bigger/disk")
	assert.Empty(t, m.downloads(), "before anything is fetched")
}

func TestWriteFailures(t *testing.T) {
	for cause, kind := range map[error]error{syscall.ENOSPC: ErrDiskFull, syscall.EDQUOT: ErrDiskFull, syscall.EACCES: ErrNotWritable, syscall.EROFS: ErrNotWritable} {
		err := diskProblem(&os.PathError{Op: "write", Path: "/x", Err: cause})
		assert.ErrorIs(t, err, kind)
		assert.ErrorIs(t, err, cause)
		assert.ErrorContains(t, err, "FINETUNE_LIBTORCH=")
		assert.Same(t, err, diskProblem(err), "explained once")
	}
	other := errors.New("other")
	assert.Same(t, other, diskProblem(other))
	assert.NoError(t, diskProblem(nil))
}

func TestRootFolder(t *testing.T) {
	newMachine(t)
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	for _, tt := range []struct{ own, data, want string }{
		{"", "", filepath.Join(home, ".local/share/finetune")},
		{"", "/data", "/data/finetune"},
		{"", "relative", filepath.Join(home, ".local/share/finetune")},
		{"/mine", "/data", "/mine"},
	} {
		t.Setenv("FINETUNE_LIBTORCH", tt.own)
		t.Setenv("XDG_DATA_HOME", tt.data)
		got, err := Root()
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
	for _, name := range []string{"/a,b", "/a\nb", `/a'b"c`} {
		assert.ErrorIs(t, checkRoot(name), ErrRoot)
	}
	assert.NoError(t, checkRoot("/a b/c'd"))
}

func TestUninstall(t *testing.T) {
	m := newMachine(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	_, err = Persist(t.Context(), got)
	require.NoError(t, err)
	writeTree(t, m.root, map[string]string{"libtorch-2.10.0-cpu/manifest.json": "{}"})
	require.NoError(t, Uninstall(t.Context(), m.root, false, m.log))
	assert.NoDirExists(t, got.Prefix())
	assert.DirExists(t, filepath.Join(m.root, "libtorch-2.10.0-cpu"))
	assert.NotContains(t, m.goEnvFile(), "CGO_")
	require.NoError(t, Uninstall(t.Context(), m.root, true, m.log))
	assert.Equal(t, []string{"lock"}, below(t, m.root))
	require.NoError(t, Uninstall(t.Context(), filepath.Join(m.root, "none"), true, m.log))
}
