package model

import (
	"math"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model/arch"
)

// rotary holds RoPE's angular frequencies [R/2] in float32, one for each pair of features.
type rotary struct {
	frequencies *torch.Tensor
}

func newRotary(s *torch.Scope, c *arch.Config, device torch.Device) rotary {
	f := frequencies(c.RoPE)
	t := s.Empty(torch.Float32, device, int64(len(f)))
	s.Copy(t, s.Float32s(f))
	return rotary{frequencies: t}
}

// frequencies is θ^(−2i/R), scaled as the checkpoint asks. The arithmetic is in float32 and in the order of transformers'
// ROPE_INIT_FUNCTIONS, so that long positions get the same angles to the last bit but one.
func frequencies(r arch.RoPE) []float32 {
	f := make([]float32, r.Dim/2)
	for i := range f {
		exponent := float32(2*i) / float32(r.Dim)
		f[i] = 1 / float32(math.Pow(float64(float32(r.Theta)), float64(exponent)))
	}
	switch s := r.Scaling; s.Type {
	case "linear":
		for i := range f {
			f[i] /= float32(s.Factor)
		}
	case "llama3":
		for i := range f {
			f[i] = llama3(f[i], s)
		}
	}
	return f
}

// llama3 slows long wavelengths by Factor, leaves short ones, and blends between (transformers' _compute_llama3_parameters).
func llama3(f float32, s arch.Scaling) float32 {
	original := float64(s.OriginalMaxTrain)
	wavelength := float32(2*math.Pi) / f
	switch {
	case wavelength > float32(original/s.LowFreqFactor):
		return f / float32(s.Factor)
	case wavelength < float32(original/s.HighFreqFactor):
		return f
	}
	smooth := (float32(original)/wavelength - float32(s.LowFreqFactor)) / float32(s.HighFreqFactor-s.LowFreqFactor)
	return (1-smooth)*f/float32(s.Factor) + smooth*f
}

// angles are the cos and sin of every position [N] int64 → two of [N, R/2] float32.
func (r rotary) angles(s *torch.Scope, positions *torch.Tensor) (cos, sin *torch.Tensor) {
	a := s.Outer(s.To(positions, torch.Float32), r.frequencies)
	return s.Cos(a), s.Sin(a)
}
