package rollout

import (
	"context"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
)

// Policy says how prompts are answered.
type Policy struct {
	Model     *model.Model
	Questions []Question // by index of the sample
	Reward    Reward
	Answers   int // to each prompt
	MaxTokens int // of an answer
}

// Rollout is answered prompts.
type Rollout struct {
	Batch   data.Batch  // each prompt once, then its answers, all of whose tokens are labelled
	Rewards [][]float64 // by prompt and answer
	Ended   [][]bool    // whether the answer came to its end within MaxTokens
	Texts   [][]string
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
		r.Rewards, r.Ended, r.Texts = append(r.Rewards, rewards), append(r.Ended, ended), append(r.Texts, texts)
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

// Mean is the mean reward of all answers.
func (r Rollout) Mean() float64 {
	sum, n := 0.0, 0
	for _, list := range r.Rewards {
		for _, v := range list {
			sum += v
			n++
		}
	}
	return sum / math.Max(1, float64(n))
}
