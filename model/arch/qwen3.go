package arch

// qwen3 is Qwen 3, dense (transformers' Qwen3ForCausalLM): llama's block with norms on the heads of q and k.
var qwen3 = family{
	architecture: "Qwen3ForCausalLM",
	read: func(c *Config, f fields) {
		bias := f.boolean(false, "attention_bias")
		c.Attention.QKVBias, c.Attention.OutBias = bias, bias
		c.Attention.QKNorm = true
		if value, _ := f.get("head_dim"); value == nil {
			f.problem("missing_field", "head_dim", "is missing; want a whole number (transformers would take 128, whatever hidden_size says)")
		}
		switchedWindow(f)
	},
	parameters: llamaParameters,
}
