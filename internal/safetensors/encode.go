package safetensors

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Source is a tensor to be written, whose data need not be in memory: Write is called once, when its turn comes, and
// gives exactly the bytes that dtype and shape need, row major and little endian.
type Source struct {
	Name  string
	DType DType
	Shape []int64
	Write func(io.Writer) error
}

// Source makes a tensor in memory, or a view of another file, a source.
func (t Tensor) Source() Source {
	return Source{t.Name, t.DType, t.Shape, func(w io.Writer) error {
		_, err := w.Write(t.Data)
		return err
	}}
}

// Options say how a file is written. The zero value writes no metadata and computes no digest.
type Options struct {
	Metadata map[string]string // {"format": "pt"} is what transformers wants to find
	Hash     func() hash.Hash  // sha256.New, for instance; nil computes none
}

// Written describes a finished file.
type Written struct {
	Name   string // base name
	Size   int64  // bytes
	Digest []byte // of the whole file; nil without Options.Hash
}

// Encode writes one file to w: wide types first, then by name, as the reference library lays it out, so that the same
// tensors give the same bytes. Names are unique; each source is asked for its data in that order.
func Encode(w io.Writer, sources []Source, metadata map[string]string) error {
	l, err := newLayout(sources, metadata)
	if err != nil {
		return err
	}
	return l.encode(w)
}

// layout is a file that is about to be written.
type layout struct {
	head    []byte // length and header
	sources []Source
	sizes   []int64
	total   int64 // bytes of the file
}

func newLayout(sources []Source, metadata map[string]string) (layout, error) {
	l := layout{sources: slices.Clone(sources)}
	slices.SortStableFunc(l.sources, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.DType.rank(), a.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range l.sources {
		size, err := sourceSize(s)
		if err != nil {
			return layout{}, err.of(s.Name)
		}
		l.sizes = append(l.sizes, size)
	}
	if err := uniqueNames(l.sources); err != nil {
		return layout{}, err
	}
	if err := l.writeHead(metadata); err != nil {
		return layout{}, err
	}
	return l, nil
}

func uniqueNames(sources []Source) error {
	seen := make(map[string]bool, len(sources))
	for _, s := range sources {
		if seen[s.Name] {
			return fault(DuplicateKey, "is given twice").of(s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

func sourceSize(s Source) (int64, *Error) {
	switch {
	case s.DType.Bits() == 0:
		return 0, fault(BadTensorEntry, "unknown dtype %s", quote(string(s.DType)))
	case s.Name == metadataKey || !utf8.ValidString(s.Name):
		return 0, fault(BadTensorEntry, "the name cannot be written: it is reserved or not UTF-8")
	}
	for _, dim := range s.Shape {
		if dim < 0 {
			return 0, fault(BadTensorEntry, "shape %v has a negative dimension", s.Shape)
		}
	}
	size, ok := byteSize(s.DType, s.Shape)
	switch {
	case !ok.fits:
		return 0, fault(Overflow, "shape %v of %s is larger than any file", s.Shape, s.DType)
	case !ok.whole:
		return 0, fault(SizeMismatch, "shape %v of %s does not fill whole bytes", s.Shape, s.DType)
	}
	return size, nil
}

// writeHead composes the JSON by hand: metadata first and no white space, as the reference library does; keys sorted,
// for the same bytes every time.
func (l *layout) writeHead(metadata map[string]string) error {
	head := append(make([]byte, lengthSize, 256), '{')
	if metadata != nil {
		text, err := metadataText(metadata)
		if err != nil {
			return err
		}
		head = append(append(head, `"`+metadataKey+`":`...), text...)
	}
	at := int64(0)
	for i, s := range l.sources {
		if len(head) > lengthSize+1 {
			head = append(head, ',')
		}
		head, _ = jsontext.AppendQuote(head, s.Name) // valid UTF-8: cannot fail
		head = fmt.Appendf(head, `:{"dtype":"%s","shape":[`, s.DType)
		for j, dim := range s.Shape {
			if j > 0 {
				head = append(head, ',')
			}
			head = fmt.Append(head, dim)
		}
		end := at + l.sizes[i]
		if end < at {
			return fault(Overflow, "the tensors before it and itself are larger than any file").of(s.Name)
		}
		head = fmt.Appendf(head, `],"data_offsets":[%d,%d]}`, at, end)
		at = end
	}
	head = append(head, '}')
	for len(head)%8 != 0 {
		head = append(head, ' ') // so that the data is aligned
	}
	if len(head)-lengthSize > maxHeader {
		return fault(HeaderTooLarge, "the header would have %d bytes; at most %d are allowed: write shards", len(head)-lengthSize, maxHeader)
	}
	binary.LittleEndian.PutUint64(head, uint64(len(head)-lengthSize))
	l.head, l.total = head, int64(len(head))+at
	return nil
}

func metadataText(metadata map[string]string) ([]byte, error) {
	text := []byte{'{'}
	for i, key := range slices.Sorted(maps.Keys(metadata)) {
		if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
			return nil, fault(BadMetadata, "metadata %s is not UTF-8", quote(key))
		}
		if i > 0 {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(text, key)
		text, _ = jsontext.AppendQuote(append(text, ':'), metadata[key])
	}
	return append(text, '}'), nil
}

func (l *layout) encode(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	if _, err := buffered.Write(l.head); err != nil {
		return err
	}
	for i, s := range l.sources {
		out := exactWriter{w: buffered, left: l.sizes[i]}
		if err := s.Write(&out); err != nil {
			return sourceError(s.Name, err)
		}
		if out.left > 0 {
			return fault(SizeMismatch, "%d of its %d bytes were not written by its source", out.left, l.sizes[i]).of(s.Name)
		}
	}
	return buffered.Flush()
}

func sourceError(name string, err error) error {
	if e, ours := err.(*Error); ours && e.File == "" {
		return e.of(name)
	}
	return fmt.Errorf("tensor %s: %w", quote(name), err)
}

// exactWriter refuses what goes beyond the room that the header gives a tensor.
type exactWriter struct {
	w    io.Writer
	left int64
}

func (e *exactWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fault(SizeMismatch, "its source gives %d bytes more than dtype and shape need", int64(len(p))-e.left)
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}
