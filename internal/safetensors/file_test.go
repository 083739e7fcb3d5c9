package safetensors

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sample is a file of three types, a scalar and an empty tensor.
func sample() []Tensor {
	return []Tensor{
		{"norm.weight", F32, []int64{2}, Float32Data([]float32{1, -2})},
		{"ids", I64, []int64{1, 2}, []byte{7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"half", BF16, []int64{3}, []byte{0x80, 0x3f, 0, 0xc0, 0, 0}},
		{"scalar", U8, nil, []byte{9}},
		{"empty", F16, []int64{0, 4}, nil},
	}
}

func writeSample(t *testing.T, path string) {
	require.NoError(t, Write(path, sample(), map[string]string{"format": "pt"}))
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	f, err := Open(path)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, []string{"empty", "half", "ids", "norm.weight", "scalar"}, f.Names())
	assert.Equal(t, map[string]string{"format": "pt"}, f.Metadata())
	for _, want := range sample() {
		got, ok := f.Tensor(want.Name)
		require.True(t, ok)
		assert.Equal(t, want.DType, got.DType)
		assert.Equal(t, append([]int64{}, want.Shape...), append([]int64{}, got.Shape...))
		assert.Equal(t, string(want.Data), string(got.Data))

		buffer := make([]byte, len(want.Data))
		require.NoError(t, f.Read(want.Name, buffer))
		assert.Equal(t, string(want.Data), string(buffer))
	}
	_, ok := f.Tensor("nothing")
	assert.False(t, ok)
	assert.ErrorIs(t, f.Read("nothing", nil), MissingTensor)
	assert.ErrorIs(t, f.Read("ids", make([]byte, 3)), SizeMismatch)
}

func TestBytesAreThoseOfTheReference(t *testing.T) {
	// safetensors 0.8.0: safetensors.numpy.serialize of the same two tensors and metadata.
	const header = `{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},` +
		`"a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}`
	padded := header + strings.Repeat(" ", -len(header)&7)
	var out strings.Builder
	tensors := []Source{
		Tensor{"a", U8, nil, []byte{5}}.Source(),
		Tensor{"b", F32, []int64{2}, Float32Data([]float32{0, 1})}.Source(),
	}
	require.NoError(t, Encode(&out, tensors, map[string]string{"format": "pt"}))
	assert.Equal(t, string([]byte{byte(len(padded)), 0, 0, 0, 0, 0, 0, 0})+padded+"\x00\x00\x00\x00\x00\x00\x80\x3f\x05", out.String())
}

func TestAnyTensorsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tensors []Tensor
		names := rapid.SliceOfNDistinct(rapid.String(), 0, 6, rapid.ID[string]).Draw(t, "names")
		for _, name := range names {
			dtype := dtypes[rapid.IntRange(0, len(dtypes)-1).Draw(t, "dtype")].name
			shape := append(rapid.SliceOfN(rapid.Int64Range(0, 5), 0, 4).Draw(t, "shape"), 8) // 8: whole bytes
			size, _ := byteSize(dtype, shape)
			tensors = append(tensors, Tensor{name, dtype, shape, rapid.SliceOfN(rapid.Byte(), int(size), int(size)).Draw(t, "data")})
		}
		var out strings.Builder
		var sources []Source
		for _, tensor := range tensors {
			sources = append(sources, tensor.Source())
		}
		require.NoError(t, Encode(&out, sources, nil))
		f, err := Parse([]byte(out.String()))
		require.NoError(t, err)
		assert.Len(t, f.Names(), len(tensors))
		assert.Zero(t, f.dataAt%8)
		for _, want := range tensors {
			got, ok := f.Tensor(want.Name)
			require.True(t, ok)
			assert.Equal(t, want.Shape, got.Shape)
			assert.Equal(t, string(want.Data), string(got.Data))
		}
	})
}

func TestSavingOverTheMappedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	f, err := Open(path)
	require.NoError(t, err)
	var sources []Source
	for _, name := range f.Names() {
		tensor, _ := f.Tensor(name)
		sources = append(sources, tensor.Source()) // read from the mapping while its file is replaced
	}
	written, err := WriteSources(path, sources, Options{Metadata: f.Metadata(), Hash: sha256.New})
	require.NoError(t, err)
	old, _ := f.Tensor("norm.weight")
	assert.Equal(t, sample()[0].Data, old.Data, "the mapping still holds the old file")
	require.NoError(t, f.Close())

	again, err := Open(path)
	require.NoError(t, err)
	defer again.Close()
	now, _ := again.Tensor("norm.weight")
	assert.Equal(t, sample()[0].Data, now.Data)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	assert.Equal(t, sum[:], written.Digest)
	assert.EqualValues(t, len(content), written.Size)
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	broken := errors.New("device lost")
	for _, tt := range []struct {
		name string
		last Source
		want error
	}{
		{"the source fails", Source{"x", U8, []int64{4}, func(io.Writer) error { return broken }}, broken},
		{"the source gives too little", Tensor{"x", U8, []int64{4}, []byte{1}}.Source(), SizeMismatch},
		{"the source gives too much", Tensor{"x", U8, []int64{4}, make([]byte, 5)}.Source(), SizeMismatch},
		{"a name twice", Tensor{"norm.weight", U8, nil, []byte{1}}.Source(), DuplicateKey},
		{"a reserved name", Tensor{"__metadata__", U8, nil, []byte{1}}.Source(), BadTensorEntry},
		{"a name that is not UTF-8", Tensor{"\xff", U8, nil, []byte{1}}.Source(), BadTensorEntry},
		{"an unknown type", Tensor{"x", "F12", nil, []byte{1}}.Source(), BadTensorEntry},
		{"a negative dimension", Tensor{"x", U8, []int64{-1, -1}, []byte{1}}.Source(), BadTensorEntry},
		{"half a byte", Tensor{"x", F4, []int64{3}, []byte{1, 1}}.Source(), SizeMismatch},
		{"a size beyond 63 bits", Tensor{"x", F32, []int64{1 << 62, 2}, nil}.Source(), Overflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.safetensors")
			writeSample(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = WriteSources(path, []Source{sample()[0].Source(), tt.last}, Options{})
			require.ErrorIs(t, err, tt.want)
			assert.Contains(t, err.Error(), path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, before, after)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "no temporary file is left")
		})
	}
}

func TestALinkIsReplacedAndItsTargetKept(t *testing.T) {
	dir := t.TempDir()
	blob, path := filepath.Join(dir, "blob"), filepath.Join(dir, "a.safetensors")
	require.NoError(t, os.WriteFile(blob, []byte("kept"), 0o644))
	require.NoError(t, os.Symlink(blob, path))
	writeSample(t, path)
	content, err := os.ReadFile(blob)
	require.NoError(t, err)
	assert.Equal(t, "kept", string(content))
}

func TestAFileCutAfterOpeningIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	f, err := Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.Truncate(path, f.dataAt+3))
	err = f.Read("ids", make([]byte, 16))
	require.ErrorIs(t, err, TruncatedData)
	assert.Contains(t, err.Error(), `tensor "ids"`)
}

func TestCloseTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	writeSample(t, path)
	f, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, ok := f.Tensor("ids")
	assert.False(t, ok)
	assert.ErrorIs(t, f.Read("ids", make([]byte, 16)), Unreadable)
}

func TestForeignFilesAreNamed(t *testing.T) {
	for start, want := range map[string]string{
		"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl":                      "zip archive",
		"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01":                                  "pickle",
		"version https://git-lfs.github.com/spec/v1\noid sha256:0\n":              "git lfs pull",
		"\n<!DOCTYPE html><title>404</title>":                                     "web page",
		"GGUF\x03\x00\x00\x00\x00\x00\x00\x00":                                    "GGUF",
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03":                                "compressed",
		"\x80\x02\x00\x00\x00\x00\x00\x00{\"a safetensors header that is cut\":1": "cut short",
	} {
		_, err := Parse([]byte(start))
		assert.ErrorContains(t, err, want)
	}
}

func TestFloat32s(t *testing.T) {
	for _, tt := range []struct {
		dtype DType
		data  []byte
		want  float32
	}{
		{F32, []byte{0, 0, 0x80, 0xbf}, -1},
		{F64, []byte{0, 0, 0, 0, 0, 0, 0xe0, 0x3f}, 0.5},
		{BF16, []byte{0x40, 0x40}, 3},
		{F16, []byte{0x00, 0x3c}, 1},
		{F16, []byte{0xff, 0xfb}, -65504},          // the largest
		{F16, []byte{0x01, 0x00}, 1.0 / (1 << 24)}, // the smallest: 2^−24
		{F16, []byte{0x00, 0x80}, 0},
	} {
		got, err := Tensor{DType: tt.dtype, Data: tt.data}.Float32s()
		require.NoError(t, err)
		assert.Equal(t, []float32{tt.want}, got)
	}
	_, err := Tensor{DType: I64}.Float32s()
	assert.ErrorIs(t, err, DTypeMismatch)
	ids, err := sample()[1].Int64s()
	require.NoError(t, err)
	assert.Equal(t, []int64{7, -1}, ids)
}
