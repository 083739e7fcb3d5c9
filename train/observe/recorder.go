package observe

import (
	"slices"
	"sync"
)

// Recorder keeps every event in memory, for results and tests: about 250 bytes a step. The zero value is ready. It may be
// read while a run writes to it; what is complete is complete only after Stream.Close.
type Recorder struct {
	mu     sync.Mutex
	events []Event
}

// Observe keeps the event.
func (r *Recorder) Observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events is a copy of everything so far, in order.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// All lists the events of one kind with their steps: observe.All[observe.Evaluation](r.Events()).
func All[D Data](events []Event) (steps []int, data []D) {
	for _, e := range events {
		if d, ok := e.Data.(D); ok {
			steps, data = append(steps, e.Step), append(data, d)
		}
	}
	return steps, data
}

// Losses is the loss of every step so far.
func (r *Recorder) Losses() []float64 {
	_, steps := All[Step](r.Events())
	losses := make([]float64, len(steps))
	for i, s := range steps {
		losses[i] = s.Loss
	}
	return losses
}
