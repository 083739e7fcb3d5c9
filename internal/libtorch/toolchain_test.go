package libtorch

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCompiler(t *testing.T) {
	for _, tt := range []struct {
		name, script, cxx string
		want              string
		kind              error
		text              string
	}{
		{"g++ 9", `echo "#define __GNUC__ 9"`, "g++", "g++ 9", nil, ""},
		{"g++ 8", `echo "#define __GNUC__ 8"`, "g++", "", ErrOldCompiler, "g++ is g++ 8; libtorch's headers want g++ 9 or clang++ 9, or later"},
		{"clang++ 16", "echo '#define __GNUC__ 4'; echo '#define __clang_major__ 16'", "g++", "clang++ 16", nil, ""},
		{"clang++ 16, other order", "echo '#define __clang_major__ 16'; echo '#define __GNUC__ 4'", "g++", "clang++ 16", nil, ""},
		{"clang++ 8", `echo "#define __clang_major__ 8"`, "g++", "", ErrOldCompiler, "clang++ 8"},
		{"behind a wrapper", `[ "$1" = g++ ] && echo "#define __GNUC__ 12"`, "ccache g++", "g++ 12", nil, ""},
		{"absent", "", "g++-99", "", ErrNoCompiler, "Go would run g++-99, which is not there"},
		{"only C", `echo "cc1plus: not found" >&2; exit 1`, "g++", "", ErrNoCompiler, "cc1plus: not found"},
		{"not a compiler", `echo hello`, "g++", "", ErrOldCompiler, "g++ 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.script("g++", tt.script)
			m.script("ccache", tt.script)
			t.Setenv("CXX", tt.cxx)
			c, err := FindCompiler(t.Context())
			if tt.kind == nil {
				require.NoError(t, err)
				assert.Equal(t, tt.want, c.String())
				return
			}
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.text)
			assert.ErrorContains(t, err, "apt-get install g++")
			_, err = Install(t.Context(), m.config())
			assert.ErrorIs(t, err, tt.kind, "before anything is fetched")
			assert.Empty(t, m.downloads())
		})
	}
}

// clang's OpenMP would be a second runtime beside the one libtorch loads.
func TestNoOpenMPWithClang(t *testing.T) {
	m := newMachine(t)
	got, err := Install(t.Context(), m.config())
	require.NoError(t, err)
	flags := got.Flags(Compiler{Clang: true, Major: 16})
	assert.NotContains(t, flags.CXX, "-fopenmp")
	assert.NotContains(t, flags.LD, "-lgomp")
	m.script("g++", `echo "#define __clang_major__ 16"`)
	m.downloads()
	_, err = Install(t.Context(), m.config())
	require.NoError(t, err)
	assert.Empty(t, m.downloads(), "another compiler needs no other libtorch")
}

func TestGlibc(t *testing.T) {
	const no = "exit 1"
	for _, tt := range []struct {
		name, getconf, ldd string
		want               string
		text               string
	}{
		{"new", `echo "glibc 2.36"`, no, "2.36", ""},
		{"just enough", `echo "glibc 2.28"`, no, "2.28", ""},
		{"too old", `echo "glibc 2.17"`, no, "", "glibc is 2.17; this libtorch wants 2.28 or later"},
		{"without getconf", no, `echo "ldd (Debian GLIBC 2.36-9+deb12u1) 2.36"`, "2.36", ""},
		{"musl", no, `echo "musl libc (x86_64)" >&2; exit 1`, "", "no GNU C library (musl?)"},
		{"silent", "true", no, "unknown", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.script("getconf", tt.getconf)
			m.script("ldd", tt.ldd)
			got, err := checkGlibc(t.Context(), oldestGlibc)
			if tt.text == "" {
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
				return
			}
			require.ErrorIs(t, err, ErrGlibc)
			assert.ErrorContains(t, err, tt.text)
			_, err = Install(t.Context(), m.config())
			assert.ErrorIs(t, err, ErrGlibc)
			assert.Empty(t, m.downloads())
		})
	}
}

func TestPlatforms(t *testing.T) {
	assert.NoError(t, checkPlatform("linux", "amd64"))
	assert.NoError(t, checkPlatform("linux", "arm64"))
	for _, tt := range []struct{ os, arch, fix string }{
		{"linux", "386", "use linux/amd64"}, {"linux", "riscv64", "use linux/amd64"},
		{"darwin", "arm64", "Linux container"}, {"windows", "amd64", "wsl --install"}, {"freebsd", "amd64", "use linux/amd64"},
	} {
		err := checkPlatform(tt.os, tt.arch)
		require.ErrorIs(t, err, ErrPlatform)
		assert.ErrorContains(t, err, tt.os+"/"+tt.arch)
		assert.ErrorContains(t, err, tt.fix)
	}
}

func TestPins(t *testing.T) {
	for arch, wheels := range pinned {
		seen := map[string]bool{}
		for i, w := range wheels {
			assert.Equal(t, pinned["amd64"][i].Name, w.Name, arch)
			assert.Equal(t, pinned["amd64"][i].Version, w.Version, arch)
			assert.Equal(t, pinned["amd64"][i].CUDA, w.CUDA, arch)
			assert.Regexp(t, `^[0-9a-f]{64}$`, w.SHA256)
			assert.Positive(t, w.Size)
			assert.False(t, seen[w.SHA256], "%s of %s has another's hash", w.Name, arch)
			seen[w.SHA256] = true
		}
		assert.Contains(t, machines, arch)
		assert.Contains(t, machineTags, arch)
	}
}
