// Package ppo learns from a reward model, or any other judge of answers: proximal policy optimisation (Schulman et al. 2017) as in
// InstructGPT (Ouyang et al. 2022).
//
//	policy, _ := model.Load(ctx, "sft", model.LoadConfig{})
//	adapter, _ := lora.Attach(policy, lora.Config{})
//	judge, _ := model.Load(ctx, "reward", model.LoadConfig{})
//	trainer, _ := ppo.NewTrainer(policy, ppo.Config{Data: data.File{Path: "prompts.jsonl"}, Reward: rm.Reward(judge, data.EncodeConfig{})})
//	result, err := trainer.Run(ctx)
//
// With an adapter, policy, reference and value share one base: the reference is the base without the adapter, and the value of a token is a
// vector times the policy's own hidden state.
package ppo
