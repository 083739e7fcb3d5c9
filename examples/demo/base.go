package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// network is the size of the base and how long it is trained.
type network struct {
	vocabulary, hidden, layers, heads, steps int
	rate                                     float64
}

var small = network{vocabulary: 512, hidden: 256, layers: 4, heads: 4, steps: 300, rate: 1e-3}

// makeBase trains a model from nothing on colours, sums and letters, and saves it in o.base as a Hugging Face checkpoint.
func makeBase(ctx context.Context, o options) error {
	general := data.Files(filepath.Join(o.data, "sft_general.jsonl"), filepath.Join(o.data, "sft_texts.jsonl"))
	tok, err := makeTokenizer(ctx, o, general)
	if err != nil {
		return err
	}
	config, err := arch.Parse("config.json", o.network.config(tok))
	if err != nil {
		return err
	}
	lm, err := model.New(config, tok, o.seed, model.LoadConfig{})
	if err != nil {
		return err
	}
	defer lm.Close()
	fmt.Fprintf(os.Stderr, "base: %d weights, %d tokens\n", config.NumParameters(), tok.Size())
	trainer, err := sft.NewTrainer(lm, sft.Config{Data: general, Config: train.Config{
		LearningRate: o.network.rate, Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: o.network.steps / 20},
		MicroBatch: 16, Steps: o.network.steps, Seed: o.seed, Sinks: []observe.Sink{observe.NewTerminal(os.Stderr)},
	}})
	if err != nil {
		return err
	}
	if _, err := trainer.Run(ctx); err != nil {
		return err
	}
	return lm.Save(o.base, model.SaveConfig{})
}

// makeTokenizer trains a tokenizer on the texts of all messages.
func makeTokenizer(ctx context.Context, o options, source data.Source) (*tokenizer.Tokenizer, error) {
	var bad error
	texts := func(yield func(string) bool) {
		for c, err := range source.Conversations() {
			if bad = err; bad != nil {
				return
			}
			for _, m := range c.Messages {
				if !yield(m.Content) {
					return
				}
			}
		}
	}
	vocabulary, err := bpe.Train(ctx, iter.Seq[string](texts), bpe.Config{VocabSize: o.network.vocabulary})
	if err := errors.Join(bad, err); err != nil {
		return nil, err
	}
	if err := vocabulary.Save(o.base); err != nil {
		return nil, err
	}
	return tokenizer.Load(o.base)
}

// config is the config.json of a Qwen2 of this size.
func (n network) config(tok *tokenizer.Tokenizer) []byte {
	eos, _ := tok.EOS()
	pad, _ := tok.PAD()
	raw, _ := json.Marshal(map[string]any{
		"model_type": "qwen2", "vocab_size": tok.Size(), "hidden_size": n.hidden, "intermediate_size": 3 * n.hidden,
		"num_hidden_layers": n.layers, "num_attention_heads": n.heads, "num_key_value_heads": n.heads / 2,
		"max_position_embeddings": 2048, "tie_word_embeddings": true, "eos_token_id": eos, "pad_token_id": pad,
	})
	return raw
}
