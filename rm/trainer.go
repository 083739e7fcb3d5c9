package rm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Default learning rates, for AdamW.
const (
	FullLearningRate    = 1e-5 // every weight is trained
	AdapterLearningRate = 1e-4 // an adapter and the score are trained
)

// Config describes a run. Only Data must be set.
type Config struct {
	Data   data.RankedSource // rankings to learn, such as a data.File
	Eval   data.RankedSource // rankings to evaluate on; nil: train.Config.EvalShare of Data
	Encode data.EncodeConfig // how they become tokens; Learn is not asked

	Center float64 // weight of the square of a pair's summed rewards, which keeps rewards around zero; 0 for none, 0.01 is usual

	train.Config // steps, optimizer, output
}

// Validate reports every problem at once, each with its field.
func (c Config) Validate() error {
	var problems []error
	if c.Data == nil {
		problems = append(problems, errors.New("Data is nil; want a source of rankings, such as data.File{Path: …}"))
	}
	if c.Center < 0 || math.IsInf(c.Center, 0) || math.IsNaN(c.Center) {
		problems = append(problems, fmt.Errorf("Center is %g; want 0 or more", c.Center))
	}
	return errors.Join(append(problems, c.Encode.Validate(), c.Config.WithDefaults().Validate())...)
}

// Trainer trains one reward model.
type Trainer struct {
	model  *model.Model
	config Config
}

// NewTrainer checks the config and makes m a reward model (model.Model.MakeScoring) unless it is one. An adapter must be attached after
// that: it then trains the score too.
func NewTrainer(m *model.Model, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("rm: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("rm: %w", err)
	}
	adapted := slices.ContainsFunc(m.Linears(), func(l *model.Linear) bool { return l.Adapter() != nil })
	if adapted && !m.Config.Head.Score {
		return nil, errors.New("rm: an adapter was attached before the model was made a reward model, and would not train its score; " +
			"take it off, call MakeScoring, and attach one then")
	}
	if err := m.MakeScoring(c.Seed); err != nil {
		return nil, fmt.Errorf("rm: %w", err)
	}
	return &Trainer{model: m, config: c}, nil
}

// Run encodes the rankings and trains. It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written if
// Output is set, and the error wraps the cause. Steps and evaluations carry accuracy, margin and mean_reward in their Metrics. Bad data end
// the run before anything is written: a *data.RecordError with file and line; errors of training are listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	samples, held, ledger, err := train.Samples(t.config.Data, t.config.Eval, t.config.Config, func(source data.RankedSource) ([]data.Sample, *data.Ledger, error) {
		return data.EncodeRanked(ctx, t.model.Tokenizer, source, t.config.Encode)
	})
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("rm: %w", err)
	}
	result, err := t.train(ctx, samples, held, ledger)
	if err != nil {
		return result, fmt.Errorf("rm: %w", err)
	}
	return result, nil
}

// train learns samples of two or more answers each.
func (t *Trainer) train(ctx context.Context, samples, held []data.Sample, ledger *data.Ledger) (train.Result, error) {
	if err := train.ChooseAll(t.model); err != nil {
		return train.Result{Ledger: ledger}, err
	}
	o := &objective{model: t.model, center: t.config.Center}
	return train.Learn(ctx, "rm", t.model, o, samples, held, ledger, t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate))
}
