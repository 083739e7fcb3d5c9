package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path/filepath"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
	"github.com/gofinetune/finetune/train/observe"
)

// newModel is a Qwen2 of about 120,000 random weights, with a tokenizer of the texts it will learn.
func newModel(ctx context.Context, o options) (*model.Model, error) {
	var bad error
	texts := func(yield func(string) bool) {
		for d, err := range o.file("pt.jsonl").Documents() {
			if bad = err; bad != nil || !yield(d.Text) {
				return
			}
		}
		for c, err := range o.file("sft_domain.jsonl").Conversations() {
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
	vocabulary, err := bpe.Train(ctx, iter.Seq[string](texts), bpe.Config{VocabSize: 600})
	if err := errors.Join(bad, err); err != nil {
		return nil, err
	}
	dir := filepath.Join(o.out, "tokenizer")
	if err := vocabulary.Save(dir); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, err
	}
	eos, _ := tok.EOS()
	pad, _ := tok.PAD()
	text, err := json.Marshal(map[string]any{"model_type": "qwen2", "vocab_size": tok.Size(), "hidden_size": 64, "intermediate_size": 160,
		"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
		"tie_word_embeddings": true, "eos_token_id": eos, "pad_token_id": pad})
	if err != nil {
		return nil, err
	}
	config, err := arch.Parse("config.json", text)
	if err != nil {
		return nil, err
	}
	return model.New(config, tok, 1, model.LoadConfig{})
}

// every is each n-th ranking of a file, or all the others.
type every struct {
	data.File
	n    int
	held bool
}

// Ranked walks them.
func (e every) Ranked() iter.Seq2[data.Ranked, error] {
	return func(yield func(data.Ranked, error) bool) {
		i := 0
		for r, err := range e.File.Ranked() {
			if i++; (i%e.n == 0) == e.held && !yield(r, err) {
				return
			}
		}
	}
}

// rewardsTold keeps the figures of a run.
type rewardsTold struct{ recorder observe.Recorder }

func (r *rewardsTold) sinks() []observe.Sink { return []observe.Sink{&r.recorder} }

// ends are the mean rewards of the first and the last five rollouts.
func (r *rewardsTold) ends() (first, last float64) {
	var told []float64
	_, steps := observe.All[observe.Step](r.recorder.Events())
	for _, s := range steps {
		if v, ok := s.Metrics["reward"]; ok {
			told = append(told, v)
		}
	}
	n := min(5, len(told))
	for i := range n {
		first += told[i] / float64(n)
		last += told[len(told)-1-i] / float64(n)
	}
	return first, last
}

// held are the figures of the last evaluation.
func (r *rewardsTold) held() map[string]float64 {
	_, evaluations := observe.All[observe.Evaluation](r.recorder.Events())
	if len(evaluations) == 0 {
		return nil
	}
	return evaluations[len(evaluations)-1].Metrics
}
