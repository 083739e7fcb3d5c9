package sft_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
	"github.com/gofinetune/finetune/train"
)

// A record is a question and its answer, here in memory; data.File reads them from a file. The model is a small one with random
// weights; model.Load reads a checkpoint.
func Example() {
	ctx := context.Background()
	lm := smallModel(ctx)
	defer lm.Close()
	adapter, err := lora.Attach(lm, lora.Config{Targets: []string{lora.AllLinear}})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()
	lessons := data.Records{
		{Instruction: "Which way is north?", Output: "Up."},
		{Instruction: "Which way is south?", Output: "Down."},
	}
	trainer, err := sft.NewTrainer(lm, sft.Config{Data: lessons, Config: train.Config{LearningRate: 1e-2, Steps: 200}})
	if err != nil {
		log.Fatal(err) // every config problem at once
	}
	result, err := trainer.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Steps, "steps,", result.Ledger.Kept, "records")
	for text, err := range lm.Chat(ctx, []tokenizer.Message{{Role: "user", Content: "Which way is south?"}}, model.GenerateConfig{MaxTokens: 20}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(text)
	}
	// Output:
	// 200 steps, 2 records
	// Down.
}

func smallModel(ctx context.Context) *model.Model {
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	texts := func(yield func(string) bool) {
		yield(strings.Repeat("Which way is north? Up. Which way is south? Down. ", 2))
	}
	vocabulary, err := bpe.Train(ctx, texts, bpe.Config{VocabSize: 300})
	if err != nil {
		log.Fatal(err)
	}
	if err := vocabulary.Save(dir); err != nil {
		log.Fatal(err)
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	config, err := arch.Parse("config.json", []byte(`{"model_type": "llama", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64,
		"num_hidden_layers": 2, "num_attention_heads": 2}`))
	if err != nil {
		log.Fatal(err)
	}
	lm, err := model.New(config, tok, 1, model.LoadConfig{})
	if err != nil {
		log.Fatal(err)
	}
	return lm
}
