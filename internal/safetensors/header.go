package safetensors

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	lengthSize  = 8           // bytes of the header's length
	maxHeader   = 100_000_000 // bytes; the format's own limit
	metadataKey = "__metadata__"
)

// entry is one tensor of a header; begin and end count from the first byte of the data.
type entry struct {
	name       string
	dtype      DType
	shape      []int64
	begin, end uint64
}

type header struct {
	entries  []entry // by name
	metadata map[string]string
}

// headerLength checks the first bytes of a file of size bytes.
func headerLength(first []byte, size int64) (int64, *Error) {
	if len(first) < lengthSize {
		return 0, fault(HeaderTooShort, "has %d bytes; a safetensors file begins with 8 bytes of header length: "+
			"it was not written to its end, write or download it again", len(first))
	}
	n := uint64(0)
	for i := lengthSize - 1; i >= 0; i-- {
		n = n<<8 | uint64(first[i])
	}
	switch {
	case n > maxHeader:
		return 0, fault(HeaderTooLarge, "header length %d; at most %d is allowed: not a safetensors file, or damaged", n, maxHeader)
	case int64(n) > size-lengthSize:
		return 0, fault(HeaderPastEOF, "header of %d bytes in a file of %d: cut short, write or download it again", n, size)
	}
	return int64(n), nil
}

// parseHeader reads the JSON and checks every tensor against the dataSize bytes that follow it.
func parseHeader(text []byte, dataSize int64) (header, *Error) {
	if !utf8.Valid(text) {
		return header{}, fault(HeaderNotUTF8, "the header is not UTF-8: damaged, or not a safetensors file")
	}
	p := headerParser{jsontext.NewDecoder(bytes.NewBuffer(text))}
	h, err := p.header()
	if err != nil {
		return header{}, err
	}
	if err := checkLayout(h.entries, uint64(dataSize)); err != nil {
		return header{}, err
	}
	slices.SortFunc(h.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return h, nil
}

// headerParser walks the tokens of a header. It never descends into a value that it does not expect, so depth is no
// danger, and its decoder refuses a name given twice, escaped or not.
type headerParser struct{ d *jsontext.Decoder }

func (p headerParser) header() (header, *Error) {
	var h header
	switch p.d.PeekKind() {
	case '{':
	case '[', '"', '0', 'n', 't', 'f':
		return h, fault(HeaderNotObject, "the header is not a JSON object")
	default:
		_, err := p.d.ReadToken()
		return h, syntax(err)
	}
	err := p.object(func(name string) *Error {
		if name == metadataKey {
			var err *Error
			h.metadata, err = p.metadata()
			return err
		}
		e, err := p.entry(name)
		h.entries = append(h.entries, e)
		return err
	})
	if err != nil {
		return h, err
	}
	if _, err := p.d.ReadToken(); err != io.EOF {
		return h, fault(HeaderNotJSON, "data after the header's object")
	}
	return h, nil
}

// object reads { … } whose opening brace is next, calling member after each name.
func (p headerParser) object(member func(name string) *Error) *Error {
	if _, err := p.d.ReadToken(); err != nil {
		return syntax(err)
	}
	for p.d.PeekKind() != '}' {
		name, err := p.d.ReadToken()
		if err != nil {
			return syntax(err)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := p.d.ReadToken()
	return syntax(err)
}

func (p headerParser) metadata() (map[string]string, *Error) {
	switch p.d.PeekKind() {
	case 'n': // as the reference library: null is no metadata
		_, err := p.d.ReadToken()
		return nil, syntax(err)
	case '{':
	default:
		return nil, p.unexpected(BadMetadata, "%s is not an object of strings", metadataKey)
	}
	m := map[string]string{}
	err := p.object(func(key string) *Error {
		if p.d.PeekKind() != '"' {
			return p.unexpected(BadMetadata, "%s[%s] is not a string", metadataKey, quote(key))
		}
		value, err := p.d.ReadToken()
		if err == nil {
			m[key] = value.String()
		}
		return syntax(err)
	})
	return m, err
}

func (p headerParser) entry(name string) (entry, *Error) {
	e := entry{name: name}
	if p.d.PeekKind() != '{' {
		return e, p.unexpected(BadTensorEntry, "the entry is not an object").of(name)
	}
	var hasDType, hasShape, hasOffsets bool
	err := p.object(func(field string) *Error {
		switch field {
		case "dtype":
			hasDType = true
			return p.dtype(&e)
		case "shape":
			hasShape = true
			return p.shape(&e)
		case "data_offsets":
			hasOffsets = true
			return p.offsets(&e)
		}
		// It might change what the bytes mean, as a scale would.
		return fault(BadTensorEntry, "unknown field %s", quote(field))
	})
	switch {
	case err != nil:
		return e, err.of(name)
	case !hasDType || !hasShape || !hasOffsets:
		return e, fault(BadTensorEntry, "wants dtype, shape and data_offsets; one is missing").of(name)
	}
	return e, nil
}

func (p headerParser) dtype(e *entry) *Error {
	if p.d.PeekKind() != '"' {
		return p.unexpected(BadTensorEntry, "dtype is not a string")
	}
	token, err := p.d.ReadToken()
	if err != nil {
		return syntax(err)
	}
	if e.dtype = DType(token.String()); e.dtype.Bits() == 0 {
		return fault(BadTensorEntry, "unknown dtype %s", quote(token.String()))
	}
	return nil
}

func (p headerParser) shape(e *entry) *Error {
	e.shape = []int64{}
	return p.integers("shape", func(dim uint64) *Error {
		if dim > math.MaxInt64 {
			return fault(Overflow, "dimension %d of the shape is %d", len(e.shape), dim)
		}
		e.shape = append(e.shape, int64(dim))
		return nil
	})
}

func (p headerParser) offsets(e *entry) *Error {
	var found []uint64
	err := p.integers("data_offsets", func(at uint64) *Error {
		if found = append(found, at); len(found) > 2 {
			return fault(BadTensorEntry, "data_offsets has more than 2 numbers")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(found) != 2 {
		return fault(BadTensorEntry, "data_offsets has %d numbers; want 2", len(found))
	}
	e.begin, e.end = found[0], found[1]
	return nil
}

// integers reads an array of whole numbers ≥ 0.
func (p headerParser) integers(field string, add func(uint64) *Error) *Error {
	if p.d.PeekKind() != '[' {
		return p.unexpected(BadTensorEntry, "%s is not an array", field)
	}
	if _, err := p.d.ReadToken(); err != nil {
		return syntax(err)
	}
	for p.d.PeekKind() != ']' {
		if p.d.PeekKind() != '0' {
			return p.unexpected(BadTensorEntry, "%s holds something that is not a number", field)
		}
		token, err := p.d.ReadValue()
		if err != nil {
			return syntax(err)
		}
		n, err := strconv.ParseUint(string(token), 10, 64) // refuses signs, fractions and exponents
		if err != nil {
			return fault(BadTensorEntry, "%s holds %s; want whole numbers from 0 to 2^64−1", field, clip(token))
		}
		if err := add(n); err != nil {
			return err
		}
	}
	_, err := p.d.ReadToken()
	return syntax(err)
}

// unexpected reports a value of the wrong kind, or the fault of syntax that stands in its place.
func (p headerParser) unexpected(class Class, format string, args ...any) *Error {
	if err := p.d.SkipValue(); err != nil {
		return syntax(err)
	}
	return fault(class, format, args...)
}

func clip(text []byte) []byte {
	if len(text) > 40 {
		return append(text[:40:40], "…"...)
	}
	return text
}

func syntax(err error) *Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fault(DuplicateKey, "a key stands twice in one object of the header").by(err)
	}
	return fault(HeaderNotJSON, "the header is not JSON: damaged, or not a safetensors file").by(err)
}

// checkLayout holds every range against its shape, and all of them against the size of the data: sorted, they begin
// at 0, each begins where the one before it ends, and the last ends with the file.
func checkLayout(entries []entry, dataSize uint64) *Error {
	for _, e := range entries {
		if err := checkSize(e); err != nil {
			return err.of(e.name)
		}
	}
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b entry) int { // an empty tensor shares its neighbour's offset and comes first
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := uint64(0)
	for _, e := range sorted {
		if e.begin != at {
			return fault(BadOffsets, "begins at byte %d of the data; the tensors before it end at %d", e.begin, at).of(e.name)
		}
		at = e.end
	}
	switch {
	case at > dataSize:
		return fault(TruncatedData, "has %d bytes of data; the header needs %d: cut short, write or download it again", dataSize, at)
	case at < dataSize:
		return fault(TrailingBytes, "has %d bytes after the last tensor", dataSize-at)
	}
	return nil
}

func checkSize(e entry) *Error {
	if e.begin > e.end {
		return fault(BadOffsets, "ends at byte %d, before its begin at %d", e.end, e.begin)
	}
	want, ok := byteSize(e.dtype, e.shape)
	switch {
	case !ok.fits:
		return fault(Overflow, "shape %v of %s is larger than any file", e.shape, e.dtype)
	case !ok.whole:
		return fault(SizeMismatch, "shape %v of %s does not fill whole bytes", e.shape, e.dtype)
	case e.end-e.begin != uint64(want):
		return fault(SizeMismatch, "shape %v of %s needs %d bytes; data_offsets give %d", e.shape, e.dtype, want, e.end-e.begin)
	}
	return nil
}

type sizeCheck struct{ fits, whole bool }

// byteSize multiplies with care. A zero among the dimensions makes the tensor empty, but the others still make its
// strides, so they may not overflow either.
func byteSize(dtype DType, shape []int64) (int64, sizeCheck) {
	product, empty := uint64(dtype.Bits()), false
	for _, dim := range shape {
		if dim == 0 {
			empty = true
			continue
		}
		high, low := bits.Mul64(product, uint64(dim))
		if high != 0 || dim < 0 {
			return 0, sizeCheck{}
		}
		product = low
	}
	switch {
	case product/8 > math.MaxInt64:
		return 0, sizeCheck{}
	case empty:
		return 0, sizeCheck{true, true}
	}
	return int64(product / 8), sizeCheck{true, product%8 == 0}
}
