package lora_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
)

const (
	tied = `{"model_type":"qwen2","vocab_size":64,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":256,"tie_word_embeddings":true}`
	untied = `{"model_type":"llama","vocab_size":64,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
		"num_attention_heads":4,"max_position_embeddings":256,"tie_word_embeddings":false}`
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

func attach(t testing.TB, m *model.Model, c lora.Config) *lora.Adapter {
	t.Helper()
	a, err := lora.Attach(m, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// learned gives every weight of an adapter that starts at zero (B) a value, as training would. Values fall with seed.
func learned(t testing.TB, a *lora.Adapter, seed int) *lora.Adapter {
	t.Helper()
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for n, p := range a.Parameters() {
			values := s.ToFloat32s(p.Tensor)
			for i := range values {
				values[i] += float32((i*7+n*13+seed*31)%17-8) / 400
			}
			s.Copy(p.Tensor, s.Float32s(values, p.Shape...))
		}
	}))
	return a
}

var sequence = model.Sequences([]int32{5, 9, 33, 2, 60, 1, 17}, []int32{44, 3})

// probe is the logits of a fixed batch.
func probe(t testing.TB, m *model.Model) []float32 {
	t.Helper()
	return passed(t, m, model.Pass{})
}

func passed(t testing.TB, m *model.Model, pass model.Pass) (values []float32) {
	t.Helper()
	require.NoError(t, torch.Do(func(s *torch.Scope) { values = s.ToFloat32s(m.Logits(s, m.Hidden(s, sequence, nil, pass))) }))
	return values
}
