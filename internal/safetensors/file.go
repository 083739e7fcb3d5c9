package safetensors

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/edsrzf/mmap-go"
)

// Tensor is one tensor of a file, or one to be written.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64 // empty for a scalar
	// Data is row major and little endian. From a File it is a read-only view: writing to it is fatal, so is reading
	// after Close, and it may begin at any address (the format does not align data).
	Data []byte
}

// File is an open safetensors file. Its methods may be called from several goroutines; Close may not run beside them.
type File struct {
	path     string
	header   header
	dataAt   int64     // where the data begins
	data     []byte    // all of it
	mapping  mmap.MMap // nil for bytes in memory
	file     *os.File  // nil for bytes in memory
	closing  sync.Once
	closeErr error
}

// Open maps the file at path and checks its header. The error is an *Error.
func Open(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err.in(path)
	}
	return f, nil
}

func open(path string) (*File, *Error) {
	// Stat first: opening a named pipe would wait for a writer.
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, unreadable(err)
	case !info.Mode().IsRegular():
		return nil, fault(Unreadable, "is not a regular file (%s); want a .safetensors file", info.Mode().Type())
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	f, bad := mapFile(path, file)
	if bad != nil {
		file.Close()
	}
	return f, bad
}

func mapFile(path string, file *os.File) (*File, *Error) {
	info, err := file.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	h, dataAt, bad := readHeader(file, info.Size())
	if bad != nil {
		return nil, bad
	}
	mapping, err := mmap.Map(file, mmap.RDONLY, 0)
	if err != nil {
		return nil, fault(Unreadable, "cannot be mapped").by(err)
	}
	if int64(len(mapping)) != info.Size() {
		mapping.Unmap()
		return nil, fault(TruncatedData, "changed its size while it was opened")
	}
	return &File{path: path, header: h, dataAt: dataAt, data: mapping[dataAt:], mapping: mapping, file: file}, nil
}

// Parse checks a whole file in memory. The tensors are views of content.
func Parse(content []byte) (*File, error) {
	h, dataAt, err := readHeader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	return &File{header: h, dataAt: dataAt, data: content[dataAt:]}, nil
}

// readHeader goes by read calls, not by the mapping: a header that is cut while it is read is an error, not a signal.
func readHeader(r io.ReaderAt, size int64) (header, int64, *Error) {
	first := make([]byte, min(size, 64))
	if _, err := r.ReadAt(first, 0); err != nil && err != io.EOF {
		return header{}, 0, unreadable(err)
	}
	h, dataAt, bad := readAfter(first, r, size)
	if bad != nil {
		if what := foreign(first); what != "" {
			bad = fault(NotSafetensors, "%s", what)
		}
	}
	return h, dataAt, bad
}

func readAfter(first []byte, r io.ReaderAt, size int64) (header, int64, *Error) {
	n, bad := headerLength(first, size)
	if bad != nil {
		return header{}, 0, bad
	}
	text := make([]byte, n) // not longer than the file
	if _, err := r.ReadAt(text, lengthSize); err != nil && err != io.EOF {
		return header{}, 0, unreadable(err)
	}
	h, bad := parseHeader(text, size-lengthSize-n)
	return h, lengthSize + n, bad
}

func unreadable(err error) *Error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // the path is in our own message already
	}
	return fault(Unreadable, "cannot be read").by(err)
}

// Path is where the file was opened, "" for bytes in memory.
func (f *File) Path() string { return f.path }

// Names lists the tensors, sorted.
func (f *File) Names() []string {
	names := make([]string, len(f.header.entries))
	for i, e := range f.header.entries {
		names[i] = e.name
	}
	return names
}

// Metadata is the header's free text; nil where it has none.
func (f *File) Metadata() map[string]string { return f.header.metadata }

// Tensor returns a view of the named tensor, valid until Close.
func (f *File) Tensor(name string) (Tensor, bool) {
	e, ok := f.entry(name)
	if !ok || f.data == nil {
		return Tensor{}, false
	}
	return Tensor{Name: e.name, DType: e.dtype, Shape: slices.Clone(e.shape), Data: f.data[e.begin:e.end:e.end]}, true
}

func (f *File) entry(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(f.header.entries, name, func(e entry, name string) int { return cmp.Compare(e.name, name) })
	if !ok {
		return entry{}, false
	}
	return f.header.entries[i], true
}

// Read copies the named tensor into buffer, whose length must be the tensor's in bytes. Unlike the view of Tensor it
// goes by read calls: a file that was cut since it was opened is an error here, not a signal.
func (f *File) Read(name string, buffer []byte) error {
	e, ok := f.entry(name)
	switch {
	case !ok:
		return fault(MissingTensor, "is not in the file").of(name).in(f.path)
	case uint64(len(buffer)) != e.end-e.begin:
		return fault(SizeMismatch, "has %d bytes; the buffer has %d", e.end-e.begin, len(buffer)).of(name).in(f.path)
	case f.data == nil:
		return fault(Unreadable, "the file is closed").of(name).in(f.path)
	case f.file == nil:
		copy(buffer, f.data[e.begin:e.end])
		return nil
	}
	if n, err := f.file.ReadAt(buffer, f.dataAt+int64(e.begin)); n < len(buffer) {
		at := f.dataAt + int64(e.begin) + int64(n)
		return fault(TruncatedData, "ends at byte %d; it was cut after it was opened", at).by(err).of(name).in(f.path)
	}
	return nil
}

// Close ends the mapping; views handed out before must not be used again. A second Close does nothing.
func (f *File) Close() error {
	f.closing.Do(func() {
		f.data = nil
		if f.file != nil {
			f.closeErr = errors.Join(f.mapping.Unmap(), f.file.Close())
		}
	})
	return f.closeErr
}

// VerifySHA256 compares the file at path with the digest (64 hexadecimal digits) noted when it was written.
func VerifySHA256(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return unreadable(err).in(path)
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return unreadable(err).in(path)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); !strings.EqualFold(got, want) {
		return fault(ChecksumMismatch, "SHA-256 is %s; it was written with %s: damaged since, use another copy", got, want).in(path)
	}
	return nil
}
