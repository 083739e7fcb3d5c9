package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// Usable says what a model lacks to learn from text.
func Usable(m *model.Model) error {
	switch {
	case m == nil || m.Tokenizer == nil:
		return errors.New("the model has no tokenizer, which turns text into tokens; load it from a checkpoint with tokenizer.json")
	case m.Closed():
		return model.ErrClosed
	}
	return m.CheckTokenizer()
}

// ChooseAll makes every weight trainable where nothing was chosen and no adapter is attached.
func ChooseAll(m *model.Model) error {
	if len(m.Trainable()) > 0 {
		return nil
	}
	return m.SetTrainable(func(string) bool { return true })
}

// TrainsBase says whether weights of the model itself are trained, not only an adapter's.
func TrainsBase(m *model.Model) bool {
	return slices.ContainsFunc(m.Trainable(), func(p *model.Parameter) bool { return m.Parameter(p.Name) != nil })
}

// WithRate fills in the learning rate of a stage: adapter where only an adapter is trained, else full.
func (c Config) WithRate(m *model.Model, adapter, full float64) Config {
	if c.LearningRate == 0 {
		c.LearningRate = adapter
		if TrainsBase(m) {
			c.LearningRate = full
		}
	}
	return c
}

// Samples reads the data of a stage with encode, and what is held out of training: eval where it is not nil, else the config's share of the
// data.
func Samples[S any](source, eval S, c Config, encode func(S) ([]data.Sample, *data.Ledger, error)) (samples, held []data.Sample, ledger *data.Ledger, err error) {
	if samples, ledger, err = encode(source); err != nil {
		return nil, nil, ledger, err
	}
	if any(eval) == nil {
		if c.EvalShare > 0 {
			samples, held = data.Split(samples, c.EvalShare, c.Seed)
		}
		return samples, held, ledger, nil
	}
	if held, _, err = encode(eval); err != nil {
		err = fmt.Errorf("evaluation data: %w", err)
	}
	return samples, held, ledger, err
}

// Learn runs a stage's objective on its samples, and tells the sinks what became of its records.
func Learn(ctx context.Context, name string, m *model.Model, o Objective, samples, held []data.Sample, ledger *data.Ledger, c Config) (Result, error) {
	engine, err := New(name, m, o, samples, held, c)
	if err != nil {
		return Result{Ledger: ledger}, err
	}
	return engine.Learn(ctx, ledger)
}

// Learn is Run with the ledger of the records that the samples came from.
func (e *Engine) Learn(ctx context.Context, ledger *data.Ledger) (Result, error) {
	e.Tell(observe.Ledger{Read: ledger.Read, Kept: ledger.Kept, Dropped: ledger.Dropped, Truncated: ledger.Truncated, Repaired: ledger.Repaired})
	result, err := e.Run(ctx)
	result.Ledger = ledger
	return result, err
}
