package ppo

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// With γ = λ = 1 an advantage is all that is still to come less the value, whatever the values between.
func TestEstimate(t *testing.T) {
	advantages, returns := estimate([]float64{0, -1, 3}, []float64{0.5, 7, -2}, 1, 1)
	assert.Equal(t, []float64{1.5, -5, 5}, advantages)
	assert.Equal(t, []float64{2, 2, 3}, returns)
	advantages, _ = estimate([]float64{1, 2}, []float64{10, 20}, 0.5, 0)
	assert.Equal(t, []float64{1 + 0.5*20 - 10, 2 - 20}, advantages, "λ = 0: one step")
}

func TestWhiten(t *testing.T) {
	x := []float64{1, 2, 3, 4}
	whiten(x)
	assert.InDeltaSlice(t, []float64{-1.1619, -0.3873, 0.3873, 1.1619}, x, 1e-4)
	one := []float64{5}
	whiten(one)
	assert.Equal(t, []float64{0}, one)
}

func TestDerivatives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const h = 1e-6
		draw := func(name string, low, high float64) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		now, advantage := draw("now", -6, -0.01), draw("advantage", -2, 2)
		old := now + draw("drift", -0.6, 0.6)
		if r := math.Exp(now - old); math.Abs(r-0.8) > 1e-4 && math.Abs(r-1.2) > 1e-4 {
			_, d, _ := policyLoss(now, old, advantage, 0.2)
			up, _, _ := policyLoss(now+h, old, advantage, 0.2)
			down, _, _ := policyLoss(now-h, old, advantage, 0.2)
			assert.InDelta(t, (up-down)/(2*h), d, 1e-5*(1+math.Abs(d)))
		}
		v, target := draw("value", -2, 2), draw("target", -2, 2)
		was := v + draw("moved", -0.5, 0.5)
		corner := math.Abs(math.Abs(v-was)-0.2) < 1e-4
		free, held := math.Abs(v-target), math.Abs(math.Min(math.Max(v, was-0.2), was+0.2)-target)
		if !corner && math.Abs(free-held) > 1e-4 || math.Abs(v-was) < 0.19 {
			_, d := valueLoss(v, was, target, 0.2)
			up, _ := valueLoss(v+h, was, target, 0.2)
			down, _ := valueLoss(v-h, was, target, 0.2)
			assert.InDelta(t, (up-down)/(2*h), d, 1e-5*(1+math.Abs(d)))
		}
	})
}
