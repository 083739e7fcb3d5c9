// Package dpo learns preferences from pairs of answers without a reward model: direct preference optimisation (Rafailov et al. 2023) and
// its kin.
//
//	m, _ := model.Load(ctx, "Qwen2.5-0.5B-Instruct", model.LoadConfig{})
//	adapter, _ := lora.Attach(m, lora.Config{})
//	trainer, _ := dpo.NewTrainer(m, dpo.Config{Data: data.File{Path: "pairs.jsonl"}})
//	result, err := trainer.Run(ctx)
//
// The prompt of a pair is computed once for both answers, and only rows of answers reach the output head.
package dpo
