package dpo_test

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/dpo"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// contents are the texts of all messages.
func contents(t *testing.T, source data.Source) iter.Seq[string] {
	return func(yield func(string) bool) {
		for c, err := range source.Conversations() {
			require.NoError(t, err)
			for _, m := range c.Messages {
				if !yield(m.Content) {
					return
				}
			}
		}
	}
}

// tuned is a model of about 114,000 weights that has learned the answers of the domain.
func tuned(t *testing.T, steps int) *model.Model {
	t.Helper()
	source := data.File{Path: filepath.Join(testdata.Data(t), "sft_domain.jsonl")}
	m := fixture.Model(t, fixture.Shape{Vocabulary: 500, Hidden: 64}, contents(t, source))
	samples, _, err := data.Encode(t.Context(), m.Tokenizer, source, data.EncodeConfig{})
	require.NoError(t, err)
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	engine, err := train.New("sft", m, train.NextToken{Model: m}, samples, nil, train.Config{LearningRate: 3e-3, Steps: steps, MicroBatch: 16,
		Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: 20}})
	require.NoError(t, err)
	result, err := engine.Run(t.Context())
	require.NoError(t, err)
	t.Logf("%d weights, loss %.3f", m.Config.NumParameters(), result.Loss)
	return m
}

func metrics(recorder *observe.Recorder) (first, last map[string]float64) {
	_, steps := observe.All[observe.Step](recorder.Events())
	return steps[0].Metrics, steps[len(steps)-1].Metrics
}

func TestDataMarginsRise(t *testing.T) {
	m := tuned(t, 300)
	pairs := data.File{Path: filepath.Join(testdata.Data(t), "dpo.jsonl")}
	all := len(golden.Lines[json.RawMessage](t, pairs.Path))
	for name, c := range map[string]dpo.Config{
		"all weights": {Config: train.Config{LearningRate: 1e-3}},
		"adapter":     {Config: train.Config{LearningRate: 5e-3}},
		"simpo":       {Loss: dpo.SimPO, Config: train.Config{LearningRate: 1e-3}},
		"ipo":         {Loss: dpo.IPO, Config: train.Config{LearningRate: 5e-4}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, m.Save(dir, model.SaveConfig{}))
			policy, err := model.Load(context.Background(), dir, model.LoadConfig{})
			require.NoError(t, err)
			defer policy.Close()
			if name == "adapter" {
				a, err := lora.Attach(policy, lora.Config{Targets: []string{lora.AllLinear}})
				require.NoError(t, err)
				defer a.Close()
			}
			recorder := &observe.Recorder{}
			c.Data, c.Sinks, c.Steps, c.Seed, c.EvalShare = pairs, []observe.Sink{recorder}, 60, 1, 0.1
			trainer, err := dpo.NewTrainer(policy, c)
			require.NoError(t, err)
			result, err := trainer.Run(t.Context())
			require.NoError(t, err)
			assert.Equal(t, all, result.Ledger.Read)
			first, last := metrics(recorder)
			if c.Loss == "" || c.Loss == dpo.IPO {
				assert.Zero(t, first["rewards/margins"], "before the first step policy and reference are the same, to the bit")
			}
			_, held := observe.All[observe.Evaluation](recorder.Events())
			t.Logf("margin %.3f to %.3f, held out %.3f, accuracy %.3f", first["rewards/margins"], last["rewards/margins"],
				held[len(held)-1].Metrics["rewards/margins"], held[len(held)-1].Metrics["rewards/accuracies"])
			assert.Greater(t, held[len(held)-1].Metrics["rewards/accuracies"], 0.9)
			if c.Loss == "" {
				assert.Greater(t, last["rewards/margins"], 1.8)
			}
		})
	}
}

// The same pairs as single answers, good or bad.
func TestDataJudgedAnswersAreToldApart(t *testing.T) {
	m := tuned(t, 300)
	path := filepath.Join(t.TempDir(), "judged.jsonl")
	file, err := os.Create(path)
	require.NoError(t, err)
	lines := json.NewEncoder(file)
	for p, err := range (data.File{Path: filepath.Join(testdata.Data(t), "dpo.jsonl")}).Pairs() {
		require.NoError(t, err)
		require.NoError(t, lines.Encode(map[string]any{"instruction": p.Instruction, "input": p.Input, "output": p.Chosen, "kto_tag": true}))
		require.NoError(t, lines.Encode(map[string]any{"instruction": p.Instruction, "input": p.Input, "output": p.Rejected, "label": false}))
	}
	require.NoError(t, file.Close())
	a, err := lora.Attach(m, lora.Config{Targets: []string{lora.AllLinear}})
	require.NoError(t, err)
	defer a.Close()
	recorder := &observe.Recorder{}
	trainer, err := dpo.NewKTOTrainer(m, dpo.KTOConfig{Data: data.File{Path: path}, Config: train.Config{LearningRate: 5e-3, Steps: 60, MicroBatch: 8,
		EvalShare: 0.1, Seed: 1, Sinks: []observe.Sink{recorder}}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	require.NoError(t, err)
	_, held := observe.All[observe.Evaluation](recorder.Events())
	t.Log(held[len(held)-1].Metrics)
	assert.Greater(t, held[len(held)-1].Metrics["rewards/margins"], 1.0)
}

// A run that keeps log-probabilities of the reference beside it goes on to the same bit.
func TestReferenceIsKept(t *testing.T) {
	pairs := data.File{Path: filepath.Join(testdata.Data(t), "dpo.jsonl")}
	out := t.TempDir()
	run := func(resume string) *model.Model {
		m := tuned(t, 5)
		trainer, err := dpo.NewTrainer(m, dpo.Config{Data: pairs, Config: train.Config{LearningRate: 1e-3, Epochs: 1, MicroBatch: 8, Seed: 2, Resume: resume, Output: out, SaveEvery: 10}})
		require.NoError(t, err)
		_, err = trainer.Run(t.Context())
		require.NoError(t, err)
		return m
	}
	m := run("")
	kept, err := filepath.Glob(filepath.Join(out, "reference-*.safetensors"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	sum, err := m.Checksum()
	require.NoError(t, err)
	again := run(filepath.Join(out, "checkpoints", "step-00000030"))
	other, err := again.Checksum()
	require.NoError(t, err)
	assert.Equal(t, sum, other)

	m = tuned(t, 5) // with another beta it would be another run
	trainer, err := dpo.NewTrainer(m, dpo.Config{Data: pairs, Beta: 0.5, Config: train.Config{LearningRate: 1e-3, Epochs: 1, MicroBatch: 8, Seed: 2,
		Resume: filepath.Join(out, "checkpoints", "step-00000030"), Output: out, SaveEvery: 10}})
	require.NoError(t, err)
	_, err = trainer.Run(t.Context())
	assert.ErrorContains(t, err, "beta 0.1")
	assert.ErrorContains(t, err, "beta 0.5")
}
