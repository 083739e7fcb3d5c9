package data

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// LoaderConfig says how samples become the micro-batches of optimizer steps.
type LoaderConfig struct {
	MicroBatch int    `json:"micro_batch"` // samples in a micro-batch, at most; 0 means 1
	MaxTokens  int    `json:"max_tokens"`  // tokens in a micro-batch, at most; 0 means no limit
	Accumulate int    `json:"accumulate"`  // micro-batches in a group, which is one optimizer step; 0 means 1
	Epochs     int    `json:"epochs"`      // walks over the samples; 0 means 1, negative without end
	Shuffle    bool   `json:"shuffle"`     // a new order in every epoch; otherwise that of the samples
	Seed       uint64 `json:"seed"`

	// LengthWindow sorts by length within windows of that many micro-batches, so that the samples of one micro-batch are
	// about equally long; 0 does not. Useful with MaxTokens, for steps of even size.
	LengthWindow int `json:"length_window"`

	// Order gives the samples of an epoch as indices, in place of Shuffle and LengthWindow: any number of them, some
	// more than once, as a mixture wants it ([mixer.Mixer.Order] of the package mixer, over the samples of all its
	// sources joined). It must be a pure function of the epoch.
	Order func(epoch int) []int32 `json:"-"`
}

// Validate reports every problem at once.
func (c LoaderConfig) Validate() error {
	var problems []error
	for _, f := range []struct {
		name  string
		value int
	}{{"MicroBatch", c.MicroBatch}, {"MaxTokens", c.MaxTokens}, {"Accumulate", c.Accumulate}, {"LengthWindow", c.LengthWindow}} {
		if f.value < 0 {
			problems = append(problems, fmt.Errorf("%s: is %d; want 0 (default) or more", f.name, f.value))
		}
	}
	if c.Order != nil && (c.Shuffle || c.LengthWindow > 0) {
		problems = append(problems, errors.New("Order: contradicts Shuffle and LengthWindow; it is the order"))
	}
	return errors.Join(problems...)
}

func (c LoaderConfig) withDefaults() LoaderConfig {
	c.MicroBatch = max(c.MicroBatch, 1)
	c.Accumulate = max(c.Accumulate, 1)
	if c.Epochs == 0 {
		c.Epochs = 1
	}
	return c
}

// Cursor is a place in the stream of samples, from which it can be taken up again.
type Cursor struct {
	Epoch int `json:"epoch"`
	Index int `json:"index"` // samples of the epoch that have been used
}

// Group is what one optimizer step is made of.
type Group struct {
	Micro []Batch
	Next  Cursor // where to resume when this group has been used
}

// Targets counts the learned tokens of the group: what the step's loss is divided by.
func (g Group) Targets() int {
	n := 0
	for _, b := range g.Micro {
		n += b.Targets()
	}
	return n
}

// Loader serves samples in groups of micro-batches. It is immutable and for concurrent use.
type Loader struct {
	samples []Sample
	cfg     LoaderConfig
}

// NewLoader checks that every sample fits. It keeps the samples, which must not change.
func NewLoader(samples []Sample, cfg LoaderConfig) (*Loader, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("data: loader: %w", ErrNoTargets)
	}
	l := &Loader{samples: samples, cfg: cfg.withDefaults()}
	for i, s := range samples {
		switch {
		case len(s.IDs) == 0 && len(s.Answers) == 0 || len(s.IDs) != len(s.Labels):
			return nil, fmt.Errorf("data: sample %d (%s) has %d ids and %d labels; want equal numbers, 1 or more", i, s.Place, len(s.IDs), len(s.Labels))
		case slices.ContainsFunc(s.Answers, func(a Answer) bool { return len(a.IDs) == 0 || len(a.IDs) != len(a.Labels) }):
			return nil, fmt.Errorf("data: sample %d (%s) has an answer without ids, or with another number of labels", i, s.Place)
		case cfg.MaxTokens > 0 && s.Len() > cfg.MaxTokens:
			return nil, fmt.Errorf("data: sample %d (%s) has %d tokens, over MaxTokens %d", i, s.Place, s.Len(), cfg.MaxTokens)
		}
	}
	return l, nil
}

// From walks the groups that come after the cursor; the zero Cursor is the beginning. A group never spans two epochs;
// the last one of an epoch holds what is left, and may be smaller. The error is a cursor that is not of these data.
func (l *Loader) From(c Cursor) iter.Seq2[Group, error] {
	return func(yield func(Group, error) bool) {
		if c.Epoch < 0 || c.Index < 0 || l.cfg.Order == nil && c.Index > len(l.samples) {
			yield(Group{}, fmt.Errorf("data: cursor %+v is not of these %d samples", c, len(l.samples)))
			return
		}
		for at := c; l.cfg.Epochs < 0 || at.Epoch < l.cfg.Epochs; at = (Cursor{Epoch: at.Epoch + 1}) {
			order := l.epochOrder(at.Epoch)
			if err := l.checkOrder(order, at); err != nil {
				yield(Group{}, err)
				return
			}
			for at.Index < len(order) {
				var g Group
				for len(g.Micro) < l.cfg.Accumulate && at.Index < len(order) {
					n := l.micro(order[at.Index:])
					g.Micro = append(g.Micro, l.batch(order[at.Index:at.Index+n]))
					at.Index += n
				}
				if g.Next = at; at.Index == len(order) {
					g.Next = Cursor{Epoch: at.Epoch + 1}
				}
				if !yield(g, nil) {
					return
				}
			}
		}
	}
}

// checkOrder looks at an order that comes from outside.
func (l *Loader) checkOrder(order []int32, at Cursor) error {
	if l.cfg.Order == nil {
		return nil
	}
	if at.Index > len(order) || len(order) == 0 {
		return fmt.Errorf("data: cursor %+v is not of this order of %d samples", at, len(order))
	}
	for i, s := range order {
		if s < 0 || int(s) >= len(l.samples) {
			return fmt.Errorf("data: order of epoch %d: place %d is sample %d; there are %d", at.Epoch, i, s, len(l.samples))
		}
	}
	return nil
}

// micro is how many of the next samples make one micro-batch.
func (l *Loader) micro(next []int32) int {
	n := min(len(next), l.cfg.MicroBatch)
	if l.cfg.MaxTokens == 0 {
		return n
	}
	tokens := 0
	for i, s := range next[:n] {
		if tokens += l.samples[s].Len(); tokens > l.cfg.MaxTokens {
			return i // never 0: NewLoader has seen that each sample fits
		}
	}
	return n
}

func (l *Loader) batch(order []int32) Batch {
	indices := make([]int, len(order))
	for i, s := range order {
		indices[i] = int(s)
	}
	return NewBatch(l.samples, indices)
}

// Len is the number of samples.
func (l *Loader) Len() int { return len(l.samples) }

// Steps is the number of groups in all epochs, −1 without end. With MaxTokens or Order it takes a walk over the orders.
func (l *Loader) Steps() int {
	if l.cfg.Epochs < 0 {
		return -1
	}
	if l.cfg.MaxTokens == 0 && l.cfg.Order == nil {
		micro := ceilDiv(len(l.samples), l.cfg.MicroBatch)
		return l.cfg.Epochs * ceilDiv(micro, l.cfg.Accumulate)
	}
	steps := 0
	for epoch := range l.cfg.Epochs {
		order := l.epochOrder(epoch)
		micro := 0
		for at := 0; at < len(order); at += l.micro(order[at:]) {
			micro++
		}
		steps += ceilDiv(micro, l.cfg.Accumulate)
	}
	return steps
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
