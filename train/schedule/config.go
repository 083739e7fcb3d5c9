package schedule

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Name is a schedule's name, as lr_scheduler_type has it.
type Name string

// The schedules.
const (
	Linear             Name = "linear"
	Cosine             Name = "cosine"
	CosineWithRestarts Name = "cosine_with_restarts"
	CosineWithMinLR    Name = "cosine_with_min_lr"
	CosineWarmupMinLR  Name = "cosine_warmup_with_min_lr"
	Polynomial         Name = "polynomial"
	Constant           Name = "constant"
	ConstantWithWarmup Name = "constant_with_warmup"
	InverseSqrt        Name = "inverse_sqrt"
	WarmupStableDecay  Name = "warmup_stable_decay"
)

// Off stands for zero where 0 means a default that is not zero.
const Off = -1

// Names lists the schedules.
func Names() []Name {
	return []Name{Linear, Cosine, CosineWithRestarts, CosineWithMinLR, CosineWarmupMinLR, Polynomial, Constant,
		ConstantWithWarmup, InverseSqrt, WarmupStableDecay}
}

// Shape is how warmup_stable_decay rises and falls.
type Shape string

// The shapes.
const (
	LinearShape  Shape = "linear"
	CosineShape  Shape = "cosine"
	OneMinusSqrt Shape = "1-sqrt"
)

// Config names a schedule and its parameters; in JSON they have the names of transformers' lr_scheduler_kwargs. The zero
// value decays linearly to 0, without warm-up. A parameter that the named schedule does not have must be left zero.
type Config struct {
	Name        Name    `json:"lr_scheduler_type,omitempty"` // "" means linear
	WarmupSteps int     `json:"warmup_steps,omitempty"`      // optimizer steps; Constant ignores them
	WarmupRatio float64 `json:"warmup_ratio,omitempty"`      // share of all steps in [0, 1), rounded up; only where WarmupSteps is 0

	Cycles       float64 `json:"num_cycles,omitempty"`       // cosine kinds and warmup_stable_decay: waves, 0 means 0.5; with restarts: 0 means 1
	Power        float64 `json:"power,omitempty"`            // polynomial: 0 means 1
	EndLR        float64 `json:"lr_end,omitempty"`           // polynomial: the last rate; 0 means 1e-7, Off 0
	MinLR        float64 `json:"min_lr,omitempty"`           // cosine with min lr: the last rate; Off means 0
	MinLRRate    float64 `json:"min_lr_rate,omitempty"`      // cosine with min lr: the same as a share of the base rate; Off means 0
	WarmupLRRate float64 `json:"warmup_lr_rate,omitempty"`   // cosine_warmup_with_min_lr: first rate as a share of the base rate; 0 means 1/WarmupSteps, Off 0
	Timescale    int     `json:"timescale,omitempty"`        // inverse_sqrt: steps; 0 means WarmupSteps, or 10,000 without warm-up
	DecaySteps   int     `json:"num_decay_steps,omitempty"`  // warmup_stable_decay: required; Off means none
	StableSteps  int     `json:"num_stable_steps,omitempty"` // warmup_stable_decay: 0 means all between warm-up and decay, Off none
	MinLRRatio   float64 `json:"min_lr_ratio,omitempty"`     // warmup_stable_decay: first and last rate as a share of the base rate
	WarmupShape  Shape   `json:"warmup_type,omitempty"`      // warmup_stable_decay: "" means linear
	DecayShape   Shape   `json:"decay_type,omitempty"`       // warmup_stable_decay: "" means cosine
}

// Validate reports every problem that shows without knowing the number of steps, each with its field.
func (c Config) Validate() error {
	var p problems
	name := c.name()
	p.want(slices.Contains(Names(), name), "Name", "is %q; want one of %v", name, Names())
	p.want(c.WarmupSteps >= 0, "WarmupSteps", "is %d; want 0 or more", c.WarmupSteps)
	p.want(c.WarmupRatio >= 0 && c.WarmupRatio < 1, "WarmupRatio", "is %g; want [0, 1)", c.WarmupRatio)
	p.want(c.WarmupRatio == 0 || c.WarmupSteps == 0, "WarmupRatio", "is %g beside WarmupSteps %d; want one of them", c.WarmupRatio, c.WarmupSteps)
	for _, f := range c.fields() {
		p.want(!f.set || slices.Contains(f.schedules, name), f.name, "is set, but %s has no such parameter; it belongs to %v", name, f.schedules)
		p.want(f.ok, f.name, "is %v; want %s", f.value, f.accepts)
	}
	if name == CosineWithMinLR || name == CosineWarmupMinLR {
		p.want((c.MinLR == 0) != (c.MinLRRate == 0), "MinLR", "is %g beside MinLRRate %g; want exactly one of them", c.MinLR, c.MinLRRate)
	}
	if name == WarmupStableDecay {
		p.want(c.DecaySteps != 0, "DecaySteps", "is 0; want the number of steps of the decay")
	}
	return p.err()
}

// field describes one parameter to Validate.
type field struct {
	name      string
	value     any
	set, ok   bool
	accepts   string
	schedules []Name // the ones that have it
}

func (c Config) fields() []field {
	number := func(name string, v float64, most float64, accepts string, in ...Name) field {
		return field{name, v, v != 0, v == Off || v >= 0 && v <= most, accepts, in}
	}
	count := func(name string, v int, accepts string, in ...Name) field {
		return field{name, v, v != 0, v >= Off, accepts, in}
	}
	shape := func(name string, v Shape) field {
		ok := slices.Contains([]Shape{"", LinearShape, CosineShape, OneMinusSqrt}, v)
		return field{name, v, v != "", ok, "linear, cosine or 1-sqrt", []Name{WarmupStableDecay}}
	}
	const positive, share = "0 (default), Off (0) or a positive number", "0 (default), Off (0) or (0, 1]"
	return []field{
		number("Cycles", c.Cycles, math.MaxFloat64, positive, Cosine, CosineWithRestarts, CosineWithMinLR, CosineWarmupMinLR, WarmupStableDecay),
		number("Power", c.Power, math.MaxFloat64, positive, Polynomial),
		number("EndLR", c.EndLR, math.MaxFloat64, positive, Polynomial),
		number("MinLR", c.MinLR, math.MaxFloat64, positive, CosineWithMinLR, CosineWarmupMinLR),
		number("MinLRRate", c.MinLRRate, 1, share, CosineWithMinLR, CosineWarmupMinLR),
		number("WarmupLRRate", c.WarmupLRRate, 1, share, CosineWarmupMinLR),
		number("MinLRRatio", c.MinLRRatio, 1, share, WarmupStableDecay),
		{"Timescale", c.Timescale, c.Timescale != 0, c.Timescale >= 0, "0 (default) or more", []Name{InverseSqrt}},
		count("DecaySteps", c.DecaySteps, "Off (none) or a positive number", WarmupStableDecay),
		count("StableSteps", c.StableSteps, "0 (what is left), Off (none) or a positive number", WarmupStableDecay),
		shape("WarmupShape", c.WarmupShape),
		shape("DecayShape", c.DecayShape),
	}
}

func (c Config) name() Name {
	if c.Name == "" {
		return Linear
	}
	return c.Name
}

// Warmup is the number of warm-up steps in a run of steps optimizer steps.
func (c Config) Warmup(steps int) int {
	if c.WarmupSteps == 0 {
		return int(math.Ceil(float64(steps) * c.WarmupRatio))
	}
	return c.WarmupSteps
}

// New builds the schedule of a run of steps optimizer steps around a base learning rate.
func (c Config) New(base float64, steps int) (Schedule, error) {
	var p problems
	p.want(base > 0 && !math.IsInf(base, 0), "LearningRate", "is %g; want a positive number", base)
	p.want(steps > 0, "Steps", "is %d; want 1 or more", steps)
	if err := errors.Join(c.Validate(), p.err()); err != nil {
		return nil, err
	}
	factor, err := c.factor(base, steps)
	if err != nil {
		return nil, err
	}
	return scaled{base, factor}, nil
}

// orDefault reads a number of a config: 0 is the default, Off is 0.
func orDefault[T int | float64](v, byDefault T) T {
	switch v {
	case 0:
		return byDefault
	case Off:
		return 0
	}
	return v
}

// problems collects what Validate finds.
type problems []error

func (p *problems) want(ok bool, field, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
}

func (p problems) err() error { return errors.Join(p...) }
