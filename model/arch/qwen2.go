package arch

// qwen2 is Qwen 1.5 to 2.5 (transformers' Qwen2ForCausalLM): llama's block with biases on q, k and v.
var qwen2 = family{
	architecture: "Qwen2ForCausalLM",
	read: func(c *Config, f fields) {
		c.Attention.QKVBias = true
		switchedWindow(f)
	},
	parameters: llamaParameters,
}

// switchedWindow reads use_sliding_window. A window that is switched off may still carry its size; layer_types then names full
// attention throughout.
func switchedWindow(f fields) {
	if !f.boolean(false, "use_sliding_window") {
		f.get("sliding_window")
	} else {
		f.problem("unsupported", "use_sliding_window", "is true; sliding windows are not supported yet")
	}
}
