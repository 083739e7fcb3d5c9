package grpo

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/rollout"
)

// Trainer runs one training.
type Trainer struct {
	model  *model.Model
	config Config
}

// NewTrainer checks the config. An adapter attached to m is what is trained; without one, and unless SetTrainable has chosen weights, all
// of them are.
func NewTrainer(m *model.Model, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("grpo: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("grpo: %w", err)
	}
	return &Trainer{model: m, config: c.withDefaults()}, nil
}

// Run answers prompts and learns from the rewards. It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written
// if Output is set, and the error wraps the cause. The trained weights are in the model. Steps carry reward, ended, answer_tokens, clipped and
// entropy in their Metrics.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	questions, samples, err := rollout.Questions(ctx, t.model, t.config.Data, t.config.Encode)
	if err != nil {
		return train.Result{}, fmt.Errorf("grpo: %w", err)
	}
	if err := train.ChooseAll(t.model); err != nil {
		return train.Result{}, fmt.Errorf("grpo: %w", err)
	}
	if err := t.model.KeepChat(t.config.Encode.Template); err != nil {
		return train.Result{}, fmt.Errorf("grpo: %w", err)
	}
	o := &objective{config: t.config, reference: t.config.Reference, policy: rollout.Policy{Model: t.model, Questions: questions, Reward: t.config.Reward,
		Answers: t.config.Answers, MaxTokens: t.config.MaxTokens}}
	switch {
	case o.reference != nil || t.config.Beta == 0:
	case train.TrainsBase(t.model):
		return train.Result{}, errors.New("grpo: Beta asks for a reference, and all weights are trained; load the model a second time as Reference, or train an adapter")
	default:
		o.reference, o.adapters = t.model, model.Plain
	}
	c := t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate)
	filled := c.WithDefaults()
	c.Order = rollout.Order(len(samples), filled.MicroBatch*filled.Accumulate, t.config.Iterations, c.Seed, c.InOrder)
	engine, err := train.New("grpo", t.model, o, samples, nil, c)
	if err != nil {
		return train.Result{}, fmt.Errorf("grpo: %w", err)
	}
	result, err := engine.Run(ctx)
	if err != nil {
		return result, fmt.Errorf("grpo: %w", err)
	}
	return result, nil
}
