package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// Engine trains a model's trainable weights on an objective. It is used once.
type Engine struct {
	config    Config
	name      string
	model     *model.Model
	objective Objective
	loader    *data.Loader
	held      *data.Loader  // held-out samples, nil for none
	watched   []watched     // further ones
	records   []data.Sample // the training set
	samples   int           // their number
	steps     int           // optimizer steps in all
	params    []*model.Parameter
	schedule  schedule.Schedule
	optimizer *optimizer
	state     state
	stream    *observe.Stream
	meter     *observe.Meter
	result    Result
	started   bool

	data, base string         // fingerprints of the samples and of the weights that are not trained, for checkpoints
	resumed    string         // the checkpoint that the run goes on from, "" for none
	early      []observe.Data // events from before there were sinks
	spikes     spikes
	saver      saver
	unsaved    []error // periodic checkpoints that could not be written
}

// Result is what a run has come to.
type Result struct {
	Steps           int           // steps done, those before a resume included
	Skipped         int           // of these: passed over because the loss or the gradient was not finite (Config.SkipNonFinite)
	Loss            float64       // of the last step, per unit, in nats
	EvalLoss        float64       // of the last evaluation; 0 where there was none
	Tokens          int64         // that went through the network in this run
	TokensPerSecond float64       // over this run's steps
	PeakBytes       int64         // held by tensors at most
	Duration        time.Duration // of this run
	Checkpoint      string        // folder of the last checkpoint written, "" for none
	Trainable, All  int64         // weights
	Ledger          *data.Ledger  // what became of the records; nil where the caller brought samples
}

// New checks a run and plans it. samples are trained on; held, which may be empty, are evaluated on. name is for people.
func New(name string, m *model.Model, o Objective, samples, held []data.Sample, c Config) (*Engine, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	switch {
	case m == nil || o == nil:
		return nil, errors.New("train: the model or the objective is nil")
	case m.Closed():
		return nil, fmt.Errorf("train: %w", model.ErrClosed)
	case c.LearningRate == 0:
		return nil, errors.New("train: LearningRate is 0, with which nothing is learned; a stage has its default, an engine has none")
	}
	e := &Engine{config: c, name: name, model: m, objective: o, records: samples, samples: len(samples), params: m.Trainable()}
	if p, ok := o.(Parametrised); ok {
		e.params = append(e.params, p.Parameters()...)
	}
	if len(e.params) == 0 {
		return nil, errors.New("train: no weight is trainable; attach an adapter or call SetTrainable")
	}
	var err error
	if e.loader, err = data.NewLoader(samples, c.Loader()); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if len(held) > 0 {
		if e.held, err = e.evaluationLoader(held); err != nil {
			return nil, fmt.Errorf("train: held-out samples: %w", err)
		}
	}
	if c.Output != "" || c.Resume != "" {
		e.data = fingerprint(samples, c.Order)
		if e.base, err = frozen(m); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
	}
	if e.steps = c.Steps; e.steps == 0 {
		e.steps = e.loader.Steps()
	}
	if e.schedule, err = c.Schedule.New(c.LearningRate, e.steps); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return e, nil
}

// Steps is the planned number of optimizer steps.
func (e *Engine) Steps() int { return e.steps }

// Tell gives the sinks an event right after the Start of the run: what a stage has found out before it, such as the ledger of its data.
func (e *Engine) Tell(d observe.Data) { e.early = append(e.early, d) }

// Run trains until the planned steps are done or ctx is cancelled. It blocks, and leaves no goroutine or memory behind; the
// trained weights are in the model.
//
// When ctx is cancelled the step in hand ends, a checkpoint is written if Output is set, and the error wraps the cause. Other errors to
// act on: ErrNonFinite and model.ErrOutOfMemory (the weights are those of the last step), ErrNoTargets, ErrDamaged (the checkpoint to
// resume from), ErrSink (the training is complete). The Result counts what was done in any case.
func (e *Engine) Run(ctx context.Context) (Result, error) {
	if e.started {
		return Result{}, errors.New("train: a run can be started once; make a new one")
	}
	e.started = true
	unlock, err := e.lock()
	if err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	defer unlock()
	if err := torch.Do(func(s *torch.Scope) { e.optimizer = newOptimizer(s, e.params, e.config.AdamW) }); err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	defer e.release()
	if err := e.resume(); err != nil {
		return Result{}, fmt.Errorf("train: %w", err)
	}
	e.stream = observe.NewStream(e.sinks()...)
	e.meter = observe.NewMeter()
	torch.ResetPeak()
	e.announce()
	for _, d := range e.early {
		e.stream.Emit(e.state.Step, d)
	}
	err = e.train(ctx)
	e.settle()
	return e.conclude(ctx, err)
}

// conclude tells the sinks how the run ended and waits for them.
func (e *Engine) conclude(ctx context.Context, err error) (Result, error) {
	e.result.Steps, e.result.Duration = e.state.Step, e.meter.Elapsed()
	e.result.Tokens, e.result.PeakBytes = e.meter.Tokens(), torch.MemoryNow().Peak
	end := observe.End{Reason: "done", Loss: e.result.Loss, Tokens: e.result.Tokens, TokensPerSecond: e.result.TokensPerSecond,
		Duration: e.result.Duration, PeakBytes: e.result.PeakBytes}
	err = errors.Join(append([]error{err}, e.unsaved...)...)
	if err != nil {
		err = fmt.Errorf("train: %w", err)
		end.Reason, end.Failed = err.Error(), ctx.Err() == nil || !errors.Is(err, context.Cause(ctx))
	}
	e.stream.Emit(e.state.Step, end)
	if sinks := e.stream.Close(); sinks != nil {
		err = errors.Join(err, fmt.Errorf("train: %w: %w", ErrSink, sinks))
	}
	return e.result, err
}

func (e *Engine) release() {
	_ = torch.Do(func(s *torch.Scope) {
		e.optimizer.zero(s)
		e.optimizer.free(s)
	})
	torch.Trim()
}
