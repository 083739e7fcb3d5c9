package model_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
)

// Two networks of two layers: grouped heads and biases with a tied head, and a head of its own.
const (
	tied = `{"model_type":"qwen2","vocab_size":64,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":256,"tie_word_embeddings":true,"eos_token_id":2}`
	untied = `{"model_type":"llama","vocab_size":64,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
		"num_attention_heads":4,"max_position_embeddings":256,"tie_word_embeddings":false,"eos_token_id":2}`
)

func newModel(t testing.TB, description string, c model.LoadConfig) *model.Model {
	t.Helper()
	config, err := arch.Parse("config.json", []byte(description))
	require.NoError(t, err)
	m, err := model.New(config, nil, 1, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// chatModel is the folder of a tiny model with a tokenizer beside it.
func chatModel(t testing.TB) string {
	t.Helper()
	return testdata.Cases(t, testdata.Goldens(t), "evalharness/models/*")[0]
}

// chatTokenizer is the folder of a tokenizer with a chat template.
func chatTokenizer(t testing.TB) string {
	t.Helper()
	return filepath.Dir(testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/tokenizer_config.json")[0])
}

func tokens(n int, seed uint64) []int32 {
	random := rand.New(rand.NewPCG(seed, 1))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = random.Int32N(64)
	}
	return ids
}

// logits are those of the picked rows of a batch, nil for all of them.
func logits(t testing.TB, m *model.Model, b model.Batch, rows []int32) (values []float32) {
	t.Helper()
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		values = s.ToFloat32s(m.Logits(s, m.Hidden(s, b, rows, model.Pass{})))
	}))
	return values
}

// weights are the values of every parameter.
func weights(t testing.TB, m *model.Model) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range m.Parameters() {
			values[p.Name] = s.ToFloat32s(p.Tensor)
		}
	}))
	return values
}
