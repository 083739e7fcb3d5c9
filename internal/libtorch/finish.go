package libtorch

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// finish adds our own files and the manifest to what lies in dir, and gives dir its name, prefix.
func (in *installation) finish(f *found, dir, prefix string, m Manifest) (*Manifest, error) {
	for _, name := range []string{doneFolder, downloadFolder, unpackFolder} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return nil, diskProblem(err)
		}
	}
	m.Format, m.Version, m.CUDA, m.prefix = manifestFormat, f.Version, in.CUDA, dir
	m.Include, m.LibDirs, m.OpenMP = f.Include, f.LibDirs, f.OpenMP
	if in.CUDA {
		m.addCUDA()
	}
	if err := writeCompat(dir); err != nil {
		return nil, err
	}
	if err := writeLinkFolder(filepath.Join(dir, "link"), m.OpenMP, in.CUDA); err != nil {
		return nil, err
	}
	if err := m.record(); err != nil {
		return nil, err
	}
	m.relocate(dir)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "manifest.json"), append(text, '\n')); err != nil {
		return nil, err
	}
	if err := replaceDir(dir, prefix); err != nil {
		return nil, diskProblem(err)
	}
	m.prefix = prefix
	return &m, setCurrent(in.Root, prefix)
}

// addCUDA adds every folder of CUDA libraries and headers that came with torch.
func (m *Manifest) addCUDA() {
	base := filepath.Dir(filepath.Dir(m.LibDirs[0])) // torch/lib → the folder above torch
	libs, _ := filepath.Glob(filepath.Join(base, "nvidia", "*", "lib"))
	includes, _ := filepath.Glob(filepath.Join(base, "nvidia", "*", "include"))
	for _, dir := range libs {
		if !slices.Contains(m.LibDirs, dir) {
			m.LibDirs = append(m.LibDirs, dir)
		}
	}
	m.Include = append(m.Include, includes...)
}

func writeCompat(dir string) error {
	path := filepath.Join(dir, compatName)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	return writeFile(path, compatHeader)
}

// record notes the sizes of the files without which nothing compiles or links.
func (m *Manifest) record() error {
	lib := m.LibDirs[0]
	files := []string{filepath.Join(lib, "libtorch_cpu.so"), filepath.Join(lib, "libc10.so"),
		filepath.Join(m.Include[1], "torch", "torch.h"), filepath.Join(m.prefix, compatName)}
	if m.CUDA {
		files = append(files, filepath.Join(lib, "libtorch_cuda.so"))
	}
	if m.OpenMP != "" {
		files = append(files, m.OpenMP)
	}
	m.Files = map[string]int64{}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return &Problem{Kind: ErrNoLibtorch, Detail: "it is not whole", Err: err, Fix: Command + " install --download"}
		}
		m.Files[path] = info.Size()
	}
	return nil
}

// relocate makes the paths below dir relative to it, as dir is about to get another name.
func (m *Manifest) relocate(dir string) {
	for _, list := range [][]string{m.Include, m.LibDirs} {
		for i, path := range list {
			list[i] = relative(dir, path)
		}
	}
	m.OpenMP = relative(dir, m.OpenMP)
	files := map[string]int64{}
	for path, size := range m.Files {
		files[relative(dir, path)] = size
	}
	m.Files = files
}

// relative makes a path below dir relative to it and leaves others alone.
func relative(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, dir+string(filepath.Separator)); ok {
		return rest
	}
	return path
}

// replaceDir gives the finished folder its name; a damaged one that has it is moved aside first and then removed.
func replaceDir(partial, prefix string) error {
	old := filepath.Join(filepath.Dir(prefix), ".old-"+filepath.Base(prefix))
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(prefix, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(partial, prefix); err != nil {
		return err
	}
	return os.RemoveAll(old)
}
