package safetensors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Checkpoint is a model's weights: one file, or the shards of an index read as one. As with File, its methods may be
// called from several goroutines and views end with Close.
type Checkpoint struct {
	dir      string
	files    []*File // by name
	home     map[string]*File
	names    []string
	warnings []string
}

// OpenModel opens the weights in a folder: model.safetensors if it is there, as transformers does, otherwise the shards
// that model.safetensors.index.json names. A shard may be a symbolic link, as in download caches. The error is an *Error
// or a *MismatchError.
func OpenModel(dir string) (*Checkpoint, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, unreadable(err).in(dir)
	} else if !info.IsDir() {
		return nil, fault(Unreadable, "is a file; want the checkpoint's folder").in(dir)
	}
	single, list := filepath.Join(dir, SingleFile), filepath.Join(dir, IndexFile)
	switch {
	case exists(single):
		return openSingle(dir, single)
	case exists(list):
		return openShards(dir, list)
	}
	return nil, noWeights(dir)
}

func exists(path string) bool {
	_, err := os.Lstat(path) // a dangling link is there, and its error is worth more than "no weights"
	return err == nil
}

func openSingle(dir, path string) (*Checkpoint, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{dir: dir, files: []*File{f}, home: map[string]*File{}}
	c.adopt(f)
	return c, nil
}

func openShards(dir, list string) (*Checkpoint, error) {
	x, bad := readIndex(list)
	if bad != nil {
		return nil, bad.in(list)
	}
	c := &Checkpoint{dir: dir, home: map[string]*File{}}
	if err := c.openAll(x, list); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.compareTotal(x.totalSize)
	return c, nil
}

func (c *Checkpoint) openAll(x index, list string) error {
	var shards []string
	for _, shard := range x.shards {
		shards = append(shards, shard)
	}
	slices.Sort(shards)
	byName := map[string]*File{}
	for _, shard := range slices.Compact(shards) {
		f, err := open(filepath.Join(c.dir, shard))
		switch {
		case errors.Is(errOrNil(err), os.ErrNotExist):
			return fault(MissingShard, "names %s, which is not in the folder: the download is incomplete", quote(shard)).by(os.ErrNotExist).in(list)
		case err != nil:
			return err.in(filepath.Join(c.dir, shard))
		}
		byName[shard] = f
		c.files = append(c.files, f)
	}
	if err := compareIndex(x, byName, list); err != nil {
		return err
	}
	for _, f := range c.files {
		c.adopt(f)
	}
	return nil
}

// errOrNil keeps a nil *Error from becoming an error that is not nil.
func errOrNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// compareIndex wants every tensor in the shard that lists it, and in no other.
func compareIndex(x index, files map[string]*File, list string) error {
	bad := &MismatchError{Where: list}
	for tensor, shard := range x.shards {
		if _, ok := files[shard].entry(tensor); !ok {
			bad.add(MissingTensor, tensor, "in "+shard, "not there")
		}
	}
	for shard, f := range files {
		for _, tensor := range f.Names() {
			switch listed, ok := x.shards[tensor]; {
			case !ok:
				bad.add(UnexpectedTensor, tensor, "listed in the index", "only in "+shard)
			case listed != shard:
				if _, twice := files[listed].entry(tensor); twice {
					bad.add(UnexpectedTensor, tensor, "only in "+listed, "in "+shard+" too")
				}
			}
		}
	}
	return bad.orNil()
}

func (c *Checkpoint) adopt(f *File) {
	for _, name := range f.Names() {
		c.home[name] = f
		c.names = append(c.names, name)
	}
	slices.Sort(c.names)
}

func (c *Checkpoint) compareTotal(listed int64) {
	total := int64(0)
	for _, f := range c.files {
		total += int64(len(f.data))
	}
	if listed >= 0 && listed != total {
		c.warnings = append(c.warnings, fmt.Sprintf("%s: metadata.total_size is %d; the tensors have %d bytes", IndexFile, listed, total))
	}
}

// noWeights says what is in a folder instead of safetensors weights.
func noWeights(dir string) error {
	for _, pattern := range []string{"pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.bin"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return fault(NoWeights, "has no %s, only %s: pickles can run code and are never read; load the model once with "+
				"transformers and save it again with save_pretrained(dir), which writes safetensors", SingleFile, filepath.Base(found[0])).in(dir)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "adapter_model.safetensors")); len(found) > 0 {
		return fault(NoWeights, "holds an adapter, not a model: load its base model, then the adapter").in(dir)
	}
	return fault(NoWeights, "has neither %s nor %s", SingleFile, IndexFile).in(dir)
}

// Dir is the checkpoint's folder.
func (c *Checkpoint) Dir() string { return c.dir }

// Names lists the tensors of all files, sorted.
func (c *Checkpoint) Names() []string { return slices.Clone(c.names) }

// Tensor returns a view of the named tensor, valid until Close.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	f, ok := c.home[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Read copies the named tensor into buffer, as File.Read does.
func (c *Checkpoint) Read(name string, buffer []byte) error {
	f, ok := c.home[name]
	if !ok {
		return fault(MissingTensor, "is not in the checkpoint").of(name).in(c.dir)
	}
	return f.Read(name, buffer)
}

// File is the path of the file that holds the named tensor, for messages; "" for an unknown tensor.
func (c *Checkpoint) File(name string) string {
	if f, ok := c.home[name]; ok {
		return f.path
	}
	return ""
}

// Metadata is that of the first file.
func (c *Checkpoint) Metadata() map[string]string { return c.files[0].Metadata() }

// Warnings lists what is odd but harmless, such as a wrong total size in the index.
func (c *Checkpoint) Warnings() []string { return slices.Clone(c.warnings) }

// Close ends all mappings. A second Close does nothing.
func (c *Checkpoint) Close() error {
	var failures []error
	for _, f := range c.files {
		failures = append(failures, f.Close())
	}
	return errors.Join(failures...)
}
