// Package grpo learns from rewards of a Go function: group relative policy optimisation (Shao et al. 2024, DeepSeekMath). The policy answers
// each prompt several times, and an answer counts by how much better it is than the others.
//
//	m, _ := model.Load(ctx, "Qwen2.5-0.5B-Instruct", model.LoadConfig{})
//	adapter, _ := lora.Attach(m, lora.Config{})
//	trainer, _ := grpo.NewTrainer(m, grpo.Config{
//		Data: data.File{Path: "questions.jsonl"},
//		Reward: func(ctx context.Context, q rollout.Question, answers []string) ([]float64, error) {
//			scores := make([]float64, len(answers))
//			for i, a := range answers {
//				if strings.Contains(a, q.Reference) {
//					scores[i] = 1
//				}
//			}
//			return scores, nil
//		},
//	})
//	result, err := trainer.Run(ctx)
package grpo
