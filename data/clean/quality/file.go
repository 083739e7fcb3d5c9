package quality

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// The file, all numbers little endian:
//
//	8 bytes   "ftqualit"
//	uint32    version, 1
//	uint32    length of the header
//	…         header, JSON: configuration and numbers of examples
//	float64   bias
//	uint32    number of weights that are not 0
//	…         for each, in the order of their indices: uint32 index, float32 weight
//	32 bytes  SHA-256 of all that precedes
const (
	magic      = "ftqualit"
	version    = 1
	mostHeader = 1 << 16
)

// Errors of [Read] and [Load].
var (
	ErrNotAModel = errors.New("is no quality model")
	ErrVersion   = errors.New("is of a version that is not known here")
	ErrDamaged   = errors.New("is damaged")
)

// WriteTo writes the model.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	head, err := json.Marshal(m.header)
	if err != nil {
		return 0, fmt.Errorf("quality: header: %w", err)
	}
	out := append([]byte(magic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[8:], version)
	binary.LittleEndian.PutUint32(out[12:], uint32(len(head)))
	out = append(out, head...)
	out = binary.LittleEndian.AppendUint64(out, math.Float64bits(m.bias))
	at := len(out)
	out = binary.LittleEndian.AppendUint32(out, 0)
	n := uint32(0)
	for i, weight := range m.weights {
		if weight != 0 {
			out = binary.LittleEndian.AppendUint32(out, uint32(i))
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(weight))
			n++
		}
	}
	binary.LittleEndian.PutUint32(out[at:], n)
	sum := sha256.Sum256(out)
	written, err := w.Write(append(out, sum[:]...))
	return int64(written), err
}

// Save writes the model to a file, which takes its place whole.
func (m *Model) Save(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("quality: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("quality: %w", errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if _, err = m.WriteTo(f); err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load reads a model from a file.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("quality: %w", err)
	}
	defer f.Close()
	m, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Read reads a model and checks its version, its checksum and every weight. The reader is read to its end.
func Read(r io.Reader) (*Model, error) {
	const most = int64(16 + mostHeader + 12 + 8<<maxBits + sha256.Size)
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("quality: %w", err)
	case len(raw) < 16 || string(raw[:8]) != magic:
		return nil, fmt.Errorf("quality: %w: it does not begin with %q", ErrNotAModel, magic)
	case binary.LittleEndian.Uint32(raw[8:]) != version:
		return nil, fmt.Errorf("quality: %w: %d; want %d", ErrVersion, binary.LittleEndian.Uint32(raw[8:]), version)
	case int64(len(raw)) > most:
		return nil, fmt.Errorf("quality: %w: longer than any model, which has at most %d bytes", ErrDamaged, most)
	case len(raw) < 16+12+sha256.Size:
		return nil, fmt.Errorf("quality: %w: ends after %d bytes", ErrDamaged, len(raw))
	}
	body, sum := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("quality: %w: the checksum is %x; want %x. Copy the file again", ErrDamaged, got[:4], sum[:4])
	}
	return parse(body)
}

// parse reads what the checksum vouches for; a file may still have been made wrong.
func parse(body []byte) (*Model, error) {
	damaged := func(format string, args ...any) (*Model, error) {
		return nil, fmt.Errorf("quality: %w: %s", ErrDamaged, fmt.Sprintf(format, args...))
	}
	size := int64(binary.LittleEndian.Uint32(body[12:]))
	body = body[16:]
	if size > mostHeader || size+12 > int64(len(body)) {
		return damaged("the header has %d bytes of %d", size, len(body))
	}
	var h header
	if err := json.Unmarshal(body[:size], &h); err != nil {
		return damaged("header: %v", err)
	}
	if err := h.Config.Validate(); err != nil || h.Config.Bits == 0 {
		return damaged("header: config: %v", errors.Join(err, fmt.Errorf("Bits: is %d", h.Config.Bits)))
	}
	body = body[size:]
	bias, n := math.Float64frombits(binary.LittleEndian.Uint64(body)), int64(binary.LittleEndian.Uint32(body[8:]))
	body = body[12:]
	if !finite(bias) {
		return damaged("the bias is %g", bias)
	}
	if n*8 != int64(len(body)) {
		return damaged("%d weights need %d bytes; there are %d", n, n*8, len(body))
	}
	weights, next := make([]float32, 1<<h.Config.Bits), 0
	for ; len(body) > 0; body = body[8:] {
		i := int(binary.LittleEndian.Uint32(body))
		w := math.Float32frombits(binary.LittleEndian.Uint32(body[4:]))
		if i < next || i >= len(weights) || !finite(float64(w)) {
			return damaged("weight %d is %g; want a number, and indices that rise from %d to at most %d", i, w, next, len(weights)-1)
		}
		weights[i], next = w, i+1
	}
	return newModel(h, weights, bias), nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
