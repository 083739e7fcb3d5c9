package dpo

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// The derivatives of every loss are those of its value.
func TestDerivatives(t *testing.T) {
	for _, loss := range losses {
		t.Run(string(loss), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := Config{Loss: loss, Beta: rapid.Float64Range(0.05, 3).Draw(t, "beta")}.withDefaults()
				if loss == Conservative || loss == Robust {
					c.LabelSmoothing = rapid.Float64Range(0, 0.4).Draw(t, "smoothing")
				}
				draw := func(name string) float64 { return rapid.Float64Range(-40, -1).Draw(t, name) }
				p := pair{chosen: draw("chosen"), rejected: draw("rejected"), refChosen: draw("refChosen"), refRejected: draw("refRejected"),
					chosenTokens: float64(rapid.IntRange(1, 20).Draw(t, "n")), rejectedTokens: float64(rapid.IntRange(1, 20).Draw(t, "m"))}
				value, byChosen, byRejected := c.of(p)
				const h = 1e-5
				slope := func(move func(p *pair, by float64)) float64 {
					up, down := p, p
					move(&up, h)
					move(&down, -h)
					a, _, _ := c.of(up)
					b, _, _ := c.of(down)
					return (a - b) / (2 * h)
				}
				if loss == Hinge && math.Abs(value) < 1e-3 {
					return // its corner
				}
				near := func(want, got float64) { assert.InDelta(t, want, got, 1e-5*(1+math.Abs(want))) }
				near(slope(func(p *pair, by float64) { p.chosen += by }), byChosen)
				near(slope(func(p *pair, by float64) { p.rejected += by }), byRejected)
			})
		})
	}
}

// Far from zero the losses stay finite.
func TestLossesAreFinite(t *testing.T) {
	for _, loss := range losses {
		c := Config{Loss: loss}.withDefaults()
		for _, far := range []float64{-5000, 5000} {
			v, a, b := c.of(pair{chosen: -6000 + far, rejected: -6000, chosenTokens: 10, rejectedTokens: 10, refChosen: -100, refRejected: -100})
			for _, x := range []float64{v, a, b} {
				assert.False(t, math.IsNaN(x) || math.IsInf(x, 0), "%s at %g: %g %g %g", loss, far, v, a, b)
			}
		}
	}
}
