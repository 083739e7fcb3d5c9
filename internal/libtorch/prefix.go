package libtorch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Root is the folder that holds the prefixes: $FINETUNE_LIBTORCH, else finetune under the user's data directory.
func Root() (string, error) {
	if dir := os.Getenv("FINETUNE_LIBTORCH"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // the standard has relative ones ignored
		return filepath.Join(dir, "finetune"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &Problem{Kind: ErrNotWritable, Detail: "there is no home directory to install under", Err: err,
			Fix: "export FINETUNE_LIBTORCH=/some/folder"}
	}
	return filepath.Join(home, ".local", "share", "finetune"), nil
}

// checkRoot refuses names that cannot be written into the flags: -Wl, splits at commas, and Go's quoting has no escapes.
func checkRoot(root string) error {
	if !strings.ContainsAny(root, ",\n\r") && !(strings.Contains(root, "'") && strings.Contains(root, `"`)) {
		return nil
	}
	return &Problem{Kind: ErrRoot, Detail: fmt.Sprintf("%q holds a comma, a line break or both kinds of quote, which compiler flags cannot express", root),
		Fix: "export FINETUNE_LIBTORCH=/a/folder/without/them"}
}

// Sources of a libtorch.
const (
	FromEnv    = "environment" // the folder that $LIBTORCH names
	FromPython = "python"      // an installed torch package
	FromSystem = "system"      // the distribution's
	FromIndex  = "index"       // downloaded with pip
	FromFile   = "file"        // an archive named by the user
)

// Manifest says what a prefix holds. It is written last, so a prefix that has one is whole. Paths in it are relative to
// the prefix, or absolute for a libtorch that lies elsewhere.
type Manifest struct {
	Format  int              `json:"format"`
	Version string           `json:"version"` // libtorch's
	CUDA    bool             `json:"cuda"`    // linked for the GPU
	Source  string           `json:"source"`
	Origin  string           `json:"origin,omitempty"` // folder or archive it came from; empty for the index
	Wheels  []string         `json:"wheels,omitempty"` // name==version sha256:…, or the archive's name and hash
	Include []string         `json:"include"`          // folders for the compiler
	LibDirs []string         `json:"lib_dirs"`         // folders for the linker and the loader; the first holds libtorch_cpu.so
	OpenMP  string           `json:"open_mp,omitempty"`
	Files   map[string]int64 `json:"files"` // size in bytes of what must be there

	prefix string
}

// manifestFormat changes whenever an existing prefix must be written anew.
const manifestFormat = 1

// prefixName names a prefix. Version and variant are in it, because Go's build cache knows flags, not headers: another
// libtorch under the same path would be linked against objects compiled for the first.
func prefixName(version string, cuda bool, source string) string {
	variant := "cpu"
	if cuda {
		variant = "cuda"
	}
	name := "libtorch-" + version + "-" + variant
	if source != FromIndex {
		name += "-" + strings.ToLower(source)
	}
	return name
}

// ReadManifest reads and checks a prefix: every file it must hold is there, in its size.
func ReadManifest(prefix string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(prefix, "manifest.json"))
	if err != nil {
		return nil, &Problem{Kind: ErrNotInstalled, Detail: prefix + " holds no manifest.json", Fix: Command + " install"}
	}
	m := &Manifest{prefix: prefix}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &Problem{Kind: ErrDamaged, Detail: prefix + "/manifest.json", Err: err, Fix: Command + " install"}
	}
	if m.Format != manifestFormat {
		return nil, &Problem{Kind: ErrDamaged, Detail: fmt.Sprintf("%s was written by another version of this tool (format %d; want %d)", prefix, m.Format, manifestFormat), Fix: Command + " install"}
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	for name, size := range m.Files {
		path := m.path(name)
		switch info, err := os.Stat(path); {
		case errors.Is(err, os.ErrNotExist):
			return &Problem{Kind: ErrDamaged, Detail: path + " is missing", Fix: Command + " install"}
		case err != nil:
			return &Problem{Kind: ErrDamaged, Detail: path, Err: err, Fix: Command + " install"}
		case info.Size() != size:
			return &Problem{Kind: ErrDamaged, Detail: fmt.Sprintf("%s has %d bytes; want %d", path, info.Size(), size), Fix: Command + " install"}
		}
	}
	return nil
}

// path resolves a name of the manifest.
func (m *Manifest) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(m.prefix, name)
}

func (m *Manifest) paths(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, m.path(n))
	}
	return out
}

// Prefix is the folder the manifest describes.
func (m *Manifest) Prefix() string { return m.prefix }

// Current is the prefix that env uses: the one installed last.
func Current(root string) (*Manifest, error) {
	name, err := os.ReadFile(filepath.Join(root, "current"))
	if err != nil {
		return nil, &Problem{Kind: ErrNotInstalled, Detail: root + " holds no finished installation", Fix: Command + " install"}
	}
	return ReadManifest(filepath.Join(root, filepath.Base(strings.TrimSpace(string(name)))))
}

// setCurrent makes prefix the one that env uses.
func setCurrent(root, prefix string) error {
	return writeFile(filepath.Join(root, "current"), []byte(filepath.Base(prefix)+"\n"))
}

// writeFile replaces path in one step: readers see the old content or the new one.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return diskProblem(err)
	}
	defer os.Remove(f.Name()) // a no-op once renamed
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return diskProblem(err)
}
