// Package sft fine-tunes a model on conversations (supervised fine-tuning): it learns the answers, given what stands before them.
//
//	loss = −(1/T) Σ log p(answer token | tokens before it)    over the T answer tokens of an optimizer step
//
//	lora.Attach(lm, lora.Config{})                                            // or not: then every weight is trained
//	trainer, err := sft.NewTrainer(lm, sft.Config{Data: data.File{Path: "chats.jsonl"}})
//	result, err := trainer.Run(ctx)
//
// The numbers are those of TRL's SFTTrainer on the same tokens: the loss is divided once by the answer tokens of the whole step, so
// accumulation does not change it.
package sft
