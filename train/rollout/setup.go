package rollout

import (
	"context"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Setup is what the stages that learn from rewards have in common, defaults filled in.
type Setup struct {
	Data       data.Source
	Encode     data.EncodeConfig
	Reward     Reward
	Answers    int // to each prompt
	MaxTokens  int // of an answer
	Iterations int // optimizer steps on the same answers

	AdapterRate, FullRate float64 // learning rates where the config names none
}

// Problems lists what is wrong, each with its field.
func (s Setup) Problems(c train.Config) (problems []error) {
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(s.Data != nil, "Data is nil; want a source of conversations, such as data.File{Path: …}")
	want(s.Reward != nil, "Reward is nil; want a function that scores answers, such as rm.Reward")
	want(s.MaxTokens > 0, "MaxTokens is %d; want 0 (256) or more", s.MaxTokens)
	want(s.Iterations > 0, "Iterations is %d; want 0 (the default) or more", s.Iterations)
	want(c.SaveEvery <= 0 || s.Iterations <= 0 || c.SaveEvery%s.Iterations == 0, "SaveEvery is %d; want a multiple of Iterations %d", c.SaveEvery, s.Iterations)
	want(c.EvalShare == 0, "EvalShare is %g; rewards are what shows progress here", c.EvalShare)
	want(c.Order == nil, "Order is set; want none")
	return append(problems, s.Encode.Validate(), c.WithDefaults().Validate())
}

// Train reads the prompts, chooses what is trained, and learns the objective that aim makes of the policy.
func (s Setup) Train(ctx context.Context, name string, m *model.Model, c train.Config, aim func(Policy) (train.Objective, error)) (train.Result, error) {
	questions, samples, ledger, err := data.EncodePrompts(ctx, m.Tokenizer, s.Data, s.Encode)
	if err != nil {
		return train.Result{Ledger: ledger}, err
	}
	if err := train.ChooseAll(m); err != nil {
		return train.Result{Ledger: ledger}, err
	}
	if err := m.KeepChat(s.Encode.Template); err != nil {
		return train.Result{Ledger: ledger}, err
	}
	o, err := aim(Policy{Setup: s, Model: m, Questions: questions})
	if err != nil {
		return train.Result{Ledger: ledger}, err
	}
	c = c.WithRate(m, s.AdapterRate, s.FullRate)
	filled := c.WithDefaults()
	c.Order = Order(len(samples), filled.MicroBatch*filled.Accumulate, s.Iterations, c.Seed, c.InOrder)
	return train.Learn(ctx, name, m, o, samples, nil, ledger, c)
}
