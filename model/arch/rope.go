package arch

// readRoPE reads rope_parameters (transformers 5) or rope_theta and rope_scaling (4.x).
func readRoPE(c *Config, f fields) {
	c.RoPE = RoPE{Theta: f.positive(10000, "rope_theta"), Dim: c.HeadDim}
	inner, ok := f.object("rope_parameters")
	if !ok {
		inner, ok = f.object("rope_scaling")
	}
	if !ok {
		return
	}
	c.RoPE.Theta = inner.positive(c.RoPE.Theta, "rope_theta")
	if part := inner.positive(1, "partial_rotary_factor"); part != 1 {
		inner.problem("unsupported", "partial_rotary_factor", "is %g; only 1 is supported for this model_type", part)
	}
	kind, name := inner.get("rope_type", "type")
	text, _ := kind.(string)
	switch text {
	case "", "default":
		if kind != nil && text == "" {
			inner.bad(name, "is %v; want default, linear or llama3", show(kind))
		}
	case "linear":
		c.RoPE.Scaling = Scaling{Type: text, Factor: inner.factor("factor")}
	case "llama3":
		c.RoPE.Scaling = Scaling{Type: text, Factor: inner.factor("factor"), LowFreqFactor: inner.factor("low_freq_factor"),
			HighFreqFactor: inner.factor("high_freq_factor"), OriginalMaxTrain: inner.size(maxContext, "original_max_position_embeddings")}
		if s := c.RoPE.Scaling; s.HighFreqFactor <= s.LowFreqFactor && s.LowFreqFactor > 0 {
			inner.bad("high_freq_factor", "is %g; want more than low_freq_factor %g", s.HighFreqFactor, s.LowFreqFactor)
		}
	default:
		inner.problem("unsupported", name, "is %v, which is not supported; supported are default, linear and llama3", show(kind))
	}
}

// factor reads a required number above 0.
func (f fields) factor(name string) float64 {
	if v, _ := f.get(name); v == nil {
		f.problem("missing_field", name, "is missing; want a number above 0")
		return 1
	}
	return f.positive(1, name)
}
