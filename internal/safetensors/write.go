package safetensors

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write writes tensors that are in memory to path. See WriteSources.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	sources := make([]Source, len(tensors))
	for i, t := range tensors {
		sources[i] = t.Source()
	}
	_, err := WriteSources(path, sources, Options{Metadata: metadata})
	return err
}

// WriteSources writes one file. It is written beside path under a temporary name, synced and renamed: path holds the
// old file or the new one, whole, whatever happens, and a File that has the old one mapped keeps reading the old one.
// A symbolic link at path is replaced, its target left alone.
func WriteSources(path string, sources []Source, o Options) (Written, error) {
	p, err := stage(path, sources, o)
	if err != nil {
		return Written{}, err
	}
	if err := p.commit(); err != nil {
		return Written{}, err
	}
	return p.written, syncDir(filepath.Dir(path))
}

// pending is a complete and synced file under a temporary name.
type pending struct {
	temp, path string
	written    Written
}

// stage writes a file without putting it in place.
func stage(path string, sources []Source, o Options) (pending, error) {
	l, err := newLayout(sources, o.Metadata)
	if err != nil {
		return pending{}, inFile(path, err)
	}
	return stageFile(path, l.total, o.Hash, l.encode)
}

// stageFile writes size bytes by means of encode.
func stageFile(path string, size int64, newHash func() hash.Hash, encode func(io.Writer) error) (pending, error) {
	file, err := createTemp(path)
	if err != nil {
		return pending{}, err
	}
	p := pending{temp: file.Name(), path: path, written: Written{Name: filepath.Base(path), Size: size}}
	var out io.Writer = file
	var digest hash.Hash
	if newHash != nil {
		digest = newHash()
		out = io.MultiWriter(file, digest)
	}
	err = encode(out)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return pending{}, errors.Join(writeError(path, size, err), os.Remove(p.temp))
	}
	if digest != nil {
		p.written.Digest = digest.Sum(nil)
	}
	return p, nil
}

// createTemp makes a file that nobody else has, beside path. os.CreateTemp would give it mode 0600; a model file is
// for whoever the user's umask lets read.
func createTemp(path string) (*os.File, error) {
	name := fmt.Sprintf(".%s.tmp-%s", filepath.Base(path), rand.Text()[:10])
	file, err := os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be written: %w", path, err)
	}
	return file, nil
}

func (p pending) commit() error {
	if err := os.Rename(p.temp, p.path); err != nil {
		return errors.Join(fmt.Errorf("%s: cannot be put in place: %w", p.path, err), p.drop())
	}
	return nil
}

// drop removes a file that is not to be put in place.
func (p pending) drop() error {
	if err := os.Remove(p.temp); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func writeError(path string, size int64, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: the file needs %d bytes%s: %w", path, size, freeText(filepath.Dir(path)), err)
	}
	return inFile(path, err)
}

func inFile(path string, err error) error {
	if e, ours := err.(*Error); ours && e.File == "" {
		return e.in(path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// syncDir makes renames in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%s: cannot be synced: %w", dir, err)
	}
	defer d.Close()
	// Some file systems, and Windows, cannot sync a folder; there is nothing more to do there.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: cannot be synced: %w", dir, err)
	}
	return nil
}
