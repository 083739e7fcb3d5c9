package libtorch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// syncBuffer takes the progress of two runs at once.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func sortedKeys(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// zipOf packs files; a content of "→x" is a symbolic link to x.
func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		content := files[name]
		if target, ok := strings.CutPrefix(content, "→"); ok {
			h.SetMode(fs.ModeSymlink | 0o777)
			content = target
		}
		w, err := z.CreateHeader(h)
		require.NoError(t, err)
		_, err = w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func tarOf(t testing.TB, files map[string]string, zipped bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		content := files[name]
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if target, ok := strings.CutPrefix(content, "→"); ok {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeSymlink, target, 0, ""
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	if !zipped {
		return b.Bytes()
	}
	var g bytes.Buffer
	gz := gzip.NewWriter(&g)
	_, err := gz.Write(b.Bytes())
	require.NoError(t, err)
	require.NoError(t, gz.Close())
	return g.Bytes()
}

// archiveFiles is a libtorch archive in small, as its makers pack it: everything below libtorch/.
func archiveFiles() map[string]string {
	files := map[string]string{}
	for name, content := range wheelFiles(elfFile{}) {
		if rest, ok := strings.CutPrefix(name, "torch/"); ok {
			files["libtorch/"+rest] = content
		}
	}
	files["libtorch/lib/libgomp.so"] = "→libgomp.so.1"
	files["libtorch/lib/libcudart.so.13"] = "runtime"
	return files
}

// selfContained adds to a wheel what it takes from another.
func selfContained(files map[string]string) map[string]string {
	files["torch/lib/libcudart.so.13"] = "runtime"
	return files
}

func TestInstallFromFolderOfWheels(t *testing.T) {
	m := newMachine(t)
	m.remove("python3")
	cfg := m.config()
	cfg.From = m.index
	got, err := Install(t.Context(), cfg)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(got.Prefix(), "nvidia/cu13/lib/libcudart.so.13"))
	assert.Contains(t, m.log.String(), "unpacking torch.whl: the pinned torch 1")
	assert.Len(t, got.Wheels, 3)

	require.NoError(t, os.Remove(filepath.Join(m.index, "nvidia-cuda-runtime.whl")))
	cfg.Root += "2"
	_, err = Install(t.Context(), cfg)
	require.ErrorIs(t, err, ErrNoLibtorch)
	assert.ErrorContains(t, err, "libtorch_cpu.so needs libcudart.so.13, which did not come with it")
	assert.ErrorContains(t, err, "nvidia-cuda-runtime")

	cfg.From = t.TempDir()
	_, err = Install(t.Context(), cfg)
	require.ErrorIs(t, err, ErrArchive)
	assert.ErrorContains(t, err, "holds no wheel")
}

func TestInstallFromArchive(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content []byte
	}{
		{"libtorch.zip", zipOf(t, archiveFiles())},
		{"libtorch.tar.gz", tarOf(t, archiveFiles(), true)},
		{"libtorch.tar", tarOf(t, archiveFiles(), false)},
		{"torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl", zipOf(t, selfContained(wheelFiles(elfFile{})))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.remove("python3") // no pip
			archive := filepath.Join(t.TempDir(), tt.name)
			require.NoError(t, os.WriteFile(archive, tt.content, 0o644))
			cfg := m.config()
			cfg.From = archive
			got, err := Install(t.Context(), cfg)
			require.NoError(t, err)
			assert.Equal(t, "2.11.0", got.Version)
			assert.Equal(t, FromFile, got.Source)
			assert.FileExists(t, filepath.Join(got.path(got.LibDirs[0]), "libtorch_cpu.so"))
			assert.NoFileExists(t, filepath.Join(got.path(got.LibDirs[0]), "libtorch_cuda.so"))
			assert.FileExists(t, archive, "the user's file stays")

			before := m.log.String()
			again, err := Install(t.Context(), cfg)
			require.NoError(t, err)
			assert.Equal(t, got.Prefix(), again.Prefix())
			assert.NotContains(t, m.log.String()[len(before):], "unpacking")
		})
	}
}

func TestInstallFromURL(t *testing.T) {
	content := zipOf(t, archiveFiles())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/libtorch.zip" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write(content)
	}))
	defer server.Close()

	t.Run("LIBTORCH_URL", func(t *testing.T) {
		m := newMachine(t)
		t.Setenv("LIBTORCH_URL", strings.Replace(server.URL, "://", "://me:secret@", 1)+"/libtorch.zip")
		got, err := Install(t.Context(), m.config())
		require.NoError(t, err)
		assert.Equal(t, FromFile, got.Source)
		assert.NotContains(t, m.log.String()+got.Origin, "secret")
		assert.Empty(t, m.downloads(), "pip is not asked")
	})
	t.Run("hash", func(t *testing.T) {
		m := newMachine(t)
		cfg := m.config()
		cfg.From, cfg.SHA256 = server.URL+"/libtorch.zip", strings.Repeat("0", 64)
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrHash)
		assert.NoDirExists(t, filepath.Join(m.root, "libtorch-2.11.0-cpu-file"))
	})
	t.Run("refused", func(t *testing.T) {
		m := newMachine(t)
		cfg := m.config()
		cfg.From = server.URL + "/other.zip"
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrRefused)
		assert.ErrorContains(t, err, "403 Forbidden")
	})
	t.Run("nobody listens", func(t *testing.T) {
		m := newMachine(t)
		cfg := m.config()
		cfg.From = "http://127.0.0.1:1/libtorch.zip"
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrNoNetwork)
	})
	t.Run("unknown certificate", func(t *testing.T) {
		m := newMachine(t)
		secure := httptest.NewUnstartedServer(http.NotFoundHandler())
		secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it will complain about the handshake
		secure.StartTLS()
		defer secure.Close()
		cfg := m.config()
		cfg.From = secure.URL + "/libtorch.zip"
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrCertificate)
	})
	t.Run("other scheme", func(t *testing.T) {
		m := newMachine(t)
		cfg := m.config()
		cfg.From = "ftp://example.com/libtorch.zip"
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrArchive)
		assert.ErrorContains(t, err, `"ftp"`)
	})
	t.Run("cut short", func(t *testing.T) {
		m := newMachine(t)
		short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(content[:100])
		}))
		defer short.Close()
		cfg := m.config()
		cfg.From = short.URL
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrNoNetwork)
	})
}

func TestBadArchives(t *testing.T) {
	whole := zipOf(t, archiveFiles())
	with := func(name, content string) []byte {
		files := archiveFiles()
		files[name] = content
		return zipOf(t, files)
	}
	withTar := func(name, content string) []byte {
		files := archiveFiles()
		files[name] = content
		return tarOf(t, files, true)
	}
	for _, tt := range []struct {
		name    string
		content []byte
		kind    error
		text    string
	}{
		{"member outside", with("torch/include/../../../evil.h", "x"), ErrArchive, "would be written outside"},
		{"member outside tar", withTar("torch/include/../../../evil.h", "x"), ErrArchive, "would be written outside"},
		{"link outside", with("libtorch/lib/libevil.so", "→../../../etc/passwd"), ErrArchive, "outside its own folder"},
		{"link outside tar", withTar("libtorch/lib/libevil.so", "→/etc/passwd"), ErrArchive, "outside its own folder"},
		{"cut short", whole[:len(whole)/2], ErrArchive, "damaged or cut short"},
		{"a proxy's page", []byte("<html><body>403</body></html>"), ErrArchive, "neither zip (wheel), tar nor tar.gz"},
		{"empty", nil, ErrArchive, "neither zip (wheel), tar nor tar.gz"},
		{"something else", zipOf(t, map[string]string{"numpy/__init__.py": ""}), ErrNoLibtorch, "holds neither lib/libtorch_cpu.so"},
		{"too old", with("libtorch/include/torch/headeronly/version.h", versionHeader("2", "5", "1")), ErrOldLibtorch, "is version 2.5.1; want 2.6 or later"},
		{"no headers", with("libtorch/include/torch/headeronly/version.h", ""), ErrNoLibtorch, "the headers are missing"},
		{"old ABI", with("libtorch/lib/libc10.so", elfFile{oldABI: true}.bytes()), ErrOldABI, "_GLIBCXX_USE_CXX11_ABI=0; want 1"},
		{"other architecture", with("libtorch/lib/libc10.so", elfFile{machine: 183}.bytes()), ErrWrongArch, "EM_AARCH64"},
		{"newer C library", with("libtorch/lib/libtorch_cpu.so", elfFile{glibc: "GLIBC_2.99"}.bytes()), ErrGlibc, "glibc is 2.36; this libtorch wants 2.99 or later"},
		{"no library", with("libtorch/lib/libc10.so", "text"), ErrNoLibtorch, "cannot be read as a shared library"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			cfg := m.config()
			cfg.From = filepath.Join(t.TempDir(), "archive")
			require.NoError(t, os.WriteFile(cfg.From, tt.content, 0o644))
			_, err := Install(t.Context(), cfg)
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.text)
			assert.ErrorContains(t, err, "to mend it: ")
			_, err = Current(m.root)
			assert.ErrorIs(t, err, ErrNotInstalled)
			evil, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(m.root)), "*", "evil.h"))
			assert.Empty(t, evil)
		})
	}
	t.Run("no such file", func(t *testing.T) {
		m := newMachine(t)
		cfg := m.config()
		cfg.From = "/does/not/exist.zip"
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrArchive)
	})
	t.Run("no CUDA in it", func(t *testing.T) {
		m := newMachine(t)
		files := archiveFiles()
		delete(files, "libtorch/lib/libtorch_cuda.so")
		cfg := m.config()
		cfg.CUDA, cfg.From = true, filepath.Join(t.TempDir(), "archive")
		require.NoError(t, os.WriteFile(cfg.From, zipOf(t, files), 0o644))
		_, err := Install(t.Context(), cfg)
		require.ErrorIs(t, err, ErrNoCUDA)
	})
}

func TestUnpackEndsWithItsContext(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "a.zip")
	require.NoError(t, os.WriteFile(archive, zipOf(t, archiveFiles()), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := unpack(ctx, archive, t.TempDir(), selection(false), newProgress(&syncBuffer{}))
	assert.ErrorIs(t, err, context.Canceled)
}

// Whatever an archive holds, nothing is written outside the folder, and nothing in it links out. Fuzz it with
// -fuzzminimizetime=10x: the progress goroutine makes coverage vary, which go's fuzzer else spends its time on.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, archiveFiles()))
	f.Add(tarOf(f, archiveFiles(), true))
	f.Add(tarOf(f, map[string]string{"libtorch/lib/a.so": "→../x", "torch/include/../../y": "z"}, false))
	f.Fuzz(func(t *testing.T, content []byte) {
		outer := t.TempDir()
		archive, dir := filepath.Join(outer, "archive"), filepath.Join(outer, "in", "dir")
		require.NoError(t, os.WriteFile(archive, content, 0o644))
		_ = unpack(t.Context(), archive, dir, func(string) bool { return true }, newProgress(&syncBuffer{}))
		_ = filepath.WalkDir(outer, func(path string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			if !d.IsDir() && path != archive {
				require.True(t, strings.HasPrefix(path, dir+"/"), path)
			}
			if d.Type()&fs.ModeSymlink != 0 {
				target, err := os.Readlink(path)
				require.NoError(t, err)
				require.Equal(t, filepath.Base(target), target)
			}
			return nil
		})
	})
}
