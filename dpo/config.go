package dpo

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Default learning rates, for AdamW: a tenth and less of fine-tuning's, since all that is learned is a difference.
const (
	FullLearningRate    = 1e-6 // every weight is trained (TRL)
	AdapterLearningRate = 5e-6 // an adapter is trained
)

// Config describes a run. Only Data must be set.
type Config struct {
	Data   data.PairSource   // pairs to learn, such as a data.File
	Eval   data.PairSource   // pairs to evaluate on; nil: train.Config.EvalShare of Data
	Encode data.EncodeConfig // how they become tokens; Learn is not asked

	Loss           Loss    // "" means Sigmoid
	Beta           float64 // how far the policy may leave the reference: the smaller the farther; 0 means 0.1, in SimPO 2
	LabelSmoothing float64 // share of pairs that are the wrong way round, for Conservative and Robust; [0, 0.5)
	Gamma          float64 // SimPO's margin between rewards; 0 means 0.5

	// Reference is the model that the policy may not leave far, not trained. nil: with adapters, the model without them; else the
	// model as it stands before the run, whose log-probabilities are computed first and kept.
	Reference *model.Model
	// AtStart makes the model as it stands before the run, adapters included, the reference. It is for an adapter that was trained
	// before, as by SFT, and goes on being trained.
	AtStart bool
	// Cache is a folder for log-probabilities of a reference at the start: a second run on the same weights and pairs finds them there. ""
	// means Output.
	Cache string

	train.Config // steps, optimizer, output
}

var losses = []Loss{Sigmoid, Conservative, Robust, Hinge, IPO, IPOSum, SimPO, ORPO}

func (c Config) withDefaults() Config {
	if c.Loss == "" {
		c.Loss = Sigmoid
	}
	if c.Beta == 0 {
		c.Beta = 0.1
		if c.Loss == SimPO {
			c.Beta = 2
		}
	}
	if c.Gamma == 0 {
		c.Gamma = 0.5
	}
	if c.Cache == "" {
		c.Cache = c.Output
	}
	return c
}

// Validate reports every problem at once, each with its field.
func (c Config) Validate() error {
	var problems []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(c.Data != nil, "Data is nil; want a source of pairs, such as data.File{Path: …}")
	c = c.withDefaults()
	want(slices.Contains(losses, c.Loss), "Loss is %q; want one of %v", c.Loss, losses)
	want(c.Beta > 0, "Beta is %g; want 0 (the default) or more", c.Beta)
	want(c.LabelSmoothing >= 0 && c.LabelSmoothing < 0.5, "LabelSmoothing is %g; want [0, 0.5)", c.LabelSmoothing)
	want(c.LabelSmoothing == 0 || c.Loss == Conservative || c.Loss == Robust, "LabelSmoothing is %g, which %s does not use; want Conservative or Robust",
		c.LabelSmoothing, c.Loss)
	want(c.Gamma >= 0, "Gamma is %g; want 0 (0.5) or more", c.Gamma)
	want(c.Reference == nil || !c.AtStart, "Reference and AtStart are both set; want one of them")
	return errors.Join(append(problems, c.Encode.Validate(), c.Config.WithDefaults().Validate())...)
}
