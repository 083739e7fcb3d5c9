package torch

// #include "kernels.h"
import "C"

import "unsafe"

// RMSNorm is weight ⊙ x / sqrt(mean(x²)+eps) over the last dimension; with unitOffset the weight is weight+1 (Gemma).
func (s *Scope) RMSNorm(x, weight *Tensor, eps float64, unitOffset bool) *Tensor {
	return s.adoptKernel("rms_norm", C.ft_rms_norm(x.ft(), weight.ft(), C.double(eps), flag(unitOffset)), x, weight)
}

// RoPE turns the features of x [N, heads, D] by the angles whose cos and sin [N, R/2] are given. The pairs are (i, i+R/2), or
// (2i, 2i+1) when interleaved; features from R on pass.
func (s *Scope) RoPE(x, cos, sin *Tensor, interleaved bool) *Tensor {
	return s.adoptKernel("rope", C.ft_rope(x.ft(), cos.ft(), sin.ft(), flag(interleaved)), x, cos, sin)
}

// Activation is the nonlinearity of a gated MLP.
type Activation int

// The activations that Gated knows.
const (
	SiLU     Activation = iota // x·σ(x)
	GELU                       // x·Φ(x)
	GELUTanh                   // the tanh approximation of GELU
	ReLU
)

// Gated is act(gate) ⊙ up.
func (s *Scope) Gated(gate, up *Tensor, act Activation) *Tensor {
	return s.adoptKernel("gated", C.ft_gated(gate.ft(), up.ft(), C.int(act)), gate, up)
}

// Dropout zeroes each element with probability p and divides the rest by 1−p. The choice is a function of seed and place alone.
func (s *Scope) Dropout(x *Tensor, p float64, seed uint64) *Tensor {
	return s.adoptKernel("dropout", C.ft_dropout(x.ft(), C.double(p), C.uint64_t(seed)), x)
}

// Segments lists stretches of the token axis as triples of int64: start, end, and a third number that the operation explains.
type Segments []int64

// Len is the number of segments.
func (g Segments) Len() int { return len(g) / 3 }

func (g Segments) c() (*C.int64_t, C.int) {
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(g))), C.int(g.Len())
}

// Attention is causal softmax attention within each segment: q [N, A, D], k and v [N, K, D] → [N, A, D]; A is a multiple of K.
// A segment's third number names the earlier segment that it sees as if it stood before it, or −1.
func (s *Scope) Attention(q, k, v *Tensor, segments Segments, scale float64) *Tensor {
	list, n := segments.c()
	return s.adoptKernel("attention", C.ft_attention(q.ft(), k.ft(), v.ft(), list, n, C.double(scale)), q, k, v)
}

// AttentionCached is attention of new tokens to a KV cache, which it extends: kcache and vcache are [slots, capacity, K, D]. A
// segment's third number is its slot; past[i] tokens of segment i are in the cache already.
func (s *Scope) AttentionCached(q, k, v, kcache, vcache *Tensor, segments Segments, past []int64, scale float64) *Tensor {
	list, n := segments.c()
	return s.adoptKernel("attention_cached", C.ft_attention_cached(q.ft(), k.ft(), v.ft(), kcache.ft(), vcache.ft(), list, n,
		dims(past), C.double(scale)), q, k, v, kcache, vcache)
}

// CrossEntropy is the summed cross entropy, in nats, of labels [M] int64 under softmax(hidden·weightᵀ): hidden [M, H],
// weight [V, H] → [] float32. The logits exist in chunks of about chunkBytes at most; the gradients are ready when it returns.
func (s *Scope) CrossEntropy(hidden, weight, labels *Tensor, chunkBytes int64) *Tensor {
	return s.adoptKernel("cross_entropy", C.ft_cross_entropy(hidden.ft(), weight.ft(), labels.ft(), C.int64_t(chunkBytes)),
		hidden, weight, labels)
}

// Backward adds the gradient of a scalar to every leaf that requires one.
func (s *Scope) Backward(loss *Tensor) {
	if C.ft_backward(loss.ft()) != 0 {
		fail("backward", loss)
	}
}

// Grad is the gradient collected by a leaf, or nil.
func (s *Scope) Grad(leaf *Tensor) *Tensor {
	g := C.ft_grad(leaf.ft())
	if g == nil {
		return nil
	}
	return s.adoptKernel("grad", g)
}

// DropGrad forgets the gradient collected by a leaf and frees it.
func (s *Scope) DropGrad(leaf *Tensor) {
	if C.ft_set_grad(leaf.ft(), nil) != 0 {
		fail("set_grad", leaf)
	}
}

func flag(on bool) C.int {
	if on {
		return 1
	}
	return 0
}
