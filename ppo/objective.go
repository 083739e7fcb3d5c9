package ppo

import (
	"context"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/rollout"
)

// objective answers prompts and takes the losses of policy and values.
type objective struct {
	config    Config
	policy    rollout.Policy
	reference train.Reference // where Beta asks for one
	head      []*model.Parameter
	kept      rollout.Kept[group]
	seen      figures
}

// group is the answers of one micro-batch; the lists are by token.
type group struct {
	rollout.Rollout
	old, values         []float64 // log-probabilities and values when the answers were written
	advantages, returns []float64
}

// newHead makes the value head: zero, so that the first values are.
func newHead(m *model.Model) ([]*model.Parameter, error) {
	weight := &model.Parameter{Parameter: arch.Parameter{Name: "value_head.weight", Shape: []int64{1, int64(m.Config.HiddenSize)}, Role: arch.HeadWeight}}
	bias := &model.Parameter{Parameter: arch.Parameter{Name: "value_head.bias", Shape: []int64{1}, Role: arch.Bias}}
	list := []*model.Parameter{weight, bias}
	return list, torch.Do(func(s *torch.Scope) {
		for _, p := range list {
			p.Tensor, p.Trainable = s.Zeros(m.DType(), m.Device(), p.Shape...), true
			p.Tensor.SetRequiresGrad(true)
		}
		for _, p := range list {
			s.Own(p.Tensor)
		}
	})
}

// String lists the settings.
func (o *objective) String() string {
	c := o.config
	return fmt.Sprintf("%d answers of %d tokens, %d iterations, clipped at %g, values at %g with weight %g, gamma %g, lambda %g, unfinished %g, beta %g",
		c.Answers, c.MaxTokens, c.Iterations, c.Clip, c.ValueClip, c.ValueShare, c.Gamma, c.Lambda, c.Unfinished, c.Beta)
}

// Parameters are those of the value head.
func (o *objective) Parameters() []*model.Parameter { return o.head }

// Units is the number of tokens of the answers.
func (o *objective) Units(b data.Batch) int { return b.Targets() }

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
	if err := torch.Do(func(s *torch.Scope) { s.NoGrad(func() { o.judge(s, &g) }) }); err != nil {
		return data.Batch{}, err
	}
	o.kept.Put(micro, g)
	return g.Batch, nil
}

// judge fills in what the loss needs of answers as they were written.
func (o *objective) judge(s *torch.Scope, g *group) {
	then, hidden := train.ScoreRows(s, o.policy.Model, g.Batch, model.Pass{})
	g.old, g.values = then.Each, s.ToFloat64s(o.value(s, hidden))
	ref := then.Each
	if o.config.Beta > 0 {
		ref = o.reference.Score(s, g.Batch).Each
	}
	at, answer := 0, 0
	for prompt, list := range g.Rewards {
		for i, reward := range list {
			n := then.Tokens[answer]
			rewards := make([]float64, n)
			for t := range rewards {
				away := g.old[at+t] - ref[at+t]
				rewards[t] = -o.config.Beta * away
				o.seen.kl += away
			}
			score := reward
			if !g.Ended[prompt][i] {
				score -= o.config.Unfinished
			} else {
				o.seen.ended++
			}
			rewards[n-1] += score
			advantages, returns := estimate(rewards, g.values[at:at+n], o.config.Gamma, o.config.Lambda)
			g.advantages, g.returns = append(g.advantages, advantages...), append(g.returns, returns...)
			o.seen.answers++
			o.seen.reward += reward
			o.seen.written += float64(n)
			at, answer = at+n, answer+1
		}
	}
	whiten(g.advantages)
}

// value is that of hidden states [M, H] → [M].
func (o *objective) value(s *torch.Scope, hidden *torch.Tensor) *torch.Tensor {
	return s.Reshape(s.Linear(hidden, o.head[0].Tensor, o.head[1].Tensor), -1)
}

// Loss is summed over the tokens of the answers. Dropout is off: the answers were written without.
func (o *objective) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	g := o.kept.Next()
	pass.Train = false
	now, hidden := train.ScoreRows(s, o.policy.Model, b, pass)
	values := o.value(s, hidden)
	policySum, valueSum := 0.0, 0.0
	byToken, byValue := make([]float64, len(now.Each)), make([]float64, len(now.Each))
	for i, v := range s.ToFloat64s(s.Detach(values)) {
		loss, d, clipped := policyLoss(now.Each[i], g.old[i], g.advantages[i], o.config.Clip)
		policySum, byToken[i] = policySum+loss, d
		loss, d = valueLoss(v, g.values[i], g.returns[i], o.config.ValueClip)
		valueSum, byValue[i] = valueSum+o.config.ValueShare*loss, o.config.ValueShare*d
		o.seen.token(now.Each[i], loss, clipped)
	}
	return s.Add(now.TokenLoss(s, policySum, byToken), s.Known(values, valueSum, byValue))
}

// figures are sums since the last report.
type figures struct{ answers, reward, ended, written, kl, tokens, clipped, entropy, value float64 }

func (f *figures) token(logProb, value float64, clipped bool) {
	f.tokens++
	f.entropy -= logProb
	f.value += value
	if clipped {
		f.clipped++
	}
}

// Metrics are means since the last call: reward, ended, answer_tokens and kl where answers were written; clipped, entropy and value_loss.
func (o *objective) Metrics() map[string]float64 {
	f := o.seen
	o.seen = figures{}
	m := map[string]float64{}
	if f.answers > 0 {
		m["reward"], m["ended"], m["answer_tokens"] = f.reward/f.answers, f.ended/f.answers, f.written/f.answers
		m["kl"] = f.kl / f.written
	}
	if f.tokens > 0 {
		m["clipped"], m["entropy"], m["value_loss"] = f.clipped/f.tokens, f.entropy/f.tokens, f.value/f.tokens
	}
	return m
}
