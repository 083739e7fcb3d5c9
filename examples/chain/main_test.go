package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The whole chain, shortened: every stage finds what the one before has left.
func TestChain(t *testing.T) {
	o := options{data: filepath.Join("..", "..", "testdata", "data"), out: t.TempDir(), steps: 10}
	require.NoError(t, run(t.Context(), o))
	for _, left := range []string{"base/model.safetensors", "sft/generation_config.json", "reward/config.json", "ppo/adapter_model.safetensors", "dpo/adapter_model.safetensors"} {
		_, err := os.Stat(filepath.Join(o.out, left))
		assert.NoError(t, err)
	}
}
