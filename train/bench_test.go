package train_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/train"
)

// A small qwen2-like model with a large vocabulary: the shape of bench/peers/workload.py.
const small = `{"model_type":"qwen2","vocab_size":32000,"hidden_size":256,"intermediate_size":768,"num_hidden_layers":8,
	"num_attention_heads":8,"num_key_value_heads":2,"max_position_embeddings":4096,"tie_word_embeddings":true}`

// BenchmarkSaving trains every weight of a network, with and without a checkpoint at every step, in turn.
func BenchmarkSaving(b *testing.B) {
	for _, every := range []int{train.Off, 1} {
		name := "no checkpoints"
		if every == 1 {
			name = "one a step"
		}
		b.Run(name, func(b *testing.B) {
			config, err := arch.Parse("config.json", []byte(small))
			require.NoError(b, err)
			m, err := model.New(config, nil, 1, model.LoadConfig{})
			require.NoError(b, err)
			defer m.Close()
			require.NoError(b, m.SetTrainable(func(string) bool { return true }))
			var samples []data.Sample
			random := rand.New(rand.NewPCG(1, 1))
			for range 64 {
				var s data.Sample
				for range 128 {
					s.IDs = append(s.IDs, random.Int32N(8000))
				}
				s.Labels = s.IDs
				samples = append(samples, s)
			}
			engine, err := train.New("bench", m, train.NextToken{Model: m}, samples, nil, train.Config{LearningRate: 1e-4, Steps: 12,
				MicroBatch: 8, Accumulate: 1, Output: b.TempDir(), SaveEvery: every, KeepLast: 1})
			require.NoError(b, err)
			b.ResetTimer()
			result, err := engine.Run(context.Background())
			require.NoError(b, err)
			b.ReportMetric(float64(result.Tokens)/result.Duration.Seconds(), "tokens/s")
		})
	}
}

func BenchmarkLoRAStep(b *testing.B) {
	config, err := arch.Parse("config.json", []byte(small))
	require.NoError(b, err)
	m, err := model.New(config, nil, 1, model.LoadConfig{})
	require.NoError(b, err)
	defer m.Close()
	a, err := lora.Attach(m, lora.Config{})
	require.NoError(b, err)
	defer a.Close()
	random := rand.New(rand.NewPCG(1, 1))
	var samples []data.Sample
	tokens := 0
	for range 8 {
		var s data.Sample
		prompt, answer := 65+random.IntN(140), 20+random.IntN(180)
		for i := range prompt + answer {
			id := random.Int32N(8000)
			s.IDs = append(s.IDs, id)
			if i < prompt {
				id = data.NoLabel
			}
			s.Labels = append(s.Labels, id)
		}
		tokens += len(s.IDs)
		samples = append(samples, s)
	}
	engine, err := train.New("bench", m, train.NextToken{Model: m}, samples, nil, train.Config{LearningRate: 1e-4, Steps: b.N + 1})
	require.NoError(b, err)
	b.ResetTimer()
	result, err := engine.Run(context.Background())
	require.NoError(b, err)
	b.ReportMetric(result.TokensPerSecond, "tokens/s")
	b.ReportMetric(float64(torch.MemoryNow().Peak)/1e6, "peak-MB")
}
