package dpo

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/logistic"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// KTOConfig describes a run of KTO (Ethayarajh et al. 2024), which learns from single answers that are good or bad. Only Data must be set.
type KTOConfig struct {
	Data   data.JudgedSource // judged answers, such as a data.File
	Eval   data.JudgedSource // those to evaluate on; nil: train.Config.EvalShare of Data
	Encode data.EncodeConfig // how they become tokens; Learn is not asked

	Beta       float64 // how far the policy may leave the reference; 0 means 0.1
	GoodWeight float64 // of good answers; 0 means 1. Best so that the weights of all good and of all bad ones are about the same
	BadWeight  float64 // of bad answers; 0 means 1

	// Reference is the model that the policy may not leave far. nil: with adapters, the model without them.
	Reference *model.Model

	train.Config // steps, optimizer, output; MicroBatch 2 or more: the divergence is estimated from other answers of the micro-batch
}

func (c KTOConfig) withDefaults() KTOConfig {
	for _, f := range []struct {
		field *float64
		value float64
	}{{&c.Beta, 0.1}, {&c.GoodWeight, 1}, {&c.BadWeight, 1}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return c
}

// Validate reports every problem at once, each with its field.
func (c KTOConfig) Validate() error {
	var problems []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(c.Data != nil, "Data is nil; want a source of judged answers, such as data.File{Path: …}")
	c = c.withDefaults()
	want(c.Beta > 0, "Beta is %g; want 0 (0.1) or more", c.Beta)
	want(c.GoodWeight > 0 && c.BadWeight > 0, "GoodWeight is %g and BadWeight %g; want 0 (1) or more", c.GoodWeight, c.BadWeight)
	want(c.MicroBatch != 1, "MicroBatch is 1; want 2 or more: the divergence is estimated from other answers of the micro-batch")
	return errors.Join(append(problems, c.Encode.Validate(), c.Config.WithDefaults().Validate())...)
}

// KTOTrainer runs one training from judged answers.
type KTOTrainer struct {
	model  *model.Model
	config KTOConfig
}

// NewKTOTrainer checks the config; see NewTrainer about what is trained.
func NewKTOTrainer(m *model.Model, c KTOConfig) (*KTOTrainer, error) {
	if err := errors.Join(c.Validate(), train.Usable(m)); err != nil {
		return nil, fmt.Errorf("dpo: %w", err)
	}
	if c.Reference == m {
		return nil, errors.New("dpo: Reference is the model that is trained; leave it nil, or load it a second time")
	}
	return &KTOTrainer{model: m, config: c.withDefaults()}, nil
}

// Run encodes the answers and trains; see Trainer.Run.
func (t *KTOTrainer) Run(ctx context.Context) (train.Result, error) {
	samples, held, ledger, err := train.Samples(t.config.Data, t.config.Eval, t.config.Config, func(source data.JudgedSource) ([]data.Sample, *data.Ledger, error) {
		return data.EncodeJudged(ctx, t.model.Tokenizer, source, t.config.Encode)
	})
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	if err := t.model.KeepChat(t.config.Encode.Template); err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	if err := train.ChooseAll(t.model); err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	reference, err := train.NewReference(t.model, t.config.Reference)
	if err != nil {
		return train.Result{Ledger: ledger}, fmt.Errorf("dpo: %w", err)
	}
	o := &judged{model: t.model, reference: frozen{reference}, config: t.config}
	result, err := train.Learn(ctx, "kto", t.model, o, samples, held, ledger, t.config.Config.WithRate(t.model, AdapterLearningRate, FullLearningRate))
	if err != nil {
		return result, fmt.Errorf("dpo: %w", err)
	}
	return result, nil
}

// judged is the loss of a batch of judged answers.
type judged struct {
	model     *model.Model
	reference frozen
	config    KTOConfig
	seen      judgedFigures
}

// String lists the settings.
func (o *judged) String() string {
	return fmt.Sprintf("kto, beta %g, weights %g and %g", o.config.Beta, o.config.GoodWeight, o.config.BadWeight)
}

// Units is the number of answers.
func (o *judged) Units(b data.Batch) int { return len(b.Ends) }

// Loss is summed over the answers:
//
//	good: w·(1 − σ(β·(log π/π_ref − z)))     bad: w·(1 − σ(β·(z − log π/π_ref)))
//
// z ≥ 0 is the divergence of the policy from the reference, estimated on answers to other prompts; it has no gradient.
func (o *judged) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	pass.Train = false
	policy := train.ScoreAnswers(s, o.model, b, pass)
	z := o.divergence(s, b)
	value, derivatives := 0.0, make([]float64, len(policy.LogProb))
	for i, ref := range o.reference.logProbs(s, b) {
		ratio := policy.LogProb[i] - ref
		v, d := o.config.of(ratio, z, b.Margins[policy.Sample[i]] > 0)
		value += v
		derivatives[i] = d
		o.seen.add(o.config.Beta*ratio, b.Margins[policy.Sample[i]] > 0)
	}
	o.seen.kl += z * float64(len(derivatives))
	return policy.Loss(s, value, derivatives)
}

// of is the loss of one answer by its log-ratio, and its derivative.
func (c KTOConfig) of(ratio, z float64, good bool) (value, derivative float64) {
	if good {
		p := logistic.Sigmoid(c.Beta * (ratio - z))
		return c.GoodWeight * (1 - p), -c.GoodWeight * c.Beta * p * (1 - p)
	}
	p := logistic.Sigmoid(c.Beta * (z - ratio))
	return c.BadWeight * (1 - p), c.BadWeight * c.Beta * p * (1 - p)
}

// divergence is the mean log-ratio of answers that stand behind the prompt of the next sample of their verdict, 0 at least.
func (o *judged) divergence(s *torch.Scope, b data.Batch) float64 {
	crossed := mismatched(b)
	if len(crossed.Ends) == 0 {
		return 0
	}
	var sum float64
	policy := asItIs(o.model).logProbs(s, crossed)
	for i, ref := range o.reference.logProbs(s, crossed) {
		sum += (policy[i] - ref) / float64(len(policy))
	}
	return math.Max(0, sum)
}

// mismatched gives each prompt the answer of the sample before it, as TRL does.
func mismatched(b data.Batch) data.Batch {
	whole := sequences(b)
	if len(whole) < 2 {
		return data.Batch{}
	}
	var samples []data.Sample
	var indices []int
	for i, own := range whole {
		other := whole[(i+len(whole)-1)%len(whole)]
		samples = append(samples, data.Sample{IDs: own.prompt, Labels: data.Unlabelled(len(own.prompt)), Answers: []data.Answer{{IDs: other.answer, Labels: other.answer}}})
		indices = append(indices, i)
	}
	return data.NewBatch(samples, indices)
}

type sequence struct{ prompt, answer []int32 }

// sequences are the prompts and answers of a batch of one answer each.
func sequences(b data.Batch) (list []sequence) {
	first := 0
	for _, end := range b.Ends {
		start, stop := b.Segments[first].Start, b.Segments[end-1].End
		answer := start
		for answer < stop && b.Labels[answer] == data.NoLabel {
			answer++
		}
		list = append(list, sequence{b.IDs[start:answer], b.IDs[answer:stop]})
		first = end
	}
	return list
}

// judgedFigures are sums over answers.
type judgedFigures struct{ good, bad, rewardGood, rewardBad, kl float64 }

func (f *judgedFigures) add(reward float64, good bool) {
	if good {
		f.good++
		f.rewardGood += reward
	} else {
		f.bad++
		f.rewardBad += reward
	}
}

// Metrics are means over the answers seen since the last call.
func (o *judged) Metrics() map[string]float64 {
	f := o.seen
	o.seen = judgedFigures{}
	m := map[string]float64{}
	if f.good+f.bad > 0 {
		m["kl"] = f.kl / (f.good + f.bad)
	}
	if f.good > 0 {
		m["rewards/chosen"] = f.rewardGood / f.good
	}
	if f.bad > 0 {
		m["rewards/rejected"] = f.rewardBad / f.bad
	}
	if f.good > 0 && f.bad > 0 {
		m["rewards/margins"] = m["rewards/chosen"] - m["rewards/rejected"]
	}
	return m
}
