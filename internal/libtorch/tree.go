package libtorch

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first minor version of libtorch 2 that gotch_compat.h is written for.
const oldest = 6

// Tree is one libtorch on disk, looked at and found usable.
type Tree struct {
	Version string   // "2.11.0"
	CUDA    bool     // libtorch_cuda.so lies beside libtorch_cpu.so
	Include []string // folders for the compiler
	LibDirs []string // folders for the linker and the loader; the first holds libtorch_cpu.so
	OpenMP  string   // the OpenMP runtime libtorch_cpu.so itself loads; a second one would mean a second pool of threads
	Missing []string // libraries libtorch_cpu.so names that are neither beside it nor part of every Linux system
	Glibc   [2]int   // the newest version of the C library whose symbols it refers to; 0.0 where it does not say
}

// place is where a libtorch's two halves may lie.
type place struct{ include, lib string }

// placesUnder are the layouts in use: a libtorch archive or the torch folder of a Python installation, and the folder above it.
func placesUnder(root string) []place {
	return []place{
		{filepath.Join(root, "include"), filepath.Join(root, "lib")},
		{filepath.Join(root, "torch", "include"), filepath.Join(root, "torch", "lib")},
		{filepath.Join(root, "libtorch", "include"), filepath.Join(root, "libtorch", "lib")},
	}
}

// inspectUnder inspects the first of root's layouts that holds libtorch_cpu.so.
func inspectUnder(root, arch string) (Tree, error) {
	for _, p := range placesUnder(root) {
		if exists(filepath.Join(p.lib, "libtorch_cpu.so")) {
			return inspect(p, arch)
		}
	}
	return Tree{}, &Problem{Kind: ErrNoLibtorch, Detail: fmt.Sprintf("%s holds neither lib/libtorch_cpu.so nor torch/lib/libtorch_cpu.so", root)}
}

// inspect reads version, architecture, ABI and neighbours of a libtorch without running any of it.
func inspect(p place, arch string) (Tree, error) {
	version, err := headerVersion(p.include)
	if err != nil {
		return Tree{}, err
	}
	if tooOld(version) {
		return Tree{}, &Problem{Kind: ErrOldLibtorch, Detail: fmt.Sprintf("%s is version %s; want 2.%d or later", p.lib, version, oldest)}
	}
	if err := checkC10(filepath.Join(p.lib, "libc10.so"), arch); err != nil {
		return Tree{}, err
	}
	t := Tree{
		Version: version,
		CUDA:    exists(filepath.Join(p.lib, "libtorch_cuda.so")),
		Include: []string{p.include, filepath.Join(p.include, "torch", "csrc", "api", "include")},
	}
	return t, t.readCPU(filepath.Join(p.lib, "libtorch_cpu.so"))
}

var versionMacro = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)`)

// headerVersion reads TORCH_VERSION_…, from either of the headers that have defined them.
func headerVersion(include string) (string, error) {
	found := map[string]string{}
	for _, name := range []string{"torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"} {
		text, err := os.ReadFile(filepath.Join(include, name))
		if err != nil {
			continue
		}
		for _, m := range versionMacro.FindAllSubmatch(text, -1) {
			found[string(m[1])] = string(m[2])
		}
	}
	if len(found) != 3 {
		return "", &Problem{Kind: ErrNoLibtorch, Detail: fmt.Sprintf("%s has no torch/version.h with TORCH_VERSION_MAJOR, _MINOR and _PATCH: the headers are missing", include)}
	}
	return found["MAJOR"] + "." + found["MINOR"] + "." + found["PATCH"], nil
}

// tooOld reports whether version, "major.minor.patch…", comes before 2.6.
func tooOld(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return true
	}
	return major < 2 || major == 2 && minor < oldest
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkC10 reads libc10.so, small beside libtorch_cpu.so and built with it, for the architecture and the C++ ABI.
func checkC10(path, arch string) error {
	f, err := elf.Open(path)
	if err != nil {
		return &Problem{Kind: ErrNoLibtorch, Detail: path + " cannot be read as a shared library", Err: err}
	}
	defer f.Close()
	if f.Machine != machines[arch] {
		return &Problem{Kind: ErrWrongArch, Detail: fmt.Sprintf("%s is built for %v; want %v (GOARCH=%s)", path, f.Machine, machines[arch], arch)}
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return &Problem{Kind: ErrNoLibtorch, Detail: path + " has no table of symbols", Err: err}
	}
	for _, s := range symbols {
		// std::string is std::__cxx11::basic_string in the ABI since GCC 5.
		if s.Section != elf.SHN_UNDEF && strings.HasPrefix(s.Name, "_ZN3c10") && strings.Contains(s.Name, "NSt7__cxx1112basic_string") {
			return nil
		}
	}
	return &Problem{Kind: ErrOldABI, Detail: path + " was built with _GLIBCXX_USE_CXX11_ABI=0; want 1, the compilers' default: the two do not link"}
}

// readCPU finds the folders in which libtorch_cpu.so finds the libraries it names, its own first, and what it needs of the system.
func (t *Tree) readCPU(cpu string) error {
	f, err := elf.Open(cpu)
	if err != nil {
		return &Problem{Kind: ErrNoLibtorch, Detail: cpu + " cannot be read as a shared library", Err: err}
	}
	defer f.Close()
	needed, _ := f.ImportedLibraries()
	own := filepath.Dir(cpu)
	t.LibDirs = []string{own}
	for _, dir := range append([]string{own}, searchPath(f, own)...) {
		for _, name := range needed {
			if !exists(filepath.Join(dir, name)) {
				continue
			}
			if !slices.Contains(t.LibDirs, dir) {
				t.LibDirs = append(t.LibDirs, dir)
			}
			if t.OpenMP == "" && hasPrefix(name, []string{"libgomp", "libiomp", "libomp"}) {
				t.OpenMP = filepath.Join(dir, name)
			}
		}
	}
	for _, name := range needed {
		beside := slices.ContainsFunc(t.LibDirs, func(dir string) bool { return exists(filepath.Join(dir, name)) })
		if !beside && !hasPrefix(name, everywhere) {
			t.Missing = append(t.Missing, name)
		}
	}
	t.Glibc = neededGlibc(f)
	return nil
}

// everywhere are the C and C++ runtimes, which a machine with a compiler has.
var everywhere = []string{"libc.so", "libm.so", "librt.so", "libdl.so", "libpthread.so", "libutil.so", "ld-linux", "libgcc_s.so", "libstdc++.so"}

// neededGlibc is the newest GLIBC_… version among those the library's symbols carry.
func neededGlibc(f *elf.File) (newest [2]int) {
	needs, _ := f.DynamicVersionNeeds()
	for _, n := range needs {
		for _, dep := range n.Needs {
			var v [2]int
			if n, _ := fmt.Sscanf(dep.Dep, "GLIBC_%d.%d", &v[0], &v[1]); n == 2 && slices.Compare(v[:], newest[:]) > 0 {
				newest = v
			}
		}
	}
	return newest
}

// searchPath is the library's own DT_RPATH or DT_RUNPATH with $ORIGIN filled in.
func searchPath(f *elf.File, origin string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, _ := f.DynString(tag)
		for _, dir := range strings.Split(strings.Join(values, ":"), ":") {
			dir = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
			if filepath.IsAbs(dir) && isDir(dir) {
				dirs = append(dirs, filepath.Clean(dir))
			}
		}
	}
	return dirs
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func isDir(path string) bool { info, err := os.Stat(path); return err == nil && info.IsDir() }

// sizeOf sums the sizes of the regular files below dir; what vanishes meanwhile counts nothing.
func sizeOf(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
