package grpo

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAdvantages(t *testing.T) {
	got := advantages([]float64{1, 0, 0, 1}, false)
	require.InDeltaSlice(t, []float64{0.8659, -0.8659, -0.8659, 0.8659}, got, 1e-3) // ±0.5 over a spread of √(1/3)
	assert.Equal(t, []float64{0, 0, 0}, advantages([]float64{2, 2, 2}, false), "nothing to tell answers apart")
	assert.Equal(t, []float64{0.5, -0.5}, advantages([]float64{1, 0}, true))
}

func TestTokenDerivatives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Beta: rapid.SampledFrom([]float64{0, 0.04, 0.5}).Draw(t, "beta")}.withDefaults()
		draw := func(name string) float64 { return rapid.Float64Range(-6, -0.01).Draw(t, name) }
		now, ref := draw("now"), draw("ref")
		old := now + rapid.Float64Range(-0.6, 0.6).Draw(t, "drift")
		advantage := rapid.Float64Range(-2, 2).Draw(t, "advantage")
		const h = 1e-6
		ratio := math.Exp(now - old)
		if math.Abs(ratio-1+c.ClipLow) < 1e-4 || math.Abs(ratio-1-c.ClipHigh) < 1e-4 {
			return // corners
		}
		_, derivative, _ := c.token(now, old, ref, advantage)
		up, _, _ := c.token(now+h, old, ref, advantage)
		down, _, _ := c.token(now-h, old, ref, advantage)
		assert.InDelta(t, (up-down)/(2*h), derivative, 1e-5*(1+math.Abs(derivative)))
	})
}

// The ratio stops pulling beyond its range only in the direction of the advantage (Schulman et al. 2017, figure 1).
func TestClipping(t *testing.T) {
	c := Config{}.withDefaults()
	for _, one := range []struct {
		drift, advantage float64
		clipped          bool
	}{{0.5, 1, true}, {0.5, -1, false}, {-0.5, 1, false}, {-0.5, -1, true}, {0.1, 1, false}} {
		_, d, clipped := c.token(-1+one.drift, -1, 0, one.advantage)
		assert.Equal(t, one.clipped, clipped, "%+v", one)
		assert.Equal(t, one.clipped, d == 0, "%+v", one)
	}
}
