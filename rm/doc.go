// Package rm trains reward models from rankings: two or more answers to one prompt, the best first (Ouyang et al. 2022).
//
//	m, _ := model.Load(ctx, "Qwen2.5-0.5B-Instruct", model.LoadConfig{})
//	trainer, _ := rm.NewTrainer(m, rm.Config{Data: data.File{Path: "rankings.jsonl"}})
//	result, err := trainer.Run(ctx)
//	m.Save("reward", model.SaveConfig{}) // transformers' AutoModelForSequenceClassification loads it
//
//	scores, err := rm.Score(m, prompt, answers, data.EncodeConfig{})
//
// The prompt of a ranking is computed once for all its answers.
package rm
