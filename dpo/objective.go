package dpo

import (
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// objective is the loss of a batch of pairs.
type objective struct {
	model     *model.Model
	reference reference
	config    Config
	seen      figures
}

// String lists the settings.
func (o *objective) String() string {
	c := o.config
	return fmt.Sprintf("%s, beta %g, label smoothing %g, gamma %g", c.Loss, c.Beta, c.LabelSmoothing, c.Gamma)
}

// Units is the number of pairs.
func (o *objective) Units(b data.Batch) int { return len(b.Ends) }

// Loss is summed over the pairs of the batch. Dropout is off: policy and reference would differ by their masks.
func (o *objective) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	pass.Train = false
	text, before := o.wholeText(b)
	policy := train.ScoreAnswers(s, o.model, text, pass)
	if policy.Tokens == nil {
		torch.Throw(fmt.Errorf("dpo: a batch without answers"))
	}
	var reference []float64
	if o.config.Loss.usesReference() {
		reference = o.reference.logProbs(s, b)
	}
	value, derivatives := o.sum(policy, before, reference)
	return policy.Loss(s, value, derivatives)
}

// sum is the loss of all pairs, and its derivatives by the log-probabilities of their segments.
func (o *objective) sum(policy train.Answers, prompts bool, reference []float64) (value float64, derivatives []float64) {
	derivatives = make([]float64, len(policy.LogProb))
	stride := 2
	if prompts {
		stride = 3 // the prompt, which ORPO learns too, the chosen and the rejected answer
	}
	learned, nll := 0.0, 0.0 // tokens of the chosen texts, and their cross entropy
	for i := 0; i+stride <= len(policy.LogProb); i += stride {
		c, r := i+stride-2, i+stride-1
		p := pair{chosen: policy.LogProb[c], rejected: policy.LogProb[r],
			chosenTokens: float64(policy.Tokens[c]), rejectedTokens: float64(policy.Tokens[r])}
		if reference != nil {
			n := i / stride
			p.refChosen, p.refRejected = reference[2*n], reference[2*n+1]
		}
		v, byChosen, byRejected := o.config.of(p)
		value += v
		derivatives[c], derivatives[r] = byChosen, byRejected
		for t := i; t <= c; t++ {
			learned += float64(policy.Tokens[t])
			nll -= policy.LogProb[t]
		}
		o.seen.add(o.config, p)
	}
	if o.config.Loss != ORPO {
		return value, derivatives
	}
	pairs := float64(len(policy.LogProb) / stride) // the cross entropy is a mean over tokens, here times the units
	for i := range derivatives {
		if i%stride != stride-1 {
			derivatives[i] -= pairs / learned
		}
	}
	return value + nll*pairs/learned, derivatives
}

// wholeText labels prompts too, for ORPO, which learns the whole chosen text; prompts says that each pair has one of its own.
func (o *objective) wholeText(b data.Batch) (labelled data.Batch, prompts bool) {
	if o.config.Loss != ORPO {
		return b, false
	}
	labelled = b
	labelled.Labels = append([]int32(nil), b.Labels...)
	segments := 0
	for i, g := range b.Segments {
		prompt := i+1 < len(b.Segments) && b.Segments[i+1].Prefix == i
		if prompt && g.End-g.Start > 1 {
			segments++
			copy(labelled.Labels[g.Start:g.End], b.IDs[g.Start:g.End])
		}
	}
	if segments != len(b.Ends) {
		return b, false // prompts that are not shared, or of one token, which nothing predicts
	}
	return labelled, true
}

// figures are sums over pairs.
type figures struct {
	pairs, chosen, rejected, right, logChosen, logRejected, drift float64
}

func (f *figures) add(c Config, p pair) {
	chosen, rejected := c.Beta*(p.chosen-p.refChosen), c.Beta*(p.rejected-p.refRejected)
	if c.Loss == SimPO || c.Loss == ORPO { // rewards are by token there
		chosen, rejected = c.Beta*p.chosen/p.chosenTokens, c.Beta*p.rejected/p.rejectedTokens
	}
	f.pairs++
	f.chosen += chosen
	f.rejected += rejected
	if chosen > rejected {
		f.right++
	}
	f.logChosen += p.chosen
	f.logRejected += p.rejected
	f.drift += (p.chosen - p.refChosen + p.rejected - p.refRejected) / 2
}

// Metrics are means over the pairs seen since the last call, under TRL's names; kl is the mean log π/π_ref of the data's answers.
func (o *objective) Metrics() map[string]float64 {
	f := o.seen
	o.seen = figures{}
	if f.pairs == 0 {
		return nil
	}
	m := map[string]float64{
		"rewards/chosen": f.chosen / f.pairs, "rewards/rejected": f.rejected / f.pairs, "rewards/margins": (f.chosen - f.rejected) / f.pairs,
		"rewards/accuracies": f.right / f.pairs, "logps/chosen": f.logChosen / f.pairs, "logps/rejected": f.logRejected / f.pairs,
	}
	if o.config.Loss.usesReference() {
		m["kl"] = f.drift / f.pairs
	}
	return m
}
