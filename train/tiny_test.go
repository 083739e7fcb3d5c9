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
	"github.com/gofinetune/finetune/train/observe"
)

// tiny is a network of two layers that trains in milliseconds.
const tiny = `{"model_type":"qwen2","vocab_size":64,"hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,
	"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":256,"tie_word_embeddings":true}`

// newModel makes the network with the weights of seed 1, and closes it with the test.
func newModel(t testing.TB) *model.Model { return modelOf(t, tiny) }

func modelOf(t testing.TB, description string) *model.Model {
	t.Helper()
	config, err := arch.Parse("config.json", []byte(description))
	require.NoError(t, err)
	m, err := model.New(config, nil, 1, model.LoadConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// newSamples makes n samples of 4 to 20 tokens; about the second half of each is learned. Token 63 is in none of them.
func newSamples(n int, seed uint64) []data.Sample {
	random := rand.New(rand.NewPCG(seed, 0))
	samples := make([]data.Sample, n)
	for i := range samples {
		s := &samples[i]
		s.Place = data.Place{File: "chats.jsonl", Line: i + 1}
		for at, length := 0, 4+random.IntN(17); at < length; at++ {
			id, label := random.Int32N(63), data.NoLabel
			if at >= length/2 {
				label = id
			}
			s.IDs, s.Labels = append(s.IDs, id), append(s.Labels, label)
		}
	}
	return samples
}

// setting is a run to be made: a fresh model, what is trained on it, and how.
type setting struct {
	lora    *lora.Config // nil: every weight is trained
	config  train.Config
	samples []data.Sample
	held    []data.Sample
	wrap    func(train.Objective) train.Objective // nil: next tokens
}

// outcome is what a run leaves.
type outcome struct {
	result  train.Result
	err     error
	steps   []observe.Step
	events  []observe.Event
	weights map[string][]float32 // those that were trained
	base    map[string][]float32 // those of the model's own
}

// run makes a model and trains it, as a process of its own would.
func (s setting) run(t testing.TB, ctx context.Context) outcome {
	t.Helper()
	m := newModel(t)
	return s.on(t, ctx, m)
}

func (s setting) on(t testing.TB, ctx context.Context, m *model.Model) (o outcome) {
	t.Helper()
	if s.lora != nil {
		a, err := lora.Attach(m, *s.lora)
		require.NoError(t, err)
		defer func() { require.NoError(t, a.Close()) }()
	} else {
		require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	}
	recorder := &observe.Recorder{}
	s.config.Sinks = append([]observe.Sink{recorder}, s.config.Sinks...)
	var objective train.Objective = train.NextToken{Model: m}
	if s.wrap != nil {
		objective = s.wrap(objective)
	}
	engine, err := train.New("test", m, objective, s.samples, s.held, s.config)
	require.NoError(t, err)
	o.result, o.err = engine.Run(ctx)
	o.events = recorder.Events()
	_, o.steps = observe.All[observe.Step](o.events)
	o.weights, o.base = valuesOf(t, m.Trainable()), valuesOf(t, m.Parameters())
	return o
}

// numbers are the losses, norms and rates of the steps: what must not differ between two runs that are the same.
func (o outcome) numbers() (list [][3]float64) {
	for _, s := range o.steps {
		list = append(list, [3]float64{s.Loss, s.GradNorm, s.LearningRate})
	}
	return list
}

func (o outcome) warnings() (list []observe.Warning) {
	_, list = observe.All[observe.Warning](o.events)
	return list
}

func valuesOf(t testing.TB, params []*model.Parameter) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range params {
			values[p.Name] = s.ToFloat32s(p.Tensor)
		}
	}))
	return values
}

// hook calls before in the goroutine of the run, ahead of each micro-batch, with their number from 1.
type hook struct {
	train.Objective
	before func(call int)
	calls  *int
}

func (h hook) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	*h.calls++
	h.before(*h.calls)
	return h.Objective.Loss(s, b, pass)
}

// before makes a setting's wrap of a function that is called ahead of each micro-batch.
func before(f func(call int)) func(train.Objective) train.Objective {
	return func(o train.Objective) train.Objective { return hook{o, f, new(int)} }
}
