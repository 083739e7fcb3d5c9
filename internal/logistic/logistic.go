// Package logistic has the functions that losses over preferences are made of.
package logistic

import "math"

// Softplus is log(1+eˣ), which is −log σ(−x), without overflow.
func Softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// Sigmoid is σ(x) = 1/(1+e⁻ˣ), the derivative of Softplus.
func Sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
