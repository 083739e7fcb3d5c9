package train_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/train"
)

// shuffled is LoRA training with everything on that draws random numbers.
func shuffled() setting {
	return setting{
		lora:    &lora.Config{Rank: 4, Dropout: 0.2, Seed: 5},
		config:  train.Config{LearningRate: 1e-2, MicroBatch: 2, Accumulate: 2, Epochs: 3, Seed: 7},
		samples: newSamples(7, 1), // 2 steps an epoch, the second of 3 samples in two micro-batches
	}
}

func TestTheSameSeedGivesTheSameBits(t *testing.T) {
	was := torch.Threads()
	defer torch.SetThreads(was)
	for _, threads := range []int{1, 2} {
		require.NoError(t, torch.SetThreads(threads))
		a, b := shuffled().run(t, context.Background()), shuffled().run(t, context.Background())
		require.NoError(t, a.err)
		require.Len(t, a.steps, 6)
		assert.Equal(t, a.numbers(), b.numbers(), "%d threads", threads)
		assert.Equal(t, a.weights, b.weights, "%d threads", threads)
	}
}

func TestAnotherSeedGivesAnotherRun(t *testing.T) {
	a := shuffled().run(t, context.Background())
	for name, change := range map[string]func(*setting){
		"of order and dropout":       func(s *setting) { s.config.Seed = 8 },
		"of the adapter's start":     func(s *setting) { s.lora.Seed = 6 },
		"with dropout off":           func(s *setting) { s.lora.Dropout = 0 },
		"with the order of the data": func(s *setting) { s.config.InOrder = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := shuffled()
			change(&s)
			assert.NotEqual(t, a.weights, s.run(t, context.Background()).weights)
		})
	}
}

func TestTheBaseIsFrozenUnderAnAdapter(t *testing.T) {
	m := newModel(t)
	before := valuesOf(t, m.Parameters())
	o := shuffled().on(t, context.Background(), m)
	require.NoError(t, o.err)
	assert.Equal(t, before, o.base, "bit for bit")
	for name, values := range o.weights {
		assert.NotZero(t, absSum(values), "%s has been trained", name)
	}
}

func TestEveryWeightChangesWhenAllAreTrained(t *testing.T) {
	m := newModel(t)
	before := valuesOf(t, m.Parameters())
	s := shuffled()
	s.lora = nil
	o := s.on(t, context.Background(), m)
	require.NoError(t, o.err)
	for name, values := range o.weights {
		assert.NotEqual(t, before[name], values, name)
	}
	assert.Len(t, o.weights, len(before))
}

// 60 steps on four samples: the model learns them by heart.
func TestTheLossFalls(t *testing.T) {
	s := setting{samples: newSamples(4, 2), config: train.Config{LearningRate: 1e-2, Steps: 60}}
	o := s.run(t, context.Background())
	require.NoError(t, o.err)
	assert.Greater(t, o.steps[0].Loss, 3.5, "near ln 64 = 4.16")
	assert.Less(t, o.result.Loss, 0.1)
}

func absSum(values []float32) (sum float64) {
	for _, x := range values {
		sum += max(float64(x), -float64(x))
	}
	return sum
}
