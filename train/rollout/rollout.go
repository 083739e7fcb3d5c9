package rollout

import (
	"context"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
)

// Question is a prompt to be answered.
type Question = data.Prompt

// Reward is how good answers to a question are: one number for each. It is called from the goroutine of the run; answers carry no special
// tokens. An error ends the run.
type Reward func(ctx context.Context, q Question, answers []string) ([]float64, error)

// Policy is a model that answers prompts.
type Policy struct {
	Setup
	Model     *model.Model
	Questions []Question // by index of the sample
}

// Rollout is answered prompts.
type Rollout struct {
	Batch   data.Batch  // each prompt once, then its answers, all of whose tokens are labelled
	Rewards [][]float64 // by prompt and answer
	Ended   [][]bool    // whether the answer came to its end within MaxTokens
}

// Answer samples answers to the prompts of b at temperature 1, the policy itself, and asks for their rewards. The same seed gives the same
// answers.
func (p Policy) Answer(ctx context.Context, b data.Batch, seed uint64) (Rollout, error) {
	var prompts [][]int32
	for _, g := range b.Segments {
		for range p.Answers {
			prompts = append(prompts, b.IDs[g.Start:g.End])
		}
	}
	completions, err := p.Model.Complete(ctx, prompts, model.GenerateConfig{Sampling: model.Sampling{Temperature: 1}, MaxTokens: p.MaxTokens, Seed: seed})
	if err != nil {
		return Rollout{}, err
	}
	var r Rollout
	var samples []data.Sample
	var indices []int
	for i, g := range b.Segments {
		s := data.Sample{IDs: b.IDs[g.Start:g.End], Labels: b.Labels[g.Start:g.End]}
		own := completions[i*p.Answers : (i+1)*p.Answers]
		texts, ended := make([]string, len(own)), make([]bool, len(own))
		for j, c := range own {
			s.Answers = append(s.Answers, data.Answer{IDs: c.IDs, Labels: c.IDs})
			texts[j], ended[j] = c.Text, c.Reason != "length"
		}
		q := p.Questions[b.Samples[i]]
		rewards, err := p.Reward(ctx, q, texts)
		if err != nil {
			return Rollout{}, fmt.Errorf("the reward of answers to %s: %w", q.Place, err)
		}
		if err := check(rewards, len(texts)); err != nil {
			return Rollout{}, fmt.Errorf("the reward of answers to %s: %w", q.Place, err)
		}
		samples, indices = append(samples, s), append(indices, i)
		r.Rewards, r.Ended = append(r.Rewards, rewards), append(r.Ended, ended)
	}
	r.Batch = data.NewBatch(samples, indices)
	for i, local := range r.Batch.Samples {
		r.Batch.Samples[i] = b.Samples[local]
	}
	return r, nil
}

func check(rewards []float64, answers int) error {
	if len(rewards) != answers {
		return fmt.Errorf("has %d numbers for %d answers", len(rewards), answers)
	}
	for i, r := range rewards {
		if math.IsNaN(r) || math.IsInf(r, 0) {
			return fmt.Errorf("is %g for answer %d; want a finite number", r, i)
		}
	}
	return nil
}
