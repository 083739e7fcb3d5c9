package arch

import "fmt"

// llama is Llama 1 to 3 and what shares its block (transformers' LlamaForCausalLM).
var llama = family{
	architecture: "LlamaForCausalLM",
	read: func(c *Config, f fields) {
		bias := f.boolean(false, "attention_bias")
		c.Attention.QKVBias, c.Attention.OutBias = bias, bias
		c.MLP.Bias = f.boolean(false, "mlp_bias")
	},
	parameters: llamaParameters,
}

// llamaParameters is the table of the pre-norm block with split projections: llama, qwen2, qwen3 and their like.
func llamaParameters(c *Config) []Parameter {
	h, inner := int64(c.HiddenSize), int64(c.IntermediateSize)
	q, kv := int64(c.NumHeads*c.HeadDim), int64(c.NumKVHeads*c.HeadDim)
	t := table{{Name: "model.embed_tokens.weight", Shape: []int64{int64(c.VocabSize), h}, Role: Embedding}}
	for layer := range c.NumLayers {
		at := fmt.Sprintf("model.layers.%d.", layer)
		t.norm(at+"input_layernorm", h)
		t.linear(at+"self_attn.q_proj", q, h, c.Attention.QKVBias)
		t.linear(at+"self_attn.k_proj", kv, h, c.Attention.QKVBias)
		t.linear(at+"self_attn.v_proj", kv, h, c.Attention.QKVBias)
		t.linear(at+"self_attn.o_proj", h, q, c.Attention.OutBias)
		if c.Attention.QKNorm {
			t.norm(at+"self_attn.q_norm", int64(c.HeadDim))
			t.norm(at+"self_attn.k_norm", int64(c.HeadDim))
		}
		t.norm(at+"post_attention_layernorm", h)
		t.linear(at+"mlp.gate_proj", inner, h, c.MLP.Bias)
		t.linear(at+"mlp.up_proj", inner, h, c.MLP.Bias)
		t.linear(at+"mlp.down_proj", h, inner, c.MLP.Bias)
	}
	t.norm("model.norm", h)
	if !c.TieHead {
		t = append(t, Parameter{Name: "lm_head.weight", Shape: []int64{int64(c.VocabSize), h}, Role: Head})
	}
	return t
}

// table collects parameters in the order of the network.
type table []Parameter

func (t *table) linear(module string, out, in int64, bias bool) {
	*t = append(*t, Parameter{Name: module + ".weight", Shape: []int64{out, in}, Role: Projection})
	if bias {
		*t = append(*t, Parameter{Name: module + ".bias", Shape: []int64{out}, Role: Bias})
	}
}

func (t *table) norm(module string, size int64) {
	*t = append(*t, Parameter{Name: module + ".weight", Shape: []int64{size}, Role: NormWeight})
}
