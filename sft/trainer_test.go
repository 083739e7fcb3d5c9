package sft_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
)

// tune runs one fine-tuning of m.
func tune(t *testing.T, ctx context.Context, m *model.Model, c sft.Config) (train.Result, error) {
	t.Helper()
	trainer, err := sft.NewTrainer(m, c)
	require.NoError(t, err)
	return trainer.Run(ctx)
}

// A model of two layers learns eight answers by heart, and gives them back.
func TestAModelLearnsWhatItIsTaught(t *testing.T) {
	m := newModel(t)
	path := file(t, records(8)...)
	result, err := tune(t, context.Background(), m, sft.Config{Data: data.File{Path: path},
		Config: train.Config{LearningRate: 1e-2, Steps: 150, Seed: 1}})
	require.NoError(t, err)
	assert.Less(t, result.Loss, 0.05)
	assert.Equal(t, 8, result.Ledger.Kept)
	assert.Equal(t, result.All, result.Trainable, "every weight is trained where there is no adapter")
	var answer strings.Builder
	question := []tokenizer.Message{{Role: "user", Content: "What colour is thing 3?"}}
	for piece, err := range m.Chat(context.Background(), question, model.GenerateConfig{MaxTokens: 20}) {
		require.NoError(t, err)
		answer.WriteString(piece)
	}
	assert.Equal(t, "It is red.", answer.String(), "and it ends: the end of the turn was learned")
}

func TestOnlyTheAdapterIsTrained(t *testing.T) {
	m := newModel(t)
	base := weights(t, m.Parameters())
	run := func(seed uint64) map[string][]float32 {
		a, err := lora.Attach(m, lora.Config{Rank: 4, Dropout: 0.1})
		require.NoError(t, err)
		defer a.Close()
		result, err := tune(t, context.Background(), m, sft.Config{Data: data.File{Path: file(t, records(12)...)},
			Config: train.Config{LearningRate: 1e-2, Epochs: 2, MicroBatch: 4, Seed: seed}})
		require.NoError(t, err)
		assert.Equal(t, a.Report().Trainable, result.Trainable)
		assert.Equal(t, a.Report().All, result.All)
		return weights(t, a.Parameters())
	}
	first := run(1)
	assert.Equal(t, first, run(1), "same seed, same bits")
	assert.NotEqual(t, first, run(2))
	assert.Equal(t, base, weights(t, m.Parameters()))
}

// Unless one is given, the rate is that of what is trained.
func TestDefaultRates(t *testing.T) {
	rate := func(m *model.Model) float64 {
		recorder := &observe.Recorder{}
		_, err := tune(t, context.Background(), m, sft.Config{Data: data.File{Path: file(t, records(2)...)},
			Config: train.Config{Steps: 1, Sinks: []observe.Sink{recorder}}})
		require.NoError(t, err)
		_, steps := observe.All[observe.Step](recorder.Events())
		return steps[0].LearningRate
	}
	assert.Equal(t, sft.FullLearningRate, rate(newModel(t)))
	m := newModel(t)
	a, err := lora.Attach(m, lora.Config{})
	require.NoError(t, err)
	defer a.Close()
	assert.Equal(t, sft.AdapterLearningRate, rate(m))
}

func TestWeightsChosenByHandStayChosen(t *testing.T) {
	m := newModel(t)
	before := weights(t, m.Parameters())
	require.NoError(t, m.SetTrainable(func(name string) bool { return strings.HasSuffix(name, "norm.weight") }))
	_, err := tune(t, context.Background(), m, sft.Config{Data: data.File{Path: file(t, records(4)...)},
		Config: train.Config{LearningRate: 1e-2, Steps: 2}})
	require.NoError(t, err)
	for name, values := range weights(t, m.Parameters()) {
		if strings.HasSuffix(name, "norm.weight") {
			assert.NotEqual(t, before[name], values, name)
		} else {
			assert.Equal(t, before[name], values, name)
		}
	}
}

func TestHeldOutSamplesAreEvaluated(t *testing.T) {
	for name, c := range map[string]sft.Config{
		"a share":     {Config: train.Config{EvalShare: 0.25}},
		"of its file": {Eval: data.File{Path: file(t, records(2)...)}},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := &observe.Recorder{}
			c.Data, c.Sinks, c.Epochs, c.LearningRate = data.File{Path: file(t, records(8)...)}, []observe.Sink{recorder}, 2, 1e-3
			result, err := tune(t, context.Background(), newModel(t), c)
			require.NoError(t, err)
			_, evaluations := observe.All[observe.Evaluation](recorder.Events())
			require.Len(t, evaluations, 2, "one after each epoch")
			assert.Equal(t, 2, evaluations[0].Samples)
			assert.Equal(t, evaluations[1].Loss, result.EvalLoss)
		})
	}
}

// What became of the records is told before the first step.
func TestTheLedgerIsTold(t *testing.T) {
	recorder := &observe.Recorder{}
	long := fmt.Sprintf(`{"instruction": "%s", "output": "yes"}`, strings.Repeat("why ", 400))
	result, err := tune(t, context.Background(), newModel(t), sft.Config{Data: data.File{Path: file(t, append(records(3), long)...)},
		Encode: data.EncodeConfig{MaxLength: 100}, Config: train.Config{LearningRate: 1e-3, Steps: 1, Sinks: []observe.Sink{recorder}}})
	require.NoError(t, err)
	_, ledgers := observe.All[observe.Ledger](recorder.Events())
	assert.Equal(t, []observe.Ledger{{Read: 4, Kept: 3, Dropped: 1}}, ledgers)
	require.Len(t, result.Ledger.Entries, 1)
	assert.Equal(t, 4, result.Ledger.Entries[0].Line)
}

// Bad data stop a run before anything is begun: no folder, no change of a weight, and the place is named.
func TestBadDataEndsARunBeforeItBegins(t *testing.T) {
	broken := records(30)
	broken[16] = `{"instruction": "What colour is thing 17?", "output": "It is`
	history := records(30)
	history[16] = `{"instruction": "q", "output": "a", "history": [["only one"]]}`
	for name, tt := range map[string]struct {
		path string
		want []string
		is   error
	}{
		"a torn line 17":    {file(t, broken...), []string{"chats.jsonl:17"}, nil},
		"a bad history":     {file(t, history...), []string{"chats.jsonl:17", "history[0]"}, data.ErrBadHistory},
		"an empty file":     {file(t), []string{"chats.jsonl"}, data.ErrEmptyFile},
		"no file":           {filepath.Join(t.TempDir(), "nowhere.jsonl"), []string{"nowhere.jsonl"}, os.ErrNotExist},
		"all answers empty": {file(t, `{"instruction": "q", "output": ""}`), []string{"chats.jsonl:1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, out := newModel(t), filepath.Join(t.TempDir(), "out")
			before, handles := weights(t, m.Parameters()), torch.Live()
			result, err := tune(t, context.Background(), m, sft.Config{Data: data.File{Path: tt.path}, Config: train.Config{Output: out}})
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
			assert.NotNil(t, result.Ledger)
			assert.NoDirExists(t, out, "no partial output")
			assert.Equal(t, before, weights(t, m.Parameters()))
			assert.Equal(t, handles, torch.Live())
		})
	}
}

func TestALenientRunCountsWhatItDrops(t *testing.T) {
	lines := records(20)
	lines[16] = `{"instruction": "q", "output": "a", "history": [["only one"]]}`
	result, err := tune(t, context.Background(), newModel(t), sft.Config{Data: data.File{Path: file(t, lines...)},
		Encode: data.EncodeConfig{Lenient: true}, Config: train.Config{LearningRate: 1e-3, Steps: 1}})
	require.NoError(t, err)
	assert.Equal(t, 19, result.Ledger.Kept)
	assert.Equal(t, 17, result.Ledger.Entries[0].Line)
}

func TestEveryProblemOfTheConfigAtOnce(t *testing.T) {
	_, err := sft.NewTrainer(newModel(t), sft.Config{Encode: data.EncodeConfig{MaxLength: -5, Workers: -1},
		Config: train.Config{LearningRate: -1, MicroBatch: -2, EvalShare: 3}})
	for _, field := range []string{"Data", "MaxLength", "Workers", "LearningRate", "MicroBatch", "EvalShare"} {
		assert.ErrorContains(t, err, field)
	}
}

func TestModelsThatCannotBeTuned(t *testing.T) {
	c := sft.Config{Data: data.File{Path: "chats.jsonl"}}
	_, err := sft.NewTrainer(nil, c)
	assert.ErrorContains(t, err, "tokenizer")
	without := newModel(t)
	without.Tokenizer = nil
	_, err = sft.NewTrainer(without, c)
	assert.ErrorContains(t, err, "tokenizer.json")
	other := newModel(t)
	other.Tokenizer, err = tokenizer.Load(filepath.Dir(testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/tokenizer.json")[0]))
	require.NoError(t, err)
	_, err = sft.NewTrainer(other, c)
	assert.ErrorIs(t, err, model.ErrVocabMismatch)
	closed := newModel(t)
	require.NoError(t, closed.Close())
	_, err = sft.NewTrainer(closed, c)
	assert.ErrorIs(t, err, model.ErrClosed)
}

func TestACancelledRunIsResumedToTheSameEnd(t *testing.T) {
	run := func(ctx context.Context, out string, sinks ...observe.Sink) (map[string][]float32, train.Result, error) {
		m := newModel(t)
		a, err := lora.Attach(m, lora.Config{Dropout: 0.1})
		require.NoError(t, err)
		defer a.Close()
		result, err := tune(t, ctx, m, sft.Config{Data: data.File{Path: file(t, records(10)...)}, Config: train.Config{LearningRate: 1e-2,
			Epochs: 3, MicroBatch: 2, Output: out, Resume: "auto", Sinks: sinks}})
		return weights(t, a.Parameters()), result, err
	}
	whole, _, err := run(context.Background(), t.TempDir())
	require.NoError(t, err)
	out := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, stopped, err := run(ctx, out, observe.SinkFunc(func(e observe.Event) {
		if e.Step == 4 {
			cancel() // from another goroutine: the run is then at step 4 or a little later
		}
	}))
	if !errors.Is(err, context.Canceled) {
		require.NoError(t, err)
		require.Equal(t, 15, stopped.Steps, "it was faster than the cancelling")
	}
	rest, result, err := run(context.Background(), out)
	require.NoError(t, err)
	assert.Equal(t, 15, result.Steps)
	assert.Equal(t, whole, rest)
}

func TestCancelledWhileEncoding(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out := filepath.Join(t.TempDir(), "out")
	_, err := tune(t, ctx, newModel(t), sft.Config{Data: data.File{Path: file(t, records(4)...)}, Config: train.Config{Output: out}})
	assert.ErrorIs(t, err, context.Canceled)
	assert.NoDirExists(t, out)
}
