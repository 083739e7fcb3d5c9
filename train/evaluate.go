package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// watched is a set of samples that shows what the training does to something else than what it learns.
type watched struct {
	name   string
	loader *data.Loader
	rise   float64
}

// Watch evaluates on further samples, before the first step and whenever the run evaluates: a general set during domain training shows what
// is forgotten. A loss that is rise above the first, as a share of it, is a warning of the class forgetting; 0 warns of none. It is called
// before Run.
func (e *Engine) Watch(name string, samples []data.Sample, rise float64) error {
	if name == "" || slices.ContainsFunc(e.watched, func(w watched) bool { return w.name == name }) {
		return fmt.Errorf("train: watched samples need a name of their own, not %q", name)
	}
	loader, err := e.evaluationLoader(samples)
	if err != nil {
		return fmt.Errorf("train: %s: %w", name, err)
	}
	e.watched = append(e.watched, watched{name, loader, rise})
	return nil
}

func (e *Engine) evaluationLoader(samples []data.Sample) (*data.Loader, error) {
	if !slices.ContainsFunc(samples, func(s data.Sample) bool { return s.Targets() > 0 }) {
		return nil, data.ErrNoTargets
	}
	c := e.config.Loader()
	c.Epochs, c.Accumulate, c.Shuffle, c.Order = 1, 1, false, nil
	return data.NewLoader(samples, c)
}

// evaluate takes the loss on the held-out samples, without dropout or gradients, and on those that are watched.
func (e *Engine) evaluate(ctx context.Context) error {
	if e.held != nil {
		if err := e.evaluateHeld(ctx); err != nil {
			return err
		}
	}
	for _, w := range e.watched {
		if err := e.evaluateWatched(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) evaluateHeld(ctx context.Context) error {
	found, err := e.lossOn(ctx, e.held)
	if err != nil || found == nil {
		return err
	}
	best := e.state.BestEval == nil || found.Loss < *e.state.BestEval
	if finite(found.Loss) { // JSON has no NaN, and it is not the best of anything
		e.state.Eval = &found.Loss
		if best {
			e.state.BestEval = &found.Loss
		}
	}
	e.result.EvalLoss, found.Best = found.Loss, best
	e.stream.Emit(e.state.Step, *found)
	return nil
}

// evaluateWatched warns of what is forgotten. The first loss is part of the state: a resumed run compares with it too.
func (e *Engine) evaluateWatched(ctx context.Context, w watched) error {
	found, err := e.lossOn(ctx, w.loader)
	if err != nil || found == nil {
		return err
	}
	found.Name = w.name
	first, known := e.state.First[w.name]
	if !known && finite(found.Loss) {
		if e.state.First == nil {
			e.state.First = map[string]float64{}
		}
		e.state.First[w.name] = found.Loss
	}
	e.stream.Emit(e.state.Step, *found)
	if known && w.rise > 0 && found.Loss > first*(1+w.rise) {
		e.stream.Warn(e.state.Step, "forgetting", "the loss on %s is %.4g, %.0f %% above the %.4g before training: mix more of such data in, "+
			"or lower the learning rate", w.name, found.Loss, 100*(found.Loss/first-1), first)
	}
	return nil
}

// watchFirst evaluates before the first step.
func (e *Engine) watchFirst(ctx context.Context) error {
	if e.state.Step > 0 {
		return nil
	}
	for _, w := range e.watched {
		if err := e.evaluateWatched(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// lossOn is the loss on a set; nil when ctx was cancelled, which the loop sees: half an evaluation says nothing.
func (e *Engine) lossOn(ctx context.Context, set *data.Loader) (*observe.Evaluation, error) {
	began := time.Now()
	var sum float64
	units, targets := 0, 0
	for group, err := range set.From(data.Cursor{}) {
		if err != nil {
			return nil, err
		}
		if context.Cause(ctx) != nil {
			return nil, nil
		}
		for _, b := range group.Micro {
			n := e.objective.Units(b)
			if n == 0 {
				continue
			}
			units += n
			targets += b.Targets()
			err := torch.Do(func(s *torch.Scope) { sum += s.Item(e.objective.Loss(s, b, model.Pass{})) })
			if err != nil {
				return nil, err
			}
		}
	}
	return &observe.Evaluation{Loss: sum / math.Max(1, float64(units)), Samples: set.Len(), TargetTokens: targets,
		Duration: time.Since(began), Metrics: e.metrics()}, nil
}
