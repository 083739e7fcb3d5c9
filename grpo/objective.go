package grpo

import (
	"context"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/rollout"
)

// objective answers prompts and takes the loss of the answers.
type objective struct {
	config    Config
	policy    rollout.Policy
	reference train.Reference // where Beta asks for one
	kept      rollout.Kept[group]
	seen      figures
}

// group is the answers of one micro-batch.
type group struct {
	rollout.Rollout
	advantages []float64 // by answer
	old, ref   []float64 // log-probabilities by token: when they were written, and under the reference
}

// String lists the settings.
func (o *objective) String() string {
	c := o.config
	return fmt.Sprintf("%d answers of %d tokens, %d iterations, by answer %v, unscaled %v, clipped at %g and %g, beta %g", c.Answers, c.MaxTokens,
		c.Iterations, c.PerAnswer, c.Unscaled, c.ClipLow, c.ClipHigh, c.Beta)
}

// Prepare answers the prompts, unless there are steps left to take on the last answers.
func (o *objective) Prepare(ctx context.Context, b data.Batch, step, micro int, seed uint64) (data.Batch, error) {
	if g := o.kept.Again(step, micro); g != nil {
		return g.Batch, nil
	}
	r, err := o.policy.Answer(ctx, b, seed)
	if err != nil {
		return data.Batch{}, err
	}
	g := group{Rollout: r}
	for i, rewards := range r.Rewards {
		g.advantages = append(g.advantages, advantages(rewards, o.config.Unscaled)...)
		o.seen.add(rewards, r.Ended[i])
	}
	if o.config.Beta > 0 {
		if err := torch.Do(func(s *torch.Scope) { g.ref = o.reference.Score(s, g.Batch).Each }); err != nil {
			return data.Batch{}, err
		}
	}
	o.kept.Put(micro, g)
	return g.Batch, nil
}

// Units is the number of tokens or of answers.
func (o *objective) Units(b data.Batch) int {
	if !o.config.PerAnswer {
		return b.Targets()
	}
	return len(b.Segments) - len(b.Ends) // each prompt is a segment too
}

// Loss is summed over the tokens, or over the answers the mean of its tokens. Dropout is off: the answers were written without.
func (o *objective) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	g := o.kept.Next()
	pass.Train = false
	now := train.ScoreAnswers(s, o.policy.Model, b, pass)
	if g.old == nil { // the weights are still those that wrote the answers
		g.old = now.Each
	}
	value, derivatives := 0.0, make([]float64, len(now.Each))
	at := 0
	for answer, n := range now.Tokens {
		weight := 1.0
		if o.config.PerAnswer {
			weight = 1 / float64(n)
		}
		for range n {
			ref := 0.0
			if g.ref != nil {
				ref = g.ref[at]
			}
			v, d, clipped := o.config.token(now.Each[at], g.old[at], ref, g.advantages[answer])
			value += weight * v
			derivatives[at] = weight * d
			o.seen.token(now.Each[at], ref, clipped)
			at++
		}
	}
	return now.TokenLoss(s, value, derivatives)
}

// figures are sums since the last report.
type figures struct{ answers, reward, ended, tokens, clipped, entropy, kl float64 }

func (f *figures) add(rewards []float64, ended []bool) {
	for i, r := range rewards {
		f.answers++
		f.reward += r
		if ended[i] {
			f.ended++
		}
	}
}

func (f *figures) token(now, ref float64, clipped bool) {
	f.tokens++
	f.entropy -= now
	f.kl += now - ref
	if clipped {
		f.clipped++
	}
}

// Metrics are means since the last call: reward and the share of answers that ended, by answer; clipped, entropy and kl by token.
func (o *objective) Metrics() map[string]float64 {
	f := o.seen
	o.seen = figures{}
	m := map[string]float64{}
	if f.answers > 0 {
		m["reward"], m["ended"] = f.reward/f.answers, f.ended/f.answers
		m["answer_tokens"] = f.tokens / f.answers
	}
	if f.tokens > 0 {
		m["clipped"], m["entropy"] = f.clipped/f.tokens, f.entropy/f.tokens
		if o.config.Beta > 0 {
			m["kl"] = f.kl / f.tokens
		}
	}
	return m
}
