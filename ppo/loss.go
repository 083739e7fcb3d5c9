package ppo

import "math"

// estimate is generalised advantage estimation over the tokens of one answer (Schulman et al. 2016): rewards and values by token in,
// advantages and returns out. Nothing comes after the last token.
func estimate(rewards, values []float64, gamma, lambda float64) (advantages, returns []float64) {
	n := len(rewards)
	advantages, returns = make([]float64, n), make([]float64, n)
	after, next := 0.0, 0.0 // the advantage and the value of the token behind
	for t := n - 1; t >= 0; t-- {
		surprise := rewards[t] + gamma*next - values[t]
		after = surprise + gamma*lambda*after
		advantages[t], returns[t] = after, after+values[t]
		next = values[t]
	}
	return advantages, returns
}

// whiten moves the mean to 0 and the standard deviation to 1.
func whiten(x []float64) {
	mean, n := 0.0, float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	spread := 0.0
	for _, v := range x {
		spread += (v - mean) * (v - mean) / math.Max(1, n-1)
	}
	for i := range x {
		x[i] = (x[i] - mean) / (math.Sqrt(spread) + 1e-8)
	}
}

// policyLoss is −min(ρ·A, clip(ρ, 1±clip)·A) with ρ = e^(now−old), and its derivative by now.
func policyLoss(now, old, advantage, clip float64) (value, derivative float64, clipped bool) {
	ratio := math.Exp(now - old)
	bound := math.Min(math.Max(ratio, 1-clip), 1+clip)
	if bound*advantage < ratio*advantage {
		return -bound * advantage, 0, true
	}
	return -ratio * advantage, -ratio * advantage, false
}

// valueLoss is ½·max((v−R)², (v'−R)²), v' being v no farther than clip from what it was, and its derivative by v.
func valueLoss(now, old, target, clip float64) (value, derivative float64) {
	bound := math.Min(math.Max(now, old-clip), old+clip)
	free, held := (now-target)*(now-target)/2, (bound-target)*(bound-target)/2
	switch {
	case free >= held:
		return free, now - target
	case bound == now:
		return held, now - target
	}
	return held, 0
}
