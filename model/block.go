package model

import (
	"fmt"

	"github.com/gofinetune/finetune/internal/torch"
)

// block is one layer: x + f·attention(norm(x)), then x + f·mlp(norm(x)), f being 1 in most families.
// N tokens, H hidden, A heads, K KV heads, D head size, I intermediate.
type block struct {
	layer              int
	inputNorm, midNorm *Parameter
	q, k, v, o         *Linear
	qNorm, kNorm       *Parameter // nil where the family has none
	gate, up, down     *Linear
	m                  *Model
}

func newBlock(m *Model, layer int) *block {
	at := fmt.Sprintf("model.layers.%d.", layer)
	b := &block{
		layer: layer, m: m,
		inputNorm: m.must(at + "input_layernorm.weight"),
		midNorm:   m.must(at + "post_attention_layernorm.weight"),
		q:         m.linear(at + "self_attn.q_proj"), k: m.linear(at + "self_attn.k_proj"),
		v: m.linear(at + "self_attn.v_proj"), o: m.linear(at + "self_attn.o_proj"),
		gate: m.linear(at + "mlp.gate_proj"), up: m.linear(at + "mlp.up_proj"), down: m.linear(at + "mlp.down_proj"),
	}
	if m.Config.Attention.QKNorm {
		b.qNorm, b.kNorm = m.must(at+"self_attn.q_norm.weight"), m.must(at+"self_attn.k_norm.weight")
	}
	return b
}

// forward takes x [N, H]. rows, when not nil, picks the tokens whose result is wanted: attention needs all of them as keys, what
// follows does not.
func (b *block) forward(s *torch.Scope, x *torch.Tensor, run *run, rows *torch.Tensor) *torch.Tensor {
	attended := b.attention(s, b.m.rmsNorm(s, x, b.inputNorm), run) // [N A·D]
	if rows != nil {
		x, attended = s.Rows(x, rows), s.Rows(attended, rows)
	}
	factor := b.m.Config.Scale.Residual
	x = s.Add(x, scaled(s, b.o.forward(s, attended, run.Pass), factor))
	return s.Add(x, scaled(s, b.mlp(s, b.m.rmsNorm(s, x, b.midNorm), run.Pass), factor))
}

// scaled is x·factor.
func scaled(s *torch.Scope, x *torch.Tensor, factor float64) *torch.Tensor {
	if factor == 1 {
		return x
	}
	return s.Scale(x, factor)
}

func (b *block) attention(s *torch.Scope, x *torch.Tensor, run *run) *torch.Tensor {
	c := b.m.Config
	n, heads, kv, width := run.n, int64(c.NumHeads), int64(c.NumKVHeads), int64(c.HeadDim)
	q := s.Reshape(b.q.forward(s, x, run.Pass), n, heads, width) // [N A D]
	k := s.Reshape(b.k.forward(s, x, run.Pass), n, kv, width)    // [N K D]
	v := s.Reshape(b.v.forward(s, x, run.Pass), n, kv, width)
	if b.qNorm != nil {
		q, k = b.m.rmsNorm(s, q, b.qNorm), b.m.rmsNorm(s, k, b.kNorm)
	}
	q = s.RoPE(q, run.cos, run.sin, c.RoPE.Interleaved)
	k = s.RoPE(k, run.cos, run.sin, c.RoPE.Interleaved)
	var out *torch.Tensor
	if run.cache == nil {
		out = s.Attention(q, k, v, run.segments, c.Attention.Scale)
	} else {
		out = run.cache.attend(s, b.layer, q, k, v, run, c.Attention.Scale)
	}
	return s.Reshape(out, n, heads*width)
}

func (b *block) mlp(s *torch.Scope, x *torch.Tensor, pass Pass) *torch.Tensor {
	return b.down.forward(s, s.Gated(b.gate.forward(s, x, pass), b.up.forward(s, x, pass), b.m.activation()), pass)
}

func (m *Model) rmsNorm(s *torch.Scope, x *torch.Tensor, weight *Parameter) *torch.Tensor {
	return s.RMSNorm(x, weight.Tensor, m.Config.Norm.Eps, m.Config.Norm.UnitOffset)
}

func (m *Model) activation() torch.Activation {
	return map[string]torch.Activation{"silu": torch.SiLU, "gelu": torch.GELU, "gelu_tanh": torch.GELUTanh, "relu": torch.ReLU}[m.Config.MLP.Activation]
}
