package safetensors

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
)

func encoded(t testing.TB, tensors []Tensor) []byte {
	var out bytes.Buffer
	var sources []Source
	for _, tensor := range tensors {
		sources = append(sources, tensor.Source())
	}
	require.NoError(t, Encode(&out, sources, nil))
	return out.Bytes()
}

// Any bytes are an error, or a file that can be written again and is then the same.
func FuzzParse(f *testing.F) {
	for _, path := range testdata.Cases(f, testdata.BadInputs(f), "safetensors/*.safetensors") {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := Parse(content)
		if err != nil {
			return
		}
		total, tensors := 0, []Tensor{}
		for _, name := range file.Names() {
			tensor, ok := file.Tensor(name)
			require.True(t, ok)
			size, check := byteSize(tensor.DType, tensor.Shape)
			require.True(t, check.fits && check.whole)
			require.EqualValues(t, size, len(tensor.Data))
			total += len(tensor.Data)
			tensors = append(tensors, tensor)
		}
		require.LessOrEqual(t, total, len(content), "no byte belongs to two tensors")
		again, err := Parse(encoded(t, tensors))
		require.NoError(t, err)
		require.Equal(t, file.Names(), again.Names())
		for _, tensor := range tensors {
			copied, _ := again.Tensor(tensor.Name)
			require.True(t, bytes.Equal(tensor.Data, copied.Data))
		}
	})
}

// Any bytes are an error, or an index whose shards are all plain names.
func FuzzIndex(f *testing.F) {
	for _, path := range testdata.Cases(f, testdata.BadInputs(f), "config/*/"+IndexFile) {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		x, err := parseIndex(content)
		if err != nil {
			return
		}
		for _, shard := range x.shards {
			require.Equal(t, filepath.Join("dir", shard), "dir/"+filepath.Base(shard))
		}
	})
}
