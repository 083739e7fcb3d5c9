package sft_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
)

const config = `{"model_type":"qwen2","vocab_size":320,"hidden_size":32,"intermediate_size":64,"num_hidden_layers":2,
	"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":512,"tie_word_embeddings":true}`

// newTokenizer learns a byte-level vocabulary with a ChatML template.
func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	dir := t.TempDir()
	texts := func(yield func(string) bool) {
		yield(strings.Repeat("What colour is the sky? Blue. 天空是什么颜色？蓝色。", 3))
	}
	vocabulary, err := bpe.Train(t.Context(), texts, bpe.Config{VocabSize: 300})
	require.NoError(t, err)
	require.NoError(t, vocabulary.Save(dir))
	tok, err := tokenizer.Load(dir)
	require.NoError(t, err)
	return tok
}

func newModel(t testing.TB) *model.Model {
	t.Helper()
	c, err := arch.Parse("config.json", []byte(config))
	require.NoError(t, err)
	m, err := model.New(c, newTokenizer(t), 1, model.LoadConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// records are lines of the file format, the questions numbered from 1.
func records(n int) (lines []string) {
	colours := []string{"blue", "green", "red", "white"}
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"instruction": "What colour is thing %d?", "input": "", "output": "It is %s.", "history": []}`,
			i+1, colours[i%len(colours)]))
	}
	return lines
}

func file(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chats.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666))
	return path
}

func weights(t testing.TB, params []*model.Parameter) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range params {
			values[p.Name] = s.ToFloat32s(p.Tensor)
		}
	}))
	return values
}
