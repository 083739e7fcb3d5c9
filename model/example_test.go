package model_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
)

// A network is made of what config.json says. This one has random weights; model.Load reads those of a checkpoint.
func ExampleNew() {
	config, err := arch.Parse("config.json", []byte(`{"model_type": "qwen2", "vocab_size": 100, "hidden_size": 16, "intermediate_size": 32,
		"num_hidden_layers": 2, "num_attention_heads": 2, "tie_word_embeddings": true}`))
	if err != nil {
		log.Fatal(err)
	}
	lm, err := model.New(config, nil, 1, model.LoadConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer lm.Close()
	fmt.Println(config.NumParameters(), "weights,", len(lm.Linears()), "projections, the first", lm.Linears()[0].Name)
	// Output: 6896 weights, 15 projections, the first model.layers.0.self_attn.q_proj
}

func ExampleModel_Generate() {
	lm := smallModel()
	defer lm.Close()
	prompt := lm.Tokenizer.Encode("Once upon a time")
	n := 0
	for id, err := range lm.Generate(context.Background(), prompt, model.GenerateConfig{MaxTokens: 5, Stop: []int32{}}) {
		if err != nil {
			log.Fatal(err)
		}
		n++
		_ = id
	}
	fmt.Println(n, "tokens more")
	// Output: 5 tokens more
}

// Text comes in pieces of whole characters. Each range loop is one answer; breaking out of it, or cancelling the context, ends it.
func ExampleModel_Chat() {
	lm := smallModel()
	defer lm.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	messages := []tokenizer.Message{{Role: "user", Content: "你好"}}
	for _, err := range lm.Chat(ctx, messages, model.GenerateConfig{MaxTokens: 50}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		cancel() // the reader has seen enough
	}
	// Output: model: generation stopped: context canceled
}

func ExampleModel_Save() {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	lm := smallModel()
	defer lm.Close()
	if err := lm.Save(dir, model.SaveConfig{DType: "bfloat16"}); err != nil {
		log.Fatal(err)
	}
	again, err := model.Load(context.Background(), dir, model.LoadConfig{DType: "auto"})
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	fmt.Println(again.DType(), again.Tokenizer.Decode(again.Tokenizer.Encode("text and back"), true))
	// Output: bfloat16 text and back
}

// smallModel is a model with random weights and a tokenizer of its own, trained on one sentence.
func smallModel() *model.Model {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	texts := func(yield func(string) bool) { yield("Once upon a time there was a tokenizer.") }
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
	config, err := arch.Parse("config.json", []byte(`{"model_type": "llama", "vocab_size": 300, "hidden_size": 16, "intermediate_size": 32,
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
