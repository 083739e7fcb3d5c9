package sft

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Default learning rates, for AdamW.
const (
	FullLearningRate    = 2e-5 // every weight is trained
	AdapterLearningRate = 5e-5 // an adapter is trained
)

// Config describes a fine-tuning run. Only Data must be set.
type Config struct {
	Data   data.Source       // conversations to learn
	Eval   data.Source       // conversations to evaluate on; nil: train.Config.EvalShare of Data
	Encode data.EncodeConfig // how they become samples: lengths, what is learned, what happens to bad records

	train.Config // steps, optimizer, output
}

// Validate reports every problem at once, each with its field.
func (c Config) Validate() error {
	var missing error
	if c.Data == nil {
		missing = errors.New("Data is nil; want a source of conversations, such as data.File{Path: …}")
	}
	return errors.Join(missing, c.Encode.Validate(), c.Config.WithDefaults().Validate())
}

// Trainer runs one fine-tuning.
type Trainer struct {
	model  *model.Model
	config Config
}

// NewTrainer checks the config. An adapter attached to m is what is trained; without one, and unless SetTrainable has chosen
// weights, all of them are.
func NewTrainer(m *model.Model, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("sft: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("sft: %w", err)
	}
	return &Trainer{model: m, config: c}, nil
}

// Run encodes the data and trains. The chat template that is learned and the token that ends an answer become the model's
// (model.Model.KeepChat). It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written if
// Output is set, and the error wraps the cause. The trained weights are in the model. Bad data end the run before anything is written:
// the error is a *data.RecordError with file and line, or wraps data.ErrNoTargets; those of training are listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	samples, held, ledger, err := train.Samples(t.config.Data, t.config.Eval, t.config.Config, func(source data.Source) ([]data.Sample, *data.Ledger, error) {
		return data.Encode(ctx, t.model.Tokenizer, source, t.config.Encode)
	})
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("sft: %w", err)
	}
	if err := train.ChooseAll(t.model); err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("sft: %w", err)
	}
	if err := t.model.KeepChat(t.config.Encode.Template); err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("sft: %w", err)
	}
	result, err := train.Learn(ctx, "sft", t.model, train.NextToken{Model: t.model}, samples, held, ledger,
		t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate))
	if err != nil {
		return result, fmt.Errorf("sft: %w", err)
	}
	return result, nil
}
