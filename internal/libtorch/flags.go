package libtorch

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed gotch_compat.h
var compatHeader []byte

// compatName holds a number because Go's build cache does not see a changed header: raise it with every change of the header.
const compatName = "include/gotch_compat_1.h"

// gotchLibraries are the libraries gotch's own link line names.
var gotchLibraries = []string{"torch", "c10", "torch_cpu", "cuda", "cudart", "cublas", "cudnn", "caffe2_nvrtc", "nvrtc-builtins",
	"nvrtc", "nvToolsExt", "c10_cuda", "torch_cuda"}

// emptyArchive is what `ar rc libX.a` writes: the magic string and no member.
const emptyArchive = "!<arch>\n"

// Flags are the two variables that Go hands to the C++ compiler and the linker.
type Flags struct {
	CXX []string // CGO_CXXFLAGS
	LD  []string // CGO_LDFLAGS
}

// Flags derives the flags from the manifest and the kind of compiler alone, so that they are the same in every run.
func (m *Manifest) Flags(c Compiler) Flags {
	// clang's OpenMP would be a second runtime beside the one libtorch loads.
	threads := m.OpenMP != "" && !c.Clang
	var f Flags
	f.CXX = []string{"-O2"} // setting the variable replaces Go's default of -O2 -g
	if threads {
		f.CXX = append(f.CXX, "-fopenmp") // at::parallel_for is serial without it
	}
	f.CXX = append(f.CXX, "-include", m.path(compatName))
	for _, dir := range m.paths(m.Include) {
		if dir != "/usr/include" && dir != "/usr/local/include" { // searched anyway, and naming them breaks #include_next
			f.CXX = append(f.CXX, "-isystem", dir)
		}
	}
	// link comes first: its empty archives stand in front of whatever libraries of those names the machine may have.
	f.LD = []string{"-L" + m.path("link")}
	for _, dir := range m.paths(m.LibDirs) {
		f.LD = append(f.LD, "-L"+dir)
	}
	// DT_RPATH rather than DT_RUNPATH: it goes before LD_LIBRARY_PATH, which may name another libtorch.
	f.LD = append(f.LD, "-Wl,--disable-new-dtags")
	for _, dir := range m.paths(m.LibDirs) {
		f.LD = append(f.LD, "-Wl,-rpath,"+dir)
	}
	if threads {
		f.LD = append(f.LD, "-Wl,--as-needed", "-lgomp")
	}
	if m.CUDA {
		// Nothing refers to a symbol of libtorch_cuda: it registers its kernels when it is loaded. gotch names it.
		f.LD = append(f.LD, "-Wl,--no-as-needed")
	}
	return f
}

// writeLinkFolder fills dir with a link to the OpenMP runtime that libtorch loads, so that -lgomp means that one, and with
// an empty archive for each library that gotch names and a program does not need.
func writeLinkFolder(dir, openMP string, cuda bool) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	for _, name := range gotchLibraries {
		if name == "c10" || name == "torch_cpu" || cuda && (name == "c10_cuda" || name == "torch_cuda") {
			continue
		}
		// libtorch.so too: it holds nothing, and in a CUDA build it pulls libtorch_cuda in.
		if err := os.WriteFile(filepath.Join(dir, "lib"+name+".a"), []byte(emptyArchive), 0o644); err != nil {
			return diskProblem(err)
		}
	}
	if openMP == "" {
		return nil
	}
	if rest := relative(filepath.Dir(dir), openMP); rest != openMP {
		openMP = filepath.Join("..", rest) // the folder is about to be renamed
	}
	link := filepath.Join(dir, "libgomp.so")
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return diskProblem(err)
	}
	return diskProblem(os.Symlink(openMP, link))
}

// Values joins the flags into the two variables, quoted as Go splits them.
func (f Flags) Values() map[string]string {
	return map[string]string{"CGO_CXXFLAGS": joinFlags(f.CXX), "CGO_LDFLAGS": joinFlags(f.LD)}
}

// joinFlags is the inverse of splitFlags.
func joinFlags(flags []string) string {
	var quoted []string
	for _, s := range flags {
		switch {
		case s != "" && !strings.ContainsAny(s, " \t\n\r'\""):
		case !strings.Contains(s, "'"):
			s = "'" + s + "'"
		default:
			s = `"` + s + `"`
		}
		quoted = append(quoted, s)
	}
	return strings.Join(quoted, " ")
}

// splitFlags splits as Go does: at blanks, except within single or double quotes; there is no escape character.
func splitFlags(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " \t\n\r")
		if s == "" {
			return out, nil
		}
		if q := s[0]; q == '\'' || q == '"' {
			word, rest, ok := strings.Cut(s[1:], string(q))
			if !ok {
				return nil, fmt.Errorf("unterminated %c quote in %q", q, s)
			}
			out, s = append(out, word), rest
			continue
		}
		end := strings.IndexAny(s, " \t\n\r")
		if end < 0 {
			end = len(s)
		}
		out, s = append(out, s[:end]), s[end:]
	}
}
