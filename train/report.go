package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/observe/curve"
)

// stepReport is what a step found out.
type stepReport struct {
	group    data.Group
	units    int
	loss     float64 // per unit, nats
	norm     float64 // of the gradients, before clipping
	lr       float64
	duration time.Duration
}

// sinks are the caller's and, with an output folder, the files there.
func (e *Engine) sinks() []observe.Sink {
	if e.config.Output == "" {
		return e.config.Sinks
	}
	metrics := filepath.Join(e.config.Output, "metrics.jsonl")
	files := inTurn{observe.NewJSONL(metrics), curve.New(filepath.Join(e.config.Output, "loss.png"), metrics)}
	return append([]observe.Sink{files}, e.config.Sinks...)
}

// inTurn is several sinks as one. The curve of a resumed run begins with what is in the metrics file, which must not be cut to its new
// length by another goroutine meanwhile.
type inTurn []observe.Sink

// Observe gives the event to each in order.
func (list inTurn) Observe(event observe.Event) {
	for _, s := range list {
		s.Observe(event)
	}
}

// Close closes those that can be closed.
func (list inTurn) Close() error {
	var failures []error
	for _, s := range list {
		if c, ok := s.(io.Closer); ok {
			failures = append(failures, c.Close())
		}
	}
	return errors.Join(failures...)
}

func (e *Engine) announce() {
	e.result.All = e.model.Config.NumParameters()
	for _, p := range e.params {
		e.result.Trainable += p.Numel()
		if e.model.Parameter(p.Name) == nil {
			e.result.All += p.Numel() // an adapter's
		}
	}
	e.stream.Emit(e.state.Step, observe.Start{Name: e.name, Steps: e.steps, Epochs: float64(e.config.Epochs), Samples: e.samples,
		Parameters: e.result.All, Trainable: e.result.Trainable, Device: deviceName(e.model.Device()), Config: e.config})
}

func deviceName(d torch.Device) string {
	if d == torch.CPU {
		return "cpu"
	}
	return "cuda"
}

// afterStep tells the sinks, and evaluates and saves when due.
func (e *Engine) afterStep(ctx context.Context, r stepReport, newEpoch bool) error {
	tokens, samples, targets := 0, 0, 0
	for _, b := range r.group.Micro {
		tokens += b.Len()
		samples += len(b.Ends)
		targets += b.Targets()
	}
	e.meter.Add(r.duration, tokens)
	e.result.Loss = r.loss
	e.result.TokensPerSecond = e.meter.TokensPerSecond()
	memory := torch.MemoryNow()
	e.stream.Emit(e.state.Step, observe.Step{Loss: r.loss, GradNorm: r.norm, LearningRate: r.lr, Epoch: e.epoch(),
		Samples: samples, Tokens: tokens, TargetTokens: targets, TokensPerSecond: e.result.TokensPerSecond, Duration: r.duration,
		Remaining: e.meter.Remaining(e.steps - e.state.Step), AllocatedBytes: memory.Live, PeakBytes: memory.Peak, Metrics: e.metrics()})
	if usual, spike := e.spikes.see(r.loss); spike {
		e.stream.Warn(e.state.Step, "loss_spike", "the loss is %.4g where %.4g was usual; look at the samples: %s", r.loss, usual, e.describe(r.group.Micro[0]))
	}
	due := e.config.EvalEvery > 0 && e.state.Step%e.config.EvalEvery == 0 || e.config.EvalEvery == 0 && newEpoch
	if due && e.state.Step < e.steps {
		if err := e.evaluate(ctx); err != nil {
			return err
		}
	}
	e.poll()
	if e.config.Output == "" || e.config.SaveEvery == Off || e.state.Step == e.steps {
		return nil
	}
	best := e.config.KeepBest > 0 && e.state.Eval != nil && e.state.BestEval == e.state.Eval
	switch {
	case e.config.SaveEvery > 0 && e.state.Step%e.config.SaveEvery == 0:
		e.savePeriodic("periodic")
	case best:
		e.savePeriodic("best")
	}
	return nil
}

// metrics are the objective's own figures since the last call.
func (e *Engine) metrics() map[string]float64 {
	if r, ok := e.objective.(Reporter); ok {
		return r.Metrics()
	}
	return nil
}

// epoch is how often the samples have been seen.
func (e *Engine) epoch() float64 {
	length := e.samples
	if e.config.Order != nil {
		length = max(1, len(e.config.Order(e.state.Cursor.Epoch)))
	}
	return float64(e.state.Cursor.Epoch) + float64(e.state.Cursor.Index)/float64(length)
}

// finish evaluates and saves a last time.
func (e *Engine) finish(ctx context.Context, reason string) error {
	if err := e.evaluate(ctx); err != nil {
		return err
	}
	if e.config.SaveEvery == Off {
		return nil
	}
	return e.save("final")
}

// describe names the samples of a batch, for errors: the first few by their place in the data.
func (e *Engine) describe(b data.Batch) string {
	const most = 4
	var names []string
	samples := slices.Compact(slices.Clone(b.Samples))
	for n, i := range samples {
		if n == most {
			names = append(names, fmt.Sprintf("and %d more", len(samples)-most))
			break
		}
		name := fmt.Sprintf("sample %d", i)
		if place := e.records[i].Place; place.File != "" {
			name += " (" + place.String() + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// firstBad is the name of the first weight whose gradient is not finite.
func (e *Engine) firstBad(s *torch.Scope, grads []*torch.Tensor) string {
	for i, p := range e.params {
		if !finite(s.Norm(grads[i : i+1])) {
			return p.Name
		}
	}
	return "none alone, only all together"
}
