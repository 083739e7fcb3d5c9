// Package pretrain goes on with the pretraining of a model on texts of a domain.
//
//	m, _ := model.Load(ctx, "Qwen2.5-0.5B", model.LoadConfig{})
//	trainer, _ := pretrain.NewTrainer(m, pretrain.Config{
//		Sources: []pretrain.Source{
//			{Name: "manuals", Role: mixer.Domain, Texts: data.File{Path: "manuals.txt"}},
//			{Name: "web", Role: mixer.General, Texts: data.File{Path: "web.jsonl.gz"}},
//			{Name: "tasks", Role: mixer.Instruction, Instructions: data.File{Path: "sft.jsonl"}},
//		},
//		Mix:     mixer.Config{Preset: mixer.ChatHome(5)},
//		General: data.File{Path: "general-held-out.jsonl"},
//	})
//	result, err := trainer.Run(ctx)
//
// Every token of every text is learned once: a text that is longer than a row goes on in the next one, and no text sees another. Instruction
// data among the texts are MIP, multi-task instruction pretraining (Wen et al. 2023, ChatHome).
package pretrain
