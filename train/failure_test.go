package train_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
)

// set writes value into one row of a weight.
func set(t *testing.T, p *model.Parameter, row int64, value float32) {
	t.Helper()
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		part := s.Narrow(p.Tensor, 0, row, 1)
		fill := make([]float32, part.Numel())
		for i := range fill {
			fill[i] = value
		}
		s.Copy(part, s.Float32s(fill, part.Shape()...))
	}))
}

// An embedding row that is infinite makes the loss of the sample that has the token NaN. Nothing is changed, and the sample is named.
func TestALossThatIsNotFiniteChangesNothing(t *testing.T) {
	samples := newSamples(6, 1)
	samples[4].IDs[1] = 63 // in no other sample
	s := setting{samples: samples, config: train.Config{LearningRate: 1e-2, MicroBatch: 1, Accumulate: 3, InOrder: true, Output: t.TempDir(), SaveEvery: 1}}
	untied := strings.Replace(tiny, `"tie_word_embeddings":true`, `"tie_word_embeddings":false`, 1)
	want := s
	want.config.Output, want.config.Steps = "", 1
	want.config.Schedule.Name, s.config.Schedule.Name = "constant", "constant"
	good := want.on(t, context.Background(), modelOf(t, untied))
	require.NoError(t, good.err)

	m := modelOf(t, untied)
	s.wrap = before(func(call int) {
		if call == 4 { // step 2 begins
			set(t, m.Parameter("model.embed_tokens.weight"), 63, float32(math.Inf(1)))
		}
	})
	o := s.on(t, context.Background(), m)
	assert.ErrorIs(t, o.err, train.ErrNonFinite)
	assert.ErrorContains(t, o.err, "step 2")
	assert.ErrorContains(t, o.err, "micro-batch 2")
	assert.ErrorContains(t, o.err, "sample 4 (chats.jsonl:5)")
	assert.Equal(t, 1, o.result.Steps)
	for name, values := range good.weights {
		if name != "model.embed_tokens.weight" {
			assert.Equal(t, values, o.weights[name], name)
		}
	}
	assert.Equal(t, step(s.config.Output, 1), o.result.Checkpoint, "the last good one")
	assert.Equal(t, []string{"step-00000001"}, folders(t, s.config.Output))
	_, ends := observe.All[observe.End](o.events)
	require.Len(t, ends, 1)
	assert.True(t, ends[0].Failed)
}

// A rate far too high ruins the weights in step 1; step 2 finds out and stops.
func TestARateFarTooHigh(t *testing.T) {
	s := setting{samples: newSamples(4, 1), config: train.Config{LearningRate: 1e30, Steps: 1, MaxGradNorm: train.Off}}
	first := s.run(t, context.Background())
	require.NoError(t, first.err)
	s.config.Steps, s.config.Schedule.Name = 5, "constant"
	again := s.run(t, context.Background())
	assert.ErrorIs(t, again.err, train.ErrNonFinite)
	assert.Equal(t, 1, again.result.Steps)
	assert.Equal(t, first.weights, again.weights)
}

func TestNothingToLearn(t *testing.T) {
	silent := data.Sample{IDs: []int32{1, 2, 3}, Labels: []int32{data.NoLabel, data.NoLabel, data.NoLabel}}
	first := data.Sample{IDs: []int32{1, 2}, Labels: []int32{1, data.NoLabel}} // nothing predicts the first token
	for name, samples := range map[string][]data.Sample{"no label": {silent, silent}, "only the first token": {first}} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t)
			before := valuesOf(t, m.Parameters())
			o := setting{samples: samples, config: train.Config{LearningRate: 1e-3}}.on(t, context.Background(), m)
			assert.ErrorIs(t, o.err, train.ErrNoTargets)
			assert.Equal(t, before, o.base)
		})
	}
}

// Wherever memory ends, the error says so, nothing is held afterwards, and the model can go on. The limits walk through a whole run:
// the optimizer's state, forward, head, backward, the update.
func TestOutOfMemoryAnywhere(t *testing.T) {
	defer torch.LimitMemory(0)
	m := newModel(t)
	a, err := lora.Attach(m, lora.Config{Rank: 4})
	require.NoError(t, err)
	defer a.Close()
	samples := newSamples(4, 1)
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	before := valuesOf(t, a.Parameters())
	failed := 0
	for room := int64(0); ; room += 3_000 {
		require.Less(t, room, int64(1<<26), "it never succeeds")
		engine, err := train.New("test", m, train.NextToken{Model: m}, samples, nil, train.Config{LearningRate: 1e-2, Steps: 1})
		require.NoError(t, err)
		torch.LimitMemory(bytes + 1 + room)
		_, err = engine.Run(context.Background())
		torch.LimitMemory(0)
		require.Equal(t, handles, torch.Live(), "tensors, with room for %d bytes", room)
		require.Equal(t, bytes, torch.MemoryNow().Live, "bytes, with room for %d bytes", room)
		if err == nil {
			break
		}
		failed++
		require.ErrorIs(t, err, torch.ErrOutOfMemory, "with room for %d bytes", room)
		require.Equal(t, before, valuesOf(t, a.Parameters()))
	}
	t.Logf("failed at %d limits, then trained", failed)
	assert.Greater(t, failed, 5)
	assert.NotEqual(t, before, valuesOf(t, a.Parameters()))
}

// A sink is the user's code; what it does is its own affair.
func TestASinkThatPanicsDoesNotEndTheRun(t *testing.T) {
	want := shuffled().run(t, context.Background())
	s := shuffled()
	s.config.Sinks = []observe.Sink{observe.SinkFunc(func(e observe.Event) {
		if e.Step == 2 {
			panic("a bug in a progress bar")
		}
	})}
	o := s.run(t, context.Background())
	assert.ErrorIs(t, o.err, train.ErrSink)
	assert.ErrorContains(t, o.err, "a bug in a progress bar")
	assert.Equal(t, want.numbers(), o.numbers(), "the other sinks see everything")
	assert.Equal(t, want.weights, o.weights)
	assert.Equal(t, 6, o.result.Steps)
}

// An objective is a stage's code.
func TestAnObjectiveThatPanicsIsAnError(t *testing.T) {
	s := shuffled()
	s.wrap = before(func(call int) {
		if call == 3 {
			panic("a bug in a stage")
		}
	})
	o := s.run(t, context.Background())
	assert.ErrorContains(t, o.err, "a bug in a stage")
	assert.Equal(t, 1, o.result.Steps)
}

func TestAWeightThatTheLossDoesNotDependOn(t *testing.T) {
	m := newModel(t)
	a, err := lora.Attach(m, lora.Config{})
	require.NoError(t, err)
	defer a.Close()
	engine, err := train.New("test", m, train.NextToken{Model: m}, newSamples(2, 1), nil, train.Config{LearningRate: 1e-3})
	require.NoError(t, err)
	lora.Deactivate(m) // after the run was planned
	_, err = engine.Run(context.Background())
	assert.ErrorContains(t, err, "lora_A.weight")
}

func TestATokenBeyondTheVocabulary(t *testing.T) {
	for _, id := range []int32{64, -1, math.MaxInt32} {
		samples := newSamples(2, 1)
		samples[1].IDs[2] = id
		o := setting{samples: samples, config: train.Config{LearningRate: 1e-3}}.run(t, context.Background())
		assert.ErrorContains(t, o.err, "the embedding has 64 rows")
		samples = newSamples(2, 1)
		samples[1].Labels[len(samples[1].Labels)-1] = id
		o = setting{samples: samples, config: train.Config{LearningRate: 1e-3}}.run(t, context.Background())
		assert.ErrorContains(t, o.err, "vocabulary of 64")
	}
}

func TestARunIsStartedOnce(t *testing.T) {
	m := newModel(t)
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	engine, err := train.New("test", m, train.NextToken{Model: m}, newSamples(2, 1), nil, train.Config{LearningRate: 1e-3, Steps: 1})
	require.NoError(t, err)
	_, err = engine.Run(context.Background())
	require.NoError(t, err)
	_, err = engine.Run(context.Background())
	assert.ErrorContains(t, err, "once")
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	good := train.Config{LearningRate: 1e-3}
	m := newModel(t)
	_, err := train.New("test", m, train.NextToken{Model: m}, newSamples(1, 1), nil, good)
	assert.ErrorContains(t, err, "no weight is trainable")
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	_, err = train.New("test", m, train.NextToken{Model: m}, nil, nil, good)
	assert.ErrorIs(t, err, data.ErrNoTargets)
	_, err = train.New("test", nil, nil, newSamples(1, 1), nil, good)
	assert.ErrorContains(t, err, "nil")
	_, err = train.New("test", m, train.NextToken{Model: m}, newSamples(1, 1), nil, train.Config{})
	assert.ErrorContains(t, err, "LearningRate is 0")
	_, err = train.New("test", m, train.NextToken{Model: m}, []data.Sample{{IDs: []int32{1}, Labels: nil}}, nil, good)
	assert.ErrorContains(t, err, "1 ids and 0 labels")
	silent := data.Sample{IDs: []int32{1, 2, 3}, Labels: []int32{data.NoLabel, data.NoLabel, data.NoLabel}}
	_, err = train.New("test", m, train.NextToken{Model: m}, newSamples(1, 1), []data.Sample{silent}, good)
	assert.ErrorIs(t, err, data.ErrNoTargets, "an evaluation over nothing would be a loss of 0")
	assert.ErrorContains(t, err, "held-out")
	closed := newModel(t)
	require.NoError(t, closed.Close())
	_, err = train.New("test", closed, train.NextToken{Model: closed}, newSamples(1, 1), nil, good)
	assert.ErrorIs(t, err, model.ErrClosed)
}

// Every problem of a config is listed, each with its field.
func TestEveryConfigProblemAtOnce(t *testing.T) {
	bad := train.Config{LearningRate: -1, MaxGradNorm: -2, AdamW: train.AdamW{Beta1: 1, Beta2: -0.5, Eps: -1, WeightDecay: -1},
		MicroBatch: -1, MaxTokens: -2, Accumulate: -3, LengthWindow: -4, Epochs: -5, Steps: -6, EvalShare: 1, EvalEvery: -7, SaveEvery: -8,
		KeepLast: -9, Resume: "auto"}
	bad.Schedule.WarmupSteps = -1
	err := bad.Validate()
	for _, field := range []string{"LearningRate", "MaxGradNorm", "AdamW.Beta1", "AdamW.Beta2", "AdamW.Eps", "AdamW.WeightDecay", "MicroBatch",
		"MaxTokens", "Accumulate", "LengthWindow", "Epochs", "Steps", "EvalShare", "EvalEvery", "SaveEvery", "KeepLast", "Resume", "WarmupSteps"} {
		assert.ErrorContains(t, err, field)
	}
	assert.NoError(t, train.Config{}.Validate())
	assert.NoError(t, train.Config{}.WithDefaults().Validate())
	nan := math.NaN()
	assert.Error(t, train.Config{LearningRate: nan}.Validate())
	assert.Error(t, train.Config{MaxGradNorm: nan}.Validate())
	var joined interface{ Unwrap() []error }
	assert.True(t, errors.As(err, &joined))
}
