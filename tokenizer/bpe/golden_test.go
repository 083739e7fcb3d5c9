package bpe_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
)

// reference is what Hugging Face tokenizers learned; see testdata/make.py.
type reference struct {
	Pattern   string
	VocabSize int `json:"vocab_size"`
	MinCount  int `json:"min_frequency"`
	Special   []string
	Texts     []string
	Tokens    []string
	Merges    [][2]string
	Encoded   [][]int32 // of the first texts
}

func TestGoldenMerges(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, path := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var want reference
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(raw, &want))
			got, err := bpe.Train(context.Background(), slices.Values(want.Texts),
				bpe.Config{VocabSize: want.VocabSize, MinCount: want.MinCount, Pattern: want.Pattern, Special: want.Special})
			require.NoError(t, err)
			assert.Equal(t, want.Merges, got.Merges)
			assert.Equal(t, want.Tokens, got.Tokens)
			dir := t.TempDir()
			require.NoError(t, got.Save(dir))
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			for i, ids := range want.Encoded {
				assert.Equal(t, ids, tok.Encode(want.Texts[i]))
			}
		})
	}
}
