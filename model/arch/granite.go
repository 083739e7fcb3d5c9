package arch

// granite is IBM's Granite, dense (transformers' GraniteForCausalLM): llama's block with four constant factors.
var granite = family{
	architecture: "GraniteForCausalLM",
	read: func(c *Config, f fields) {
		llama.read(c, f)
		c.Attention.Scale = f.positive(1, "attention_multiplier")
		c.Scale = Scale{Embedding: f.positive(1, "embedding_multiplier"), Residual: f.positive(1, "residual_multiplier"),
			Logits: 1 / f.positive(1, "logits_scaling")}
	},
	parameters: llamaParameters,
}
