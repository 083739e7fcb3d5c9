package grpo

import "math"

// advantages are by how much each answer's reward is above the group's mean, in units of its spread unless unscaled.
func advantages(rewards []float64, unscaled bool) []float64 {
	mean, n := 0.0, float64(len(rewards))
	for _, r := range rewards {
		mean += r / n
	}
	spread := 0.0
	for _, r := range rewards {
		spread += (r - mean) * (r - mean) / (n - 1)
	}
	scale := 1.0
	if !unscaled {
		scale = 1 / (math.Sqrt(spread) + 1e-4) // as TRL
	}
	list := make([]float64, len(rewards))
	for i, r := range rewards {
		list[i] = (r - mean) * scale
	}
	return list
}

// token is the loss of one token, with its derivative by the log-probability now:
//
//	−min(ρ·A, clip(ρ, 1−low, 1+high)·A) + β·(e^(ref−now) − (ref−now) − 1),  ρ = e^(now−old)
//
// clipped says that the ratio has left its range in the direction of the advantage, where it pulls no further.
func (c Config) token(now, old, ref, advantage float64) (value, derivative float64, clipped bool) {
	ratio := math.Exp(now - old)
	bound := math.Min(math.Max(ratio, 1-c.ClipLow), 1+c.ClipHigh)
	if bound*advantage < ratio*advantage {
		value, clipped = -bound*advantage, true
	} else {
		value, derivative = -ratio*advantage, -ratio*advantage
	}
	if c.Beta > 0 {
		away := math.Exp(ref - now)
		value += c.Beta * (away - (ref - now) - 1)
		derivative += c.Beta * (1 - away)
	}
	return value, derivative, clipped
}
