package dpo

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Trainer runs one training from preferences.
type Trainer struct {
	model  *model.Model
	config Config
}

// NewTrainer checks the config. An adapter attached to m is what is trained; without one, and unless SetTrainable has chosen weights, all
// of them are.
func NewTrainer(m *model.Model, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("dpo: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("dpo: %w", err)
	}
	if c.Reference == m {
		return nil, errors.New("dpo: Reference is the model that is trained; leave it nil, or load it a second time")
	}
	return &Trainer{model: m, config: c.withDefaults()}, nil
}

// Run encodes the pairs and trains. It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written if Output is
// set, and the error wraps the cause. The trained weights are in the model. Steps and evaluations carry rewards, margins, accuracies and
// log-probabilities in their Metrics. Bad data end the run before anything is written: a *data.RecordError with file and line; errors of
// training are listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	samples, held, ledger, err := train.Samples(t.config.Data, t.config.Eval, t.config.Config, func(source data.PairSource) ([]data.Sample, *data.Ledger, error) {
		return data.EncodePairs(ctx, t.model.Tokenizer, source, t.config.Encode)
	})
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	if err := t.model.KeepChat(t.config.Encode.Template); err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	result, err := t.train(ctx, samples, held, ledger)
	if err != nil {
		return result, fmt.Errorf("dpo: %w", err)
	}
	return result, nil
}

// train learns samples of two answers each.
func (t *Trainer) train(ctx context.Context, samples, held []data.Sample, ledger *data.Ledger) (train.Result, error) {
	if err := train.ChooseAll(t.model); err != nil {
		return train.Result{Ledger: ledger}, err
	}
	reference, err := t.reference(ctx, samples, held)
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("reference: %w", err)
	}
	o := &objective{model: t.model, reference: reference, config: t.config}
	return train.Learn(ctx, "dpo", t.model, o, samples, held, ledger, t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate))
}

// reference is what the config asks for.
func (t *Trainer) reference(ctx context.Context, samples, held []data.Sample) (reference, error) {
	c := t.config
	switch {
	case !c.Loss.usesReference():
		return nil, nil
	case c.Reference != nil || !c.AtStart && !train.TrainsBase(t.model):
		r, err := train.NewReference(t.model, c.Reference)
		return frozen{r}, err
	}
	k, path := known{}, ""
	if c.Cache != "" {
		sum, err := t.model.Checksum()
		if err != nil {
			return nil, err
		}
		path = cacheFile(c.Cache, sum)
		if k, err = readKnown(path); err != nil {
			return nil, err
		}
	}
	before := len(k)
	loader := c.Config.WithDefaults().Loader()
	if err := k.add(ctx, t.model, samples, loader); err != nil {
		return nil, err
	}
	loader.Shuffle, loader.Order = false, nil
	if err := k.add(ctx, t.model, held, loader); err != nil {
		return nil, err
	}
	if path != "" && len(k) > before {
		return k, k.write(path)
	}
	return k, nil
}
