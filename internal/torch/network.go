package torch

// #include "kernels.h"
import "C"

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// RMSNorm is weight ⊙ x / sqrt(mean(x²)+eps) over the last dimension; with unitOffset the weight is weight+1 (Gemma).
func (s *Scope) RMSNorm(x, weight *Tensor, eps float64, unitOffset bool) *Tensor {
	return s.adoptKernel("rms_norm", C.ft_rms_norm(x.ft(), weight.ft(), C.double(eps), flag(unitOffset)), x, weight)
}

// RoPE turns the features of x [N, heads, D] by the angles whose cos and sin [N, R/2] are given. The pairs are (i, i+R/2), or
// (2i, 2i+1) when interleaved; features from R on pass.
func (s *Scope) RoPE(x, cos, sin *Tensor, interleaved bool) *Tensor {
	return s.adoptKernel("rope", C.ft_rope(x.ft(), cos.ft(), sin.ft(), flag(interleaved)), x, cos, sin)
}

// FewRows runs f with projections of few rows made for the speed of generating: each weight is read once, in place. Their last bits are
// others than those of Linear elsewhere.
func (s *Scope) FewRows(f func()) {
	was := C.ft_few_rows(1)
	defer C.ft_few_rows(was)
	f()
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

// Gated is act(gate) ⊙ up. Where up is nil, the rows of gate hold both, gate first: [N, 2I] → [N, I].
func (s *Scope) Gated(gate, up *Tensor, act Activation) *Tensor {
	if up == nil {
		return s.adoptKernel("gated", C.ft_gated(gate.ft(), nil, C.int(act)), gate)
	}
	return s.adoptKernel("gated", C.ft_gated(gate.ft(), up.ft(), C.int(act)), gate, up)
}

// Activate is act of each element.
func (s *Scope) Activate(x *Tensor, act Activation) *Tensor {
	return s.adoptKernel("activate", C.ft_activate(x.ft(), C.int(act)), x)
}

// LayerNorm is weight ⊙ (x − mean)/sqrt(variance+eps) + bias over the last dimension; weight and bias may be nil.
func (s *Scope) LayerNorm(x, weight, bias *Tensor, eps float64) *Tensor {
	shape := x.Shape()
	lib.AtgLayerNorm(s.out, x.ctensor(), shape[len(shape)-1:], 1, optional(weight), optional(bias), eps, 0)
	return s.take("layer_norm", x, weight, bias)
}

// Split cuts dimension dim into stretches of the given sizes, views whose gradients are written side by side into one.
func (s *Scope) Split(x *Tensor, dim int64, sizes ...int64) []*Tensor {
	raw := make([]C.ft_tensor, len(sizes))
	if C.ft_split(x.ft(), dims(sizes), C.int(len(sizes)), C.int64_t(dim), unsafe.SliceData(raw)) != 0 {
		fail("split", x)
	}
	parts := make([]*Tensor, len(sizes))
	for i, c := range raw {
		parts[i] = s.adoptKernel("split", c, x)
	}
	return parts
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

// Scores says what becomes of a score q·k before the softmax: s = Scale·q·k, then Cap·tanh(s/Cap), then s + slope·(place of the key).
type Scores struct {
	Scale  float64
	Cap    float64   // 0: none
	Window int       // keys that a query sees at most, its own the last of them; 0: all before it
	Slopes []float32 // ALiBi's, one a query head; nil: none
}

func (c Scores) c() (*C.ft_scores_t, *C.float) {
	return &C.ft_scores_t{scale: C.double(c.Scale), cap: C.double(c.Cap), window: C.int64_t(c.Window)}, (*C.float)(unsafe.SliceData(c.Slopes))
}

// Attention is causal softmax attention within each segment: q [N, A, D], k [N, K, D], v [N, K, E] → [N, A, E]; A is a multiple of K.
// A segment's third number names the earlier segment that it sees as if it stood before it, or −1.
func (s *Scope) Attention(q, k, v *Tensor, segments Segments, how Scores) *Tensor {
	list, n := segments.c()
	scores, slopes := how.c()
	return s.adoptKernel("attention", C.ft_attention(q.ft(), k.ft(), v.ft(), list, n, scores, slopes), q, k, v)
}

// AttentionCached is attention of new tokens to a KV cache, which it extends: kcache [slots, capacity, K, D], vcache
// [slots, capacity, K, E]. A segment's third number is its slot; past[i] tokens of segment i are in the cache already.
func (s *Scope) AttentionCached(q, k, v, kcache, vcache *Tensor, segments Segments, past []int64, how Scores) *Tensor {
	list, n := segments.c()
	scores, slopes := how.c()
	return s.adoptKernel("attention_cached", C.ft_attention_cached(q.ft(), k.ft(), v.ft(), kcache.ft(), vcache.ft(), list, n,
		dims(past), scores, slopes), q, k, v, kcache, vcache)
}

// Head is an output head: the weight [V, H] and what may stand beside it.
type Head struct {
	Weight *Tensor
	Bias   *Tensor // [V]; nil: none
	Tail   *Tensor // the last rows of Weight, a leaf over the same memory, when only they are trained; nil: Weight itself may be
	Cap    float64 // logits become Cap·tanh(logit/Cap); 0: they do not
}

func (h Head) c() C.ft_head_t {
	return C.ft_head_t{cap: C.double(h.Cap), bias: optionalKernel(h.Bias), tail: optionalKernel(h.Tail)}
}

// CrossEntropy is the summed cross entropy, in nats, of labels [M] int64 under softmax(hidden·weightᵀ + bias): hidden [M, H] →
// [] float32, and that of each row, [M] float64 without a gradient. The logits exist in chunks of about chunkBytes at most; the gradients
// are ready when it returns.
func (s *Scope) CrossEntropy(hidden, labels *Tensor, head Head, chunkBytes int64) (sum, each *Tensor) {
	h := head.c()
	var rows C.ft_tensor
	sum = s.adoptKernel("cross_entropy", C.ft_cross_entropy(hidden.ft(), head.Weight.ft(), labels.ft(), &h, C.int64_t(chunkBytes), &rows),
		hidden, head.Weight, labels)
	return sum, s.adoptKernel("cross_entropy", rows)
}

// TokenLosses is the cross entropy of each label by itself: [M] float32. Where the head is trained its logits are made again in the
// backward pass.
func (s *Scope) TokenLosses(hidden, labels *Tensor, head Head, chunkBytes int64) *Tensor {
	h := head.c()
	return s.adoptKernel("token_losses", C.ft_token_losses(hidden.ft(), head.Weight.ft(), labels.ft(), &h, C.int64_t(chunkBytes)),
		hidden, head.Weight, labels)
}

// Known is a function of x [n] whose value and derivatives were computed outside libtorch: [] float32.
func (s *Scope) Known(x *Tensor, value float64, derivatives []float64) *Tensor {
	var d *Tensor
	if x.DType() == Float64 {
		d = s.fromData(unsafe.Pointer(unsafe.SliceData(derivatives)), len(derivatives), Float64, x.Device(), x.Shape())
	} else {
		narrow := make([]float32, len(derivatives))
		for i, v := range derivatives {
			narrow[i] = float32(v)
		}
		d = s.fromData(unsafe.Pointer(unsafe.SliceData(narrow)), len(narrow), Float32, x.Device(), x.Shape())
	}
	return s.adoptKernel("known", C.ft_known(x.ft(), d.ft(), C.double(value)), x)
}

// optionalKernel is the native tensor or none.
func optionalKernel(t *Tensor) C.ft_tensor {
	if t == nil {
		return nil
	}
	return t.ft()
}

// EmbeddingTail is Embedding whose gradient goes to tail [n, H], the last rows of weight as a leaf over the same memory.
func (s *Scope) EmbeddingTail(weight, tail, ids *Tensor) *Tensor {
	return s.adoptKernel("embedding", C.ft_embedding_tail(weight.ft(), tail.ft(), ids.ft()), weight, tail, ids)
}

// Backward adds the gradient of a scalar to every leaf that requires one.
func (s *Scope) Backward(loss *Tensor) {
	if C.ft_backward(loss.ft(), nil) != 0 {
		fail("backward", loss)
	}
}

// BackwardFrom goes on from x, of which a loss has the gradient grad: it adds the loss's gradient to every leaf before x.
func (s *Scope) BackwardFrom(x, grad *Tensor) {
	if C.ft_backward(x.ft(), grad.ft()) != 0 {
		fail("backward", x, grad)
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
