package rm

import (
	"context"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/train/rollout"
)

// Score is the reward of each answer to a prompt, which is computed once. It may be called from any goroutine.
func Score(m *model.Model, prompt []tokenizer.Message, answers []string, c data.EncodeConfig) ([]float64, error) {
	if m == nil || m.Tokenizer == nil {
		return nil, fmt.Errorf("rm: the model has no tokenizer")
	}
	sample, err := data.EncodeAnswers(m.Tokenizer, prompt, answers, c)
	if err != nil {
		return nil, fmt.Errorf("rm: %w", err)
	}
	list, err := ScoreSamples(m, []data.Sample{sample})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// ScoreSamples are the rewards of the answers of samples, all in one pass through the network.
func ScoreSamples(m *model.Model, samples []data.Sample) (list [][]float64, err error) {
	indices := make([]int, len(samples))
	for i := range indices {
		indices[i] = i
	}
	err = torch.Do(func(s *torch.Scope) {
		s.NoGrad(func() { _, list = rewards(s, m, data.NewBatch(samples, indices), model.Pass{}) })
	})
	if err != nil {
		return nil, fmt.Errorf("rm: %w", err)
	}
	return list, nil
}

// Evaluate holds a reward model against rankings. The error is that of data.EncodeRanked, or the cause of ctx.
func Evaluate(ctx context.Context, m *model.Model, source data.RankedSource, c data.EncodeConfig) (Report, error) {
	var r Report
	samples, _, err := data.EncodeRanked(ctx, m.Tokenizer, source, c)
	if err != nil {
		return r, fmt.Errorf("rm: %w", err)
	}
	const together = 8
	for len(samples) > 0 {
		if err := context.Cause(ctx); err != nil {
			return r, err
		}
		n := min(together, len(samples))
		list, err := ScoreSamples(m, samples[:n])
		if err != nil {
			return r, err
		}
		for _, rewards := range list {
			r.add(rewards)
		}
		samples = samples[n:]
	}
	return r, nil
}

// Reward is a reward model as a judge of rollouts, for ppo and grpo.
func Reward(m *model.Model, c data.EncodeConfig) rollout.Reward {
	return func(_ context.Context, q rollout.Question, answers []string) ([]float64, error) {
		return Score(m, q.Messages, answers, c)
	}
}
