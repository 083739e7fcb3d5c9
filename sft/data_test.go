package sft_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// A model of some 114,000 random weights learns the answers, which are a regular function of the question: the loss on questions that it was
// not trained on falls from about 5.5 to under 0.6 in 300 steps.
func TestDataAnswersAreLearned(t *testing.T) {
	source := data.File{Path: filepath.Join(testdata.Data(t), "sft_domain.jsonl")}
	m := fixture.Model(t, fixture.Shape{Vocabulary: 500, Hidden: 64}, func(yield func(string) bool) {
		for c, err := range source.Conversations() {
			require.NoError(t, err)
			for _, m := range c.Messages {
				if !yield(m.Content) {
					return
				}
			}
		}
	})
	recorder := &observe.Recorder{}
	trainer, err := sft.NewTrainer(m, sft.Config{Data: source, Config: train.Config{LearningRate: 3e-3, Steps: 300, MicroBatch: 16, EvalShare: 0.1,
		EvalEvery: 50, Seed: 1, Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: 20}, Sinks: []observe.Sink{recorder}}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	require.NoError(t, err)
	_, held := observe.All[observe.Evaluation](recorder.Events())
	t.Logf("%d weights: held-out loss %.2f after 50 steps, %.3f after 300", m.Config.NumParameters(), held[0].Loss, held[len(held)-1].Loss)
	_, steps := observe.All[observe.Step](recorder.Events())
	assert.Greater(t, steps[0].Loss, 5.0)
	assert.Less(t, held[len(held)-1].Loss, 0.6)
}
