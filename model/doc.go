// Package model runs decoder-only transformers: a Hugging Face checkpoint in, logits, losses and text out, and back to disk under
// the names it came with.
//
//	lm, err := model.Load(ctx, "checkpoint", model.LoadConfig{})
//	defer lm.Close()
//	for piece, err := range lm.Chat(ctx, []tokenizer.Message{{Role: "user", Content: "你好"}}, model.GenerateConfig{}) {
//		fmt.Print(piece)
//	}
//
// A batch is ragged: one flat axis of tokens, cut into segments that do not see each other. There is no padding, so there is no
// attention mask, and no token is computed that was not asked for. Only rows that are learned reach the output head.
//
// A Model may be used from any goroutine: its work runs on the libtorch thread, one step or one token at a time. Changing it
// (training, attaching adapters) while another goroutine reads it is the caller's to avoid.
package model
