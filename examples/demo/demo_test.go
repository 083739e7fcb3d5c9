package main

import (
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The path of the demo, with a model too small and too short trained to answer anything.
func TestDemo(t *testing.T) {
	out := t.TempDir()
	o := options{out: out, data: samples(), seed: 1, steps: 3, held: 4, show: 2,
		network: network{vocabulary: 300, hidden: 16, layers: 1, heads: 2, steps: 3, rate: 1e-3}}
	said := demonstrate(t, o)
	assert.Equal(t, 2, strings.Count(said, "question"))
	assert.Regexp(t, `(?m)^demo: held-out answers right \d/4 before, \d/4 after; loss .* tokens/s; peak \d+ MB; \d+ s$`, said)
	for _, name := range []string{"base", "merged"} {
		assert.FileExists(t, filepath.Join(out, name, "model.safetensors"))
		assert.FileExists(t, filepath.Join(out, name, "tokenizer.json"))
	}
	assert.FileExists(t, filepath.Join(out, "adapter", "adapter_model.safetensors"))
	curve, err := os.Open(filepath.Join(out, "loss.png"))
	require.NoError(t, err)
	defer curve.Close()
	_, err = png.Decode(curve)
	require.NoError(t, err)

	t.Run("with a checkpoint of one's own", func(t *testing.T) {
		o.base, o.out = filepath.Join(out, "base"), t.TempDir()
		demonstrate(t, o)
		assert.NoDirExists(t, filepath.Join(o.out, "base"))
	})
	t.Run("more questions than records", func(t *testing.T) {
		o.held = 1000
		assert.ErrorContains(t, run(context.Background(), o, &strings.Builder{}), "sft_domain.jsonl has 328 records")
	})
}

func demonstrate(t *testing.T, o options) string {
	t.Helper()
	var said strings.Builder
	require.NoError(t, run(context.Background(), o, &said))
	return said.String()
}
