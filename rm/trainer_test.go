package rm_test

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/rm"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/schedule"
)

// part is every n-th ranking of a source, or all the others.
type part struct {
	data.RankedSource
	n    int
	held bool
}

func (p part) Ranked() iter.Seq2[data.Ranked, error] {
	return func(yield func(data.Ranked, error) bool) {
		i := 0
		for r, err := range p.RankedSource.Ranked() {
			if i++; (i%p.n == 0) == p.held && !yield(r, err) {
				return
			}
		}
	}
}

// newModel is a qwen2 of random weights with a tokenizer trained on the answers.
func newModel(t *testing.T, source data.RankedSource, hidden int) *model.Model {
	t.Helper()
	var texts []string
	for r, err := range source.Ranked() {
		require.NoError(t, err)
		texts = append(append(texts, r.Instruction), r.Outputs...)
	}
	return fixture.Model(t, fixture.Shape{Vocabulary: 500, Hidden: hidden}, slices.Values(texts))
}

// learnAnswers tunes m on the domain first, as a reward model starts from a tuned model (Ouyang et al. 2022).
func learnAnswers(t *testing.T, m *model.Model) {
	t.Helper()
	samples, _, err := data.Encode(t.Context(), m.Tokenizer, data.File{Path: filepath.Join(testdata.Data(t), "sft_domain.jsonl")}, data.EncodeConfig{})
	require.NoError(t, err)
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	engine, err := train.New("sft", m, train.NextToken{Model: m}, samples, nil, train.Config{LearningRate: 3e-3, Steps: 300, MicroBatch: 16,
		Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: 20}})
	require.NoError(t, err)
	_, err = engine.Run(t.Context())
	require.NoError(t, err)
}

func TestDataRewardsAgreeWithHeldOutRankings(t *testing.T) {
	source := data.File{Path: filepath.Join(testdata.Data(t), "rm.jsonl")}
	m := newModel(t, source, 64)
	learnAnswers(t, m)
	trainer, err := rm.NewTrainer(m, rm.Config{Data: part{source, 5, false}, Center: 0.01,
		Config: train.Config{LearningRate: 1e-3, AdamW: train.AdamW{WeightDecay: 0.3}, MicroBatch: 8, Epochs: 15, Seed: 3, Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: 20}}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	require.NoError(t, err)
	report, err := rm.Evaluate(t.Context(), m, part{source, 5, true}, data.EncodeConfig{})
	require.NoError(t, err)
	t.Log(report)
	assert.Greater(t, report.Accuracy(), 0.95)
	assert.Equal(t, len(golden.Lines[json.RawMessage](t, source.Path))/5, report.Rankings)
	assert.Less(t, report.CalibrationError(), 0.1)

	// The service's way to the same rewards.
	for r, err := range (part{source, 5, true}).Ranked() {
		require.NoError(t, err)
		scores, err := rm.Score(m, r.Prompt(), r.Outputs, data.EncodeConfig{})
		require.NoError(t, err)
		assert.Len(t, scores, len(r.Outputs))
		alone, err := rm.Score(m, r.Prompt(), r.Outputs[1:2], data.EncodeConfig{})
		require.NoError(t, err)
		assert.InDelta(t, scores[1], alone[0], 1e-5)
		break
	}
}

// What is saved is loaded again, as a whole and as an adapter with its score.
func TestSaveAndLoad(t *testing.T) {
	source := data.File{Path: filepath.Join(testdata.Data(t), "rm.jsonl")}
	m := newModel(t, source, 64)
	base := t.TempDir()
	require.NoError(t, m.MakeScoring(7))
	require.NoError(t, m.Save(base, model.SaveConfig{}))
	a, err := lora.Attach(m, lora.Config{})
	require.NoError(t, err)
	trainer, err := rm.NewTrainer(m, rm.Config{Data: source, Config: train.Config{LearningRate: 1e-2, MicroBatch: 4, Steps: 3}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	require.NoError(t, err)
	prompt := []tokenizer.Message{{Role: "user", Content: "路由器发热如何处理"}}
	want, err := rm.Score(m, prompt, []string{"您好。", "随便。"}, data.EncodeConfig{})
	require.NoError(t, err)
	adapter := t.TempDir()
	require.NoError(t, a.Save(adapter))
	require.NoError(t, a.Close())
	plain, err := rm.Score(m, prompt, []string{"您好。", "随便。"}, data.EncodeConfig{})
	require.NoError(t, err)
	assert.NotEqual(t, want, plain)

	again, err := model.Load(context.Background(), base, model.LoadConfig{})
	require.NoError(t, err)
	defer again.Close()
	assert.Equal(t, "Qwen2ForSequenceClassification", again.Config.Architecture)
	b, err := lora.Load(again, adapter)
	require.NoError(t, err)
	defer b.Close()
	got, err := rm.Score(again, prompt, []string{"您好。", "随便。"}, data.EncodeConfig{})
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestWhatIsRefused(t *testing.T) {
	source := data.File{Path: filepath.Join(testdata.Data(t), "rm.jsonl")}
	m := newModel(t, source, 64)
	_, err := rm.NewTrainer(m, rm.Config{Center: -1})
	assert.ErrorContains(t, err, "Data is nil")
	assert.ErrorContains(t, err, "Center is -1")
	a, err := lora.Attach(m, lora.Config{})
	require.NoError(t, err)
	_, err = rm.NewTrainer(m, rm.Config{Data: source})
	assert.ErrorContains(t, err, "attached before")
	require.NoError(t, a.Close())
	trainer, err := rm.NewTrainer(m, rm.Config{Data: data.File{Path: "absent.jsonl"}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = m.GenerateBatch(t.Context(), [][]int32{{3, 4}}, model.GenerateConfig{MaxTokens: 1})
	assert.ErrorContains(t, err, "reward model")
}
