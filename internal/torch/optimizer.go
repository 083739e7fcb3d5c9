package torch

// #include "kernels.h"
import "C"

import "unsafe"

// AdamWStep holds one step's numbers for AdamW.
type AdamWStep struct {
	LearningRate, Beta1, Beta2, Eps float64
	Clip                            float64 // gradients are multiplied by it first
	Step                            int64   // 1 for the first step
}

// AdamW updates params in place from grads and the moments m and v (Loshchilov & Hutter 2019, in the order of
// torch.optim.AdamW). The four lists and weightDecay run in parallel.
func (s *Scope) AdamW(params, grads, m, v []*Tensor, weightDecay []float64, step AdamWStep) {
	if len(params) == 0 {
		return
	}
	o := C.ft_adamw_t{lr: C.double(step.LearningRate), beta1: C.double(step.Beta1), beta2: C.double(step.Beta2),
		eps: C.double(step.Eps), clip: C.double(step.Clip), step: C.int64_t(step.Step)}
	if C.ft_adamw(raw(params), raw(grads), raw(m), raw(v), (*C.double)(unsafe.Pointer(&weightDecay[0])), C.int(len(params)), &o) != 0 {
		fail("adamw")
	}
}

// Norm is the 2-norm over all elements of all tensors. Sums are taken in float64.
func (s *Scope) Norm(tensors []*Tensor) float64 {
	if len(tensors) == 0 {
		return 0
	}
	var norm C.double
	if C.ft_norm(raw(tensors), C.int(len(tensors)), &norm) != 0 {
		fail("norm")
	}
	return float64(norm)
}

// raw is an array of native handles. They are C pointers, so the Go array may be handed to C.
func raw(tensors []*Tensor) *C.ft_tensor {
	list := make([]C.ft_tensor, len(tensors))
	for i, t := range tensors {
		list[i] = t.ft()
	}
	return &list[0]
}
