package schedule

import (
	"fmt"
	"math"
)

// The curves follow transformers 5 operation by operation: the bound is 1e-12 on rates of 1e-3.

// factor builds the curve of a valid config.
func (c Config) factor(base float64, steps int) (func(int) float64, error) {
	warmup := c.Warmup(steps)
	switch c.name() {
	case Constant:
		return func(int) float64 { return 1 }, nil
	case ConstantWithWarmup:
		return after(warmup, func(int) float64 { return 1 }), nil
	case Linear:
		return after(warmup, linear(warmup, steps)), nil
	case Cosine:
		return after(warmup, cosine(warmup, steps, orDefault(c.Cycles, 0.5), 0)), nil
	case CosineWithMinLR:
		return after(warmup, cosine(warmup, steps, orDefault(c.Cycles, 0.5), c.floor(base))), nil
	case CosineWithRestarts:
		return after(warmup, restarts(warmup, steps, orDefault(c.Cycles, 1))), nil
	case CosineWarmupMinLR:
		return c.cosineWarmup(base, warmup, steps), nil
	case InverseSqrt:
		return after(warmup, c.inverseSqrt(warmup)), nil
	case Polynomial:
		return c.polynomial(base, warmup, steps)
	default:
		return c.stable(warmup, steps)
	}
}

// after rises linearly from 0 during warm-up; curve holds from then on.
func after(warmup int, curve func(int) float64) func(int) float64 {
	return func(step int) float64 {
		if step < warmup {
			return float64(step) / float64(warmup)
		}
		return curve(step)
	}
}

func linear(warmup, steps int) func(int) float64 {
	return func(step int) float64 {
		return max(0, float64(steps-step)/float64(max(1, steps-warmup)))
	}
}

// progress is the share of the steps after warm-up that is done.
func progress(step, warmup, steps int) float64 {
	return float64(step-warmup) / float64(max(1, steps-warmup))
}

func wave(cycles, progress float64) float64 {
	return 0.5 * (1 + math.Cos(math.Pi*cycles*2*progress))
}

func cosine(warmup, steps int, cycles, floor float64) func(int) float64 {
	return func(step int) float64 {
		return max(0, wave(cycles, progress(step, warmup, steps))*(1-floor)+floor)
	}
}

// restarts falls by half a wave in each cycle, and starts the next one at the top.
func restarts(warmup, steps int, cycles float64) func(int) float64 {
	return func(step int) float64 {
		done := progress(step, warmup, steps)
		if done >= 1 {
			return 0
		}
		return max(0, 0.5*(1+math.Cos(math.Pi*math.Mod(cycles*done, 1))))
	}
}

// floor is the lowest factor of the schedules with a minimum rate.
func (c Config) floor(base float64) float64 {
	if c.MinLR != 0 {
		return orDefault(c.MinLR, 0) / base
	}
	return orDefault(c.MinLRRate, 0)
}

// cosineWarmup differs from the others: no step has rate 0, and the last one has the minimum.
func (c Config) cosineWarmup(base float64, warmup, steps int) func(int) float64 {
	floor, cycles := c.floor(base), orDefault(c.Cycles, 0.5)
	return func(step int) float64 {
		switch {
		case step < warmup && c.WarmupLRRate == 0:
			return (float64(step) + 1) / float64(warmup)
		case step < warmup:
			first := orDefault(c.WarmupLRRate, 0)
			return first + (1-first)*float64(step)/math.Max(1, float64(warmup)-1)
		}
		done := (float64(step-warmup) + 1) / math.Max(1, float64(steps-warmup))
		return max(0, wave(cycles, done)*(1-floor)+floor)
	}
}

func (c Config) inverseSqrt(warmup int) func(int) float64 {
	timescale := c.Timescale
	if timescale == 0 {
		timescale = warmup
	}
	if timescale == 0 {
		timescale = 10_000
	}
	return func(step int) float64 {
		return 1 / math.Sqrt(float64(step+timescale-warmup)/float64(timescale))
	}
}

func (c Config) polynomial(base float64, warmup, steps int) (func(int) float64, error) {
	end, power := orDefault(c.EndLR, 1e-7), orDefault(c.Power, 1)
	var p problems
	p.want(end < base, "EndLR", "is %g; want less than the base rate %g", end, base)
	p.want(warmup < steps, "WarmupSteps", "is %d of %d steps; polynomial needs steps after the warm-up", warmup, steps)
	curve := func(step int) float64 {
		if step > steps {
			return end / base
		}
		left := 1 - float64(step-warmup)/float64(steps-warmup)
		return ((base-end)*math.Pow(left, power) + end) / base
	}
	return after(warmup, curve), p.err()
}

// stable is warmup_stable_decay: up, level, down, and the minimum from then on.
func (c Config) stable(warmup, steps int) (func(int) float64, error) {
	decay, cycles, floor := orDefault(c.DecaySteps, 0), orDefault(c.Cycles, 0.5), orDefault(c.MinLRRatio, 0)
	level := orDefault(c.StableSteps, steps-warmup-decay)
	if level < 0 {
		return nil, fmt.Errorf("DecaySteps: is %d beside %d steps of warm-up; want together at most the run's %d", decay, warmup, steps)
	}
	return func(step int) float64 {
		switch {
		case step < warmup:
			return c.rise(float64(step)/float64(warmup))*(1-floor) + floor
		case step < warmup+level:
			return 1
		case step < warmup+level+decay:
			return max(0, c.fall(float64(step-warmup-level)/float64(decay), cycles)*(1-floor)+floor)
		}
		return floor
	}, nil
}

func (c Config) rise(done float64) float64 {
	switch c.WarmupShape {
	case CosineShape:
		return 0.5 * (1 - math.Cos(math.Pi*done))
	case OneMinusSqrt:
		return 1 - math.Sqrt(1-done)
	}
	return done
}

func (c Config) fall(done, cycles float64) float64 {
	switch c.DecayShape {
	case LinearShape:
		return 1 - done
	case OneMinusSqrt:
		return 1 - math.Sqrt(done)
	}
	return wave(cycles, done)
}
