package grpo_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/grpo"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/rollout"
)

func TestRewardsRise(t *testing.T) {
	for name, c := range map[string]grpo.Config{
		"by token":   {},
		"by answer":  {PerAnswer: true, Unscaled: true},
		"iterations": {Iterations: 2, ClipHigh: 0.28},
		"adapter":    {Beta: 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			m := fixture.Talker(t)
			rate := 5e-3
			if name == "adapter" {
				a, err := lora.Attach(m, lora.Config{Targets: []string{lora.AllLinear}})
				require.NoError(t, err)
				defer a.Close()
				rate = 1e-2
			}
			recorder := &observe.Recorder{}
			c.Data, c.Reward, c.Answers, c.MaxTokens = fixture.Questions(t), fixture.EarlyLetters, 8, 8
			c.LearningRate, c.MicroBatch, c.Accumulate, c.Steps, c.Seed, c.Sinks = rate, 2, 2, 60, 1, []observe.Sink{recorder}
			trainer, err := grpo.NewTrainer(m, c)
			require.NoError(t, err)
			_, err = trainer.Run(t.Context())
			require.NoError(t, err)
			first, last := fixture.Rewards(recorder)
			t.Logf("reward %.3f to %.3f", first, last)
			assert.Greater(t, last, 3*first)
		})
	}
}

// The same seed gives the same answers and the same weights.
func TestTheSameSeedGivesTheSameBits(t *testing.T) {
	var sums []string
	for range 2 {
		m := fixture.Talker(t)
		trainer, err := grpo.NewTrainer(m, grpo.Config{Data: fixture.Questions(t), Reward: fixture.EarlyLetters, Answers: 4, MaxTokens: 6,
			Config: train.Config{LearningRate: 1e-3, MicroBatch: 2, Steps: 4, Seed: 9}})
		require.NoError(t, err)
		_, err = trainer.Run(t.Context())
		require.NoError(t, err)
		sum, err := m.Checksum()
		require.NoError(t, err)
		sums = append(sums, sum)
	}
	assert.Equal(t, sums[0], sums[1])
}

// A run that is taken up again after a rollout ends with the same bits.
func TestResumedIsUninterrupted(t *testing.T) {
	run := func(out, resume string) string {
		m := fixture.Talker(t)
		trainer, err := grpo.NewTrainer(m, grpo.Config{Data: fixture.Questions(t), Reward: fixture.EarlyLetters, Answers: 4, MaxTokens: 6, Iterations: 2,
			Config: train.Config{LearningRate: 1e-3, MicroBatch: 2, Steps: 8, Seed: 9, Output: out, SaveEvery: 4, KeepLast: train.Off, Resume: resume}})
		require.NoError(t, err)
		_, err = trainer.Run(t.Context())
		require.NoError(t, err)
		sum, err := m.Checksum()
		require.NoError(t, err)
		return sum
	}
	out := t.TempDir()
	want := run(out, "")
	assert.Equal(t, want, run(t.TempDir(), filepath.Join(out, "checkpoints", "step-00000004")))
}

func TestWhatIsRefused(t *testing.T) {
	m := fixture.Talker(t)
	_, err := grpo.NewTrainer(m, grpo.Config{Answers: 1, Iterations: 2, Config: train.Config{SaveEvery: 3}})
	for _, want := range []string{"Data is nil", "Reward is nil", "Answers is 1", "SaveEvery is 3"} {
		assert.ErrorContains(t, err, want)
	}
	trainer, err := grpo.NewTrainer(m, grpo.Config{Data: fixture.Questions(t), Beta: 0.1, Reward: fixture.EarlyLetters})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorContains(t, err, "load the model a second time as Reference")
	trainer, err = grpo.NewTrainer(m, grpo.Config{Data: fixture.Questions(t), MaxTokens: 2, Reward: func(context.Context, rollout.Question, []string) ([]float64, error) {
		return []float64{1}, nil
	}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorContains(t, err, "1 numbers for 8 answers")
	assert.ErrorContains(t, err, "questions.jsonl:")
}
