package ppo_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/ppo"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/rollout"
)

func TestRewardsRise(t *testing.T) {
	for name, c := range map[string]ppo.Config{
		"all weights": {Beta: train.Off},
		"adapter":     {Beta: 0.01, Unfinished: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			m := fixture.Talker(t)
			rate := 3e-3
			if name == "adapter" {
				a, err := lora.Attach(m, lora.Config{Targets: []string{lora.AllLinear}})
				require.NoError(t, err)
				defer a.Close()
				rate = 1e-2
			}
			recorder := &observe.Recorder{}
			c.Data, c.Reward, c.Answers, c.MaxTokens, c.Iterations = fixture.Questions(t), fixture.EarlyLetters, 8, 8, 2
			c.LearningRate, c.MicroBatch, c.Steps, c.Seed, c.Sinks = rate, 4, 80, 1, []observe.Sink{recorder}
			trainer, err := ppo.NewTrainer(m, c)
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
		trainer, err := ppo.NewTrainer(m, ppo.Config{Data: fixture.Questions(t), Reward: fixture.EarlyLetters, Answers: 4, MaxTokens: 6, Beta: train.Off,
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
		trainer, err := ppo.NewTrainer(m, ppo.Config{Data: fixture.Questions(t), Reward: fixture.EarlyLetters, Answers: 4, MaxTokens: 6, Iterations: 2, Beta: train.Off,
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
	_, err := ppo.NewTrainer(m, ppo.Config{Answers: -1, Iterations: 2, Config: train.Config{SaveEvery: 3}})
	for _, want := range []string{"Data is nil", "Reward is nil", "Answers is -1", "SaveEvery is 3"} {
		assert.ErrorContains(t, err, want)
	}
	trainer, err := ppo.NewTrainer(m, ppo.Config{Data: fixture.Questions(t), Beta: 0.1, Reward: fixture.EarlyLetters})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorContains(t, err, "load the model a second time as Reference")
	trainer, err = ppo.NewTrainer(m, ppo.Config{Data: fixture.Questions(t), MaxTokens: 2, Answers: 8, Beta: train.Off, Reward: func(context.Context, rollout.Question, []string) ([]float64, error) {
		return []float64{1}, nil
	}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorContains(t, err, "1 numbers for 8 answers")
	assert.ErrorContains(t, err, "questions.jsonl:")
}
