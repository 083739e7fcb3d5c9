package grpo

import (
	"context"
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
// entropy in their Metrics. Bad data end the run before anything is written: a *data.RecordError with file and line; errors of training are
// listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	result, err := t.config.setup().Train(ctx, "grpo", t.model, t.config.Config, t.objective)
	if err != nil {
		return result, fmt.Errorf("grpo: %w", err)
	}
	return result, nil
}

func (t *Trainer) objective(policy rollout.Policy) (train.Objective, error) {
	o := &objective{config: t.config, policy: policy, kept: rollout.Kept[group]{Iterations: policy.Iterations}}
	if t.config.Beta == 0 {
		return o, nil
	}
	var err error
	o.reference, err = train.NewReference(t.model, t.config.Reference)
	return o, err
}
