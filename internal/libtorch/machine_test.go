package libtorch

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// machine is a make-believe computer: a PATH of scripts that stand for g++, python3 with pip, and the C library's getconf, and
// an empty home. Only go is real.
type machine struct {
	t     *testing.T
	bin   string // the whole PATH
	root  string // where Install installs
	index string // the package index: <name>.whl
	calls string // a line for each download by pip
	pins  []wheel
	log   *syncBuffer
}

const fakeCompiler = `echo "#define __GNUC__ 12"`

// fakePython knows what the installer asks of python3: where torch is, pip's version, and a download.
const fakePython = `PATH=/usr/bin:/bin
if [ "$1" = -c ]; then echo "$FAKE_TORCH"; exit; fi
shift 2
if [ "$1" = --version ]; then echo "pip ${FAKE_PIP_VERSION:-24.0} from /somewhere (python 3.11)"; exit; fi
while [ $# -gt 0 ]; do
	case $1 in -r) list=$2 ;; -d) dir=$2 ;; esac
	shift
done
name=$(sed 's/==.*//' "$list")
echo "$name" >> "$FAKE_CALLS"
if [ "$name" = "$FAKE_HANG" ]; then
	mkdir -p "$dir/pip-unpack-x"; echo half > "$dir/pip-unpack-x/half.whl"
	echo > "$FAKE_CALLS.hanging"
	exec sleep 60
fi
if [ -n "$FAKE_LOG" ]; then printf '%s\n' "$FAKE_LOG" >&2; exit 1; fi
sleep "${FAKE_SLOW:-0}"
cp "$FAKE_INDEX/$name.whl" "$dir/$name-1-py3-none-any.whl"
`

// newMachine sets one up for GOARCH=amd64, whatever this test runs on.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, bin: filepath.Join(dir, "bin"), root: filepath.Join(dir, "data", "finetune"), index: filepath.Join(dir, "index"),
		calls: filepath.Join(dir, "calls"), log: &syncBuffer{}}
	require.NoError(t, os.MkdirAll(m.bin, 0o755))
	require.NoError(t, os.MkdirAll(m.index, 0o755))
	tool, err := goTool()
	require.NoError(t, err)
	// Go's telemetry would still be writing below home while the test cleans up.
	writeTree(t, filepath.Join(dir, ".config", "go", "telemetry"), map[string]string{"mode": "off 2026-01-01"})
	require.NoError(t, os.Symlink(tool, filepath.Join(m.bin, "go")))
	m.script("g++", fakeCompiler)
	m.script("python3", fakePython)
	m.script("getconf", `echo "glibc 2.36"`)
	for name, value := range map[string]string{
		"PATH": m.bin, "HOME": dir, "GOENV": filepath.Join(dir, "goenv"), "GOCACHE": filepath.Join(dir, "gocache"), "GOFLAGS": "", "CXX": "g++", "XDG_CONFIG_HOME": "",
		"CGO_CXXFLAGS": "", "CGO_LDFLAGS": "", "CGO_ENABLED": "", "LIBTORCH": "", "LIBTORCH_URL": "", "LIBTORCH_SHA256": "", "FINETUNE_LIBTORCH": "", "XDG_DATA_HOME": "",
		"FAKE_CALLS": m.calls, "FAKE_INDEX": m.index, "FAKE_TORCH": "", "FAKE_LOG": "", "FAKE_HANG": "", "FAKE_SLOW": "0", "FAKE_PIP_VERSION": "",
	} {
		t.Setenv(name, value)
	}
	m.publish("torch", false, wheelFiles(elfFile{}))
	m.publish("nvidia-cuda-runtime", false, map[string]string{
		"nvidia/cu13/lib/libcudart.so.13": "runtime", "nvidia/cu13/lib/libcudart_static.a": "big", "nvidia/cu13/include/cuda_runtime.h": "//"})
	m.publish("nvidia-cublas", true, map[string]string{"nvidia/cu13/lib/libcublas.so.13": "blas", "nvidia/cudnn/lib/libcudnn.so.9": "dnn"})
	return m
}

// script puts a command on the PATH.
func (m *machine) script(name, body string) {
	m.t.Helper()
	path := filepath.Join(m.bin, name)
	_ = os.Remove(path)
	require.NoError(m.t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755))
}

func (m *machine) remove(name string) { require.NoError(m.t, os.Remove(filepath.Join(m.bin, name))) }

// publish puts a wheel on the index and pins it.
func (m *machine) publish(name string, cuda bool, files map[string]string) {
	m.t.Helper()
	content := zipOf(m.t, files)
	require.NoError(m.t, os.WriteFile(filepath.Join(m.index, name+".whl"), content, 0o644))
	sum := sha256.Sum256(content)
	m.pins = append(m.pins, wheel{name, "1", hex.EncodeToString(sum[:]), int64(len(content)), cuda})
}

// config is what Install is given on this machine.
func (m *machine) config() Config {
	return Config{Root: m.root, Out: m.log, pins: m.pins, system: []place{}, arch: "amd64"}
}

// downloads lists the packages pip was asked for since the last call.
func (m *machine) downloads() []string {
	text, _ := os.ReadFile(m.calls)
	_ = os.Remove(m.calls)
	return strings.Fields(string(text))
}

// goEnvFile is the content of Go's own configuration file.
func (m *machine) goEnvFile() string {
	text, _ := os.ReadFile(os.Getenv("GOENV"))
	return string(text)
}

// wheelFiles is a torch package in small. lib says what libc10.so looks like.
func wheelFiles(lib elfFile) map[string]string {
	return map[string]string{
		"torch/__init__.py":                                      "raise SystemExit",
		"torch/include/ATen/ATen.h":                              "//",
		"torch/include/torch/headeronly/version.h":               versionHeader("2", "11", "0"),
		"torch/include/torch/csrc/api/include/torch/torch.h":     "//",
		"torch/lib/libc10.so":                                    lib.bytes(),
		"torch/lib/libtorch_cpu.so":                              elfFile{needed: []string{"libc10.so", "libgomp.so.1", "libcudart.so.13", "libc.so.6"}, rpath: "$ORIGIN/../../nvidia/cu13/lib:$ORIGIN", glibc: "GLIBC_2.28"}.bytes(),
		"torch/lib/libgomp.so.1":                                 "OpenMP",
		"torch/lib/libtorch.so":                                  "empty",
		"torch/lib/libtorch_cuda.so":                             "half the size",
		"torch/lib/libtorch_python.so":                           "Python",
		"torch/lib/libshm/readme":                                "no library",
		"torch-2.11.0.dist-info/licenses/LICENSE":                "licence",
		"torch-2.11.0.dist-info/METADATA":                        "Requires-Dist: …",
		"torch/share/cmake/Torch/TorchConfig.cmake":              "unused",
		"torch/include/torch/csrc/api/include/torch/data.h":      "//",
		"torch/test/never_unpacked.so":                           "test",
		"functorch/never_unpacked.py":                            "other package",
		"torch-2.11.0.data/purelib/torch/lib/never_unpacked.so.": "odd",
	}
}

func versionHeader(major, minor, patch string) string {
	return "#pragma once\n\n/// text\n#define TORCH_VERSION_MAJOR " + major + "\n#define TORCH_VERSION_MINOR " + minor + "\n#define TORCH_VERSION_PATCH " + patch + "\n"
}

// writeTree puts files below dir, as an unpacked libtorch lies there.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
}
