package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// Off switches off what has a default other than zero.
const Off = -1

// Config is what every stage's training has in common. The zero value trains three epochs in micro-batches of eight samples with
// AdamW, a linear schedule and gradients clipped at norm 1.
type Config struct {
	LearningRate float64         `json:"learning_rate"` // 0: the stage's default
	Schedule     schedule.Config `json:"schedule"`
	AdamW        AdamW           `json:"adamw"`
	MaxGradNorm  float64         `json:"max_grad_norm"` // gradients are scaled down to this 2-norm; 0 means 1, Off none

	MicroBatch   int `json:"micro_batch"`   // samples that go through the network at once; 0 means 8
	MaxTokens    int `json:"max_tokens"`    // tokens that do, at most; 0 means no limit
	Accumulate   int `json:"accumulate"`    // micro-batches in an optimizer step; 0 means 1
	LengthWindow int `json:"length_window"` // see data.LoaderConfig
	// ActivationBudget are the bytes that the blocks of the network may keep of one micro-batch for its backward pass. Blocks beyond it keep
	// only what goes into them and are computed again: the same numbers, bit for bit, for up to a third more time. 0: no limit; Off: no
	// block keeps more.
	ActivationBudget int64 `json:"activation_budget"`

	// SkipNonFinite are the steps in a row that may be passed over because their loss or gradient is not finite. 0: the first ends the run.
	SkipNonFinite int `json:"skip_non_finite"`

	Epochs  int    `json:"epochs"`   // walks over the samples; 0 means 3
	Steps   int    `json:"steps"`    // optimizer steps, whatever that makes in epochs; 0: as many as Epochs have
	Seed    uint64 `json:"seed"`     // of the order and of dropout
	InOrder bool   `json:"in_order"` // samples in the order of the data, instead of a new one each epoch

	// Order gives the samples of an epoch by their index, some more than once or not at all, as a mixture of sources does (mixer.Mixer.Order,
	// over the samples of all sources joined). It must be a function of the epoch alone. nil: every sample once.
	Order func(epoch int) []int32 `json:"-"`

	EvalShare float64 `json:"eval_share"` // share of the samples held out, where no evaluation data are given; 0 holds none
	EvalEvery int     `json:"eval_every"` // steps between evaluations; 0: at the end of each epoch

	Output    string `json:"output"`     // folder for checkpoints, metrics.jsonl and loss.png; "" writes none; an earlier run's are set aside
	SaveEvery int    `json:"save_every"` // steps between checkpoints, which are written beside the training from a copy in memory; 0: at the end only, Off never
	KeepLast  int    `json:"keep_last"`  // checkpoints kept; 0 means 2, Off all
	KeepBest  int    `json:"keep_best"`  // checkpoints kept beside those, by their loss on held-out samples; a new best is saved at once; 0 keeps none
	Resume    string `json:"-"`          // "" starts over; "auto" goes on from Output's newest whole checkpoint, if any; else a checkpoint's folder

	Sinks []observe.Sink `json:"-"` // where events go, beside Output's files
}

// AdamW holds the optimizer's constants (Loshchilov & Hutter 2019). The zero value is transformers' default.
type AdamW struct {
	Beta1       float64 `json:"beta1"`        // 0 means 0.9
	Beta2       float64 `json:"beta2"`        // 0 means 0.999
	Eps         float64 `json:"eps"`          // 0 means 1e-8
	WeightDecay float64 `json:"weight_decay"` // of matrices; norms and biases have none
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	fill := func(v *float64, fallback float64) {
		if *v == 0 {
			*v = fallback
		}
	}
	count := func(v *int, fallback int) {
		if *v == 0 {
			*v = fallback
		}
	}
	fill(&c.MaxGradNorm, 1)
	fill(&c.AdamW.Beta1, 0.9)
	fill(&c.AdamW.Beta2, 0.999)
	fill(&c.AdamW.Eps, 1e-8)
	count(&c.MicroBatch, 8)
	count(&c.Accumulate, 1)
	count(&c.Epochs, 3)
	count(&c.KeepLast, 2)
	return c
}

// Validate reports every problem at once, each with its field.
func (c Config) Validate() error {
	var problems []error
	want := func(ok bool, field, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(field+" "+format, args...))
		}
	}
	want(c.LearningRate >= 0 && !math.IsInf(c.LearningRate, 0), "LearningRate", "is %g; want 0 (the default) or more", c.LearningRate)
	want(c.MaxGradNorm >= 0 || c.MaxGradNorm == Off, "MaxGradNorm", "is %g; want 0 (1), a norm, or Off", c.MaxGradNorm)
	want(c.AdamW.Beta1 >= 0 && c.AdamW.Beta1 < 1, "AdamW.Beta1", "is %g; want [0, 1)", c.AdamW.Beta1)
	want(c.AdamW.Beta2 >= 0 && c.AdamW.Beta2 < 1, "AdamW.Beta2", "is %g; want [0, 1)", c.AdamW.Beta2)
	want(c.AdamW.Eps >= 0, "AdamW.Eps", "is %g; want 0 (1e-8) or more", c.AdamW.Eps)
	want(c.AdamW.WeightDecay >= 0, "AdamW.WeightDecay", "is %g; want 0 or more", c.AdamW.WeightDecay)
	want(c.ActivationBudget >= Off, "ActivationBudget", "is %d; want 0 (no limit), a number of bytes, or Off (nothing is kept)", c.ActivationBudget)
	want(c.SkipNonFinite >= 0, "SkipNonFinite", "is %d; want 0 (none) or more", c.SkipNonFinite)
	want(c.Epochs >= 0, "Epochs", "is %d; want 0 (3) or more", c.Epochs)
	want(c.Steps >= 0, "Steps", "is %d; want 0 (by epochs) or more", c.Steps)
	want(c.EvalShare >= 0 && c.EvalShare < 1, "EvalShare", "is %g; want [0, 1)", c.EvalShare)
	want(c.EvalEvery >= 0, "EvalEvery", "is %d; want 0 (each epoch) or more", c.EvalEvery)
	want(c.SaveEvery >= Off, "SaveEvery", "is %d; want 0 (at the end), a number of steps, or Off", c.SaveEvery)
	want(c.KeepLast >= Off, "KeepLast", "is %d; want 0 (2), a number, or Off (all)", c.KeepLast)
	want(c.KeepBest >= 0, "KeepBest", "is %d; want 0 (none) or more", c.KeepBest)
	want(c.Resume == "" || c.Resume != "auto" || c.Output != "", "Resume", "is auto, but Output names no folder to look in")
	return errors.Join(append(problems, c.Schedule.Validate(), c.Loader().Validate())...)
}

// Loader is how samples become steps. With Steps given the data are walked without end and the loop stops.
func (c Config) Loader() data.LoaderConfig {
	epochs := c.Epochs
	if c.Steps > 0 {
		epochs = -1
	}
	return data.LoaderConfig{MicroBatch: c.MicroBatch, MaxTokens: c.MaxTokens, Accumulate: c.Accumulate, Epochs: epochs,
		Shuffle: !c.InOrder && c.Order == nil, Seed: c.Seed, LengthWindow: c.LengthWindow, Order: c.Order}
}
