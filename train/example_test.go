package train_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/train"
)

// The engine under every stage: samples of token ids, an objective, a run. This one teaches a network to count.
func ExampleEngine_Run() {
	config, err := arch.Parse("config.json", []byte(`{"model_type": "llama", "vocab_size": 10, "hidden_size": 16, "intermediate_size": 32,
		"num_hidden_layers": 2, "num_attention_heads": 2}`))
	if err != nil {
		log.Fatal(err)
	}
	lm, err := model.New(config, nil, 1, model.LoadConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer lm.Close()
	if err := lm.SetTrainable(func(string) bool { return true }); err != nil {
		log.Fatal(err)
	}
	digits := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	samples := []data.Sample{{IDs: digits, Labels: digits}}
	engine, err := train.New("count", lm, train.NextToken{Model: lm}, samples, nil, train.Config{LearningRate: 1e-2, Steps: 60})
	if err != nil {
		log.Fatal(err)
	}
	result, err := engine.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	answer, err := lm.GenerateBatch(context.Background(), [][]int32{{0, 1, 2}}, model.GenerateConfig{MaxTokens: 5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Steps, "steps:", answer[0])
	// Output: 60 steps: [3 4 5 6 7]
}
