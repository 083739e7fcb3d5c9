package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Errors that a caller may act on.
var (
	ErrNonFinite = errors.New("the loss or the gradient is not finite") // found before the weights change; the message names the samples
	ErrNoTargets = errors.New("no token of the step is learned")
	ErrSink      = errors.New("a sink failed") // the training did not: what it could not show or write is all that is missing
)

// train runs steps until the planned number is done, the data end, or ctx is cancelled; then the step in hand ends, a checkpoint is
// written, and the error wraps context.Cause(ctx).
func (e *Engine) train(ctx context.Context) error {
	if err := e.watchFirst(ctx); err != nil {
		return err
	}
	for group, err := range e.loader.From(e.state.Cursor) { // the micro-batches of one step
		switch cause := context.Cause(ctx); {
		case e.state.Step >= e.steps: // first: a finished run may be resumed, and does nothing
			return e.finish(ctx, "done")
		case err != nil:
			return fmt.Errorf("data for step %d: %w", e.state.Step+1, err)
		case cause != nil:
			return errors.Join(fmt.Errorf("stopped after step %d: %w", e.state.Step, cause), e.save("interrupt"))
		}
		report, err := e.step(ctx, group)
		if err != nil {
			if err := e.skip(group, err); err != nil {
				return fmt.Errorf("step %d: %w", e.state.Step+1, err)
			}
			e.state.Step, e.state.Cursor = e.state.Step+1, group.Next
			continue
		}
		newEpoch := group.Next.Epoch > e.state.Cursor.Epoch
		e.state.Step, e.state.Cursor, e.state.SkippedInRow, e.state.Eval = e.state.Step+1, group.Next, 0, nil
		if err := e.afterStep(ctx, report, newEpoch); err != nil { // tell, evaluate, checkpoint: what is due
			return err
		}
	}
	return e.finish(ctx, "done")
}

// step turns a group of micro-batches into one change of the weights.
func (e *Engine) step(ctx context.Context, group data.Group) (report stepReport, err error) {
	if group.Micro, err = e.prepared(ctx, group.Micro); err != nil {
		return stepReport{}, err
	}
	// Divide by the units (target tokens, or preference pairs) of the whole group. A mean per micro-batch would give a token in a
	// short batch more weight than one in a long batch.
	units := 0
	for _, b := range group.Micro {
		units += e.objective.Units(b)
	}
	if units == 0 {
		return stepReport{}, ErrNoTargets
	}
	if err := torch.Do(e.optimizer.zero); err != nil {
		return stepReport{}, err
	}
	began := time.Now()
	report = stepReport{group: group, units: units, lr: e.schedule.At(e.state.Step)}
	for i, b := range group.Micro {
		if e.objective.Units(b) == 0 {
			continue // its loss is a sum over nothing
		}
		sum, err := e.accumulate(b, units, i)
		if err != nil {
			return stepReport{}, err
		}
		if !finite(sum) {
			return stepReport{}, fmt.Errorf("%w: loss %g in micro-batch %d, made of %s", ErrNonFinite, sum, i+1, e.describe(b))
		}
		report.loss += sum / float64(units)
	}
	err = torch.Do(func(s *torch.Scope) { report.norm = e.update(s, report.lr) })
	report.duration = time.Since(began)
	return report, err
}

// prepared lets the objective make its own batches.
func (e *Engine) prepared(ctx context.Context, micro []data.Batch) ([]data.Batch, error) {
	p, ok := e.objective.(Preparer)
	if !ok {
		return micro, nil
	}
	own := make([]data.Batch, len(micro))
	for i, b := range micro {
		var err error
		if own[i], err = p.Prepare(ctx, b, e.state.Step, i, e.seed(i)); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// accumulate adds one micro-batch's share to the gradients and returns its summed loss.
func (e *Engine) accumulate(b data.Batch, units, micro int) (sum float64, err error) {
	err = torch.Do(func(s *torch.Scope) { // on return the activations are freed
		s.WithGrad(func() {
			pass := model.Pass{Train: true, Seed: e.seed(micro), Tape: e.tape()}
			loss := e.objective.Loss(s, b, pass) // [] float32, summed over the batch's units
			if !loss.RequiresGrad() {
				torch.Throw(fmt.Errorf("the loss depends on no weight that is to be trained, such as %s; is its adapter active?", e.params[0].Name))
			}
			s.Backward(s.Scale(loss, 1/float64(units)))
			pass.Tape.Backward(s)
			sum = s.Item(loss)
		})
	})
	return sum, err
}

// update changes the weights by the gradients and returns the gradients' norm before clipping.
func (e *Engine) update(s *torch.Scope, lr float64) float64 {
	grads, without := e.optimizer.gradients(s)
	if without != "" {
		torch.Throw(fmt.Errorf("%s is to be trained, but the loss does not depend on it", without))
	}
	norm := s.Norm(grads)
	if !finite(norm) {
		torch.Throw(fmt.Errorf("%w: gradient norm %g, first in %s", ErrNonFinite, norm, e.firstBad(s, grads))) // before the weights change
	}
	clip := 1.0
	if e.config.MaxGradNorm != Off {
		clip = math.Min(1, e.config.MaxGradNorm/(norm+1e-6))
	}
	e.optimizer.step(s, grads, lr, clip, e.state.Step+1-e.state.Skipped)
	e.optimizer.zero(s)
	return norm
}

// tape is how the blocks of one micro-batch keep what their backward pass needs; nil keeps all of it.
func (e *Engine) tape() *model.Tape {
	switch budget := e.config.ActivationBudget; budget {
	case 0:
		return nil
	case Off:
		return &model.Tape{}
	default:
		return &model.Tape{Budget: budget}
	}
}

// seed is that of the dropout of a micro-batch: a function of the run's seed and the place in it.
func (e *Engine) seed(micro int) uint64 {
	return (e.config.Seed+1)*0xBF58476D1CE4E5B9 ^ uint64(e.state.Step+1)*0x94D049BB133111EB ^ uint64(micro+1)*0x9E3779B97F4A7C15
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
