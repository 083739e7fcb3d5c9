package lora_test

import (
	"fmt"
	"log"
	"os"

	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
)

func ExampleAttach() {
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
	adapter, err := lora.Attach(lm, lora.Config{Rank: 4, Targets: []string{"q_proj", "v_proj"}})
	if err != nil {
		log.Fatal(err)
	}
	defer adapter.Close()
	fmt.Println(adapter.Report())

	dir, err := os.MkdirTemp("", "adapter")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := adapter.Save(dir); err != nil {
		log.Fatal(err)
	}
	again, err := lora.Load(lm, dir) // now this one is active
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	fmt.Println(again.Modules()[0], again.Config.Rank)
	// Output:
	// trainable 512 of 7408 parameters (6.91 %)
	// model.layers.0.self_attn.q_proj 4
}
