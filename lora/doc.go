// Package lora adds low-rank adapters to a model (LoRA, Hu et al. 2021; rsLoRA, Kalajdzievski 2023; DoRA, Liu et al. 2024) and reads
// and writes them in PEFT's format.
//
//	y = W·x + s·B·A·x      A is [r, in], B is [out, r] and starts at zero; s = alpha/r, or alpha/√r for rsLoRA
//
//	adapter, err := lora.Attach(lm, lora.Config{})   // rank 8 on q_proj and k_proj; the base is frozen
//	…train…
//	err = adapter.Save("out")                        // adapter_config.json, adapter_model.safetensors
//
// Several adapters may stand on one base; Activate switches between them without touching the weights. The adapter owns its
// tensors until Close; the base belongs to its model.
package lora
