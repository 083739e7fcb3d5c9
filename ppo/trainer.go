package ppo

import (
	"context"
	"fmt"

	"github.com/gofinetune/finetune/internal/torch"
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
		return nil, fmt.Errorf("ppo: %w", err)
	}
	if err := train.Usable(m); err != nil {
		return nil, fmt.Errorf("ppo: %w", err)
	}
	return &Trainer{model: m, config: c.withDefaults()}, nil
}

// Run answers prompts and learns from the rewards. It blocks until done; when ctx is cancelled the step in hand ends, a checkpoint is written
// if Output is set, and the error wraps the cause. The trained weights are in the model; the value head is in the checkpoints alone. Steps
// carry reward, ended, answer_tokens, kl, clipped, entropy and value_loss in their Metrics. Bad data end the run before anything is written: a
// *data.RecordError with file and line; errors of training are listed at train.Engine.Run.
func (t *Trainer) Run(ctx context.Context) (train.Result, error) {
	head, err := newHead(t.model)
	if err != nil {
		return train.Result{}, fmt.Errorf("ppo: %w", err)
	}
	defer func() {
		_ = torch.Do(func(s *torch.Scope) {
			for _, p := range head {
				s.Free(p.Tensor)
			}
		})
	}()
	result, err := t.config.setup().Train(ctx, "ppo", t.model, t.config.Config, func(policy rollout.Policy) (train.Objective, error) {
		return t.objective(policy, head)
	})
	if err != nil {
		return result, fmt.Errorf("ppo: %w", err)
	}
	return result, nil
}

func (t *Trainer) objective(policy rollout.Policy, head []*model.Parameter) (train.Objective, error) {
	o := &objective{config: t.config, policy: policy, head: head, kept: rollout.Kept[group]{Iterations: policy.Iterations}}
	if t.config.Beta == 0 {
		return o, nil
	}
	var err error
	o.reference, err = train.NewReference(t.model, t.config.Reference)
	return o, err
}
