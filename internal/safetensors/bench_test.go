package safetensors

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkOpen reads the header of a large model: 10,000 tensors.
func BenchmarkOpen(b *testing.B) {
	var sources []Source
	for i := range 10_000 {
		sources = append(sources, bytesOf(fmt.Sprintf("model.layers.%d.mlp.experts.%d.down_proj.weight", i/100, i%100), 4))
	}
	path := filepath.Join(b.TempDir(), SingleFile)
	_, err := WriteSources(path, sources, Options{})
	require.NoError(b, err)
	for b.Loop() {
		f, err := Open(path)
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "tensors/s")
}

// BenchmarkEncode is the cost of the layer over the copying itself: 64 MiB in 64 tensors.
func BenchmarkEncode(b *testing.B) {
	var sources []Source
	for i := range 64 {
		sources = append(sources, bytesOf(fmt.Sprint(i), 1<<20))
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		require.NoError(b, Encode(io.Discard, sources, nil))
	}
}
