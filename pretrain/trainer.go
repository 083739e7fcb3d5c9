package pretrain

import (
	"context"
	"fmt"
	"sort"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/mixer"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Trainer runs one continued pretraining.
type Trainer struct {
	model  *model.Model
	config Config
	report *mixer.Report
}

// NewTrainer checks the config.
func NewTrainer(m *model.Model, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	return &Trainer{model: m, config: c.withDefaults(m.Config.MaxPositions)}, nil
}

// Run encodes the texts and trains. It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written if Output is
// set, and the error wraps the cause. The trained weights are in the model. Steps carry the loss of each source in their Metrics. Bad data
// end the run before anything is written: a *data.RecordError with file and line; errors of training are listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	ledger := &data.Ledger{}
	fail := func(err error) (train.Result, error) {
		return train.Result{Ledger: ledger}, fmt.Errorf("pretrain: %w", err)
	}
	reader, err := t.open()
	if err != nil {
		return fail(err)
	}
	defer reader.close()
	var sets [][]data.Sample
	var held []data.Sample
	for _, s := range t.config.Sources {
		samples, l, err := reader.source(ctx, s)
		ledger.Join(l)
		if err != nil {
			return fail(fmt.Errorf("source %s: %w", s.Name, err))
		}
		if t.config.Eval == nil && t.config.EvalShare > 0 {
			var out []data.Sample
			samples, out = data.Split(samples, t.config.EvalShare, t.config.Seed)
			held = append(held, rows(out, t.config.RowLength)...)
		}
		sets = append(sets, rows(samples, t.config.RowLength))
	}
	if t.config.Eval != nil {
		if held, err = reader.heldOut(ctx, t.config.Eval); err != nil {
			return fail(fmt.Errorf("evaluation data: %w", err))
		}
	}
	if err := t.choose(); err != nil {
		return fail(err)
	}
	engine, err := t.engine(sets, held)
	if err != nil {
		return fail(err)
	}
	if t.config.General != nil {
		general, err := reader.heldOut(ctx, t.config.General)
		if err == nil {
			err = engine.Watch("general", general, max(0, t.config.Forgetting))
		}
		if err != nil {
			return fail(fmt.Errorf("general data: %w", err))
		}
	}
	result, err := engine.Learn(ctx, ledger)
	if err != nil {
		return result, fmt.Errorf("pretrain: %w", err)
	}
	return result, nil
}

// Mixture is what the mixer has planned; nil before Run, and where the sources are not mixed.
func (t *Trainer) Mixture() *mixer.Report { return t.report }

// choose makes the weights trainable that the config asks for.
func (t *Trainer) choose() error {
	names := t.model.Config.Names
	switch t.config.Train {
	case NewRows:
		return t.model.TrainNewRows()
	case Embeddings:
		return t.model.SetTrainable(func(name string) bool {
			return name == names.Embedding+".weight" || name == names.Head+".weight" || name == names.Head+".bias"
		})
	case All:
		return t.model.SetTrainable(func(string) bool { return true })
	}
	return train.ChooseAll(t.model)
}

// engine plans the run over the rows of all sources, one source after the other.
func (t *Trainer) engine(sets [][]data.Sample, held []data.Sample) (*train.Engine, error) {
	c := t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate)
	var all []data.Sample
	var names []string
	var ends []int
	for i, set := range sets {
		all, names = append(all, set...), append(names, t.config.Sources[i].Name)
		ends = append(ends, len(all))
	}
	if t.config.mixed() {
		m, err := t.mixture(sets)
		if err != nil {
			return nil, err
		}
		c.Order, t.report = m.Order, m.Report()
		if c.Steps == 0 && c.Epochs == 0 {
			c.Epochs = m.Epochs()
		}
	} else if c.Steps == 0 && c.Epochs == 0 {
		c.Epochs = 1
	}
	objective := train.NextToken{Model: t.model}
	if len(names) > 1 {
		objective.Sources = &train.SourceLosses{Names: names, Of: func(sample int) int { return sort.SearchInts(ends, sample+1) }}
	}
	return train.New("pretrain", t.model, objective, all, held, c)
}

func (t *Trainer) mixture(sets [][]data.Sample) (*mixer.Mixer, error) {
	c := t.config.Mix
	c.Stage = mixer.Pretraining
	if c.Seed == 0 {
		c.Seed = t.config.Seed
	}
	for i, s := range t.config.Sources {
		c.Sources = append(c.Sources, mixer.Source{Name: s.Name, Role: s.Role, Ratio: s.Ratio, Set: mixer.Samples(sets[i])})
	}
	return mixer.New(c)
}
