package grpo

import (
	"errors"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/rollout"
)

// Default learning rates, for AdamW.
const (
	FullLearningRate    = 1e-6 // every weight is trained (TRL)
	AdapterLearningRate = 1e-5 // an adapter is trained
)

// Config describes a run. Data and Reward must be set.
type Config struct {
	Data   data.Source       // prompts: conversations, whose last answer, if any, is the Reference
	Encode data.EncodeConfig // how they become tokens
	Reward rollout.Reward

	Answers   int  // to each prompt; 0 means 8
	MaxTokens int  // of an answer; 0 means 256
	PerAnswer bool // each answer counts alike, as in the paper; else each token does (DAPO, Yu et al. 2025), which does not favour short answers
	Unscaled  bool // advantages are not divided by the spread of the rewards (Dr. GRPO, Liu et al. 2025)

	// Iterations are the optimizer steps that are taken on the same answers; 0 means 1. Config.SaveEvery must be a multiple, since answers
	// are not part of a checkpoint.
	Iterations int
	ClipLow    float64 // ratios of probabilities below 1−ClipLow are clipped; 0 means 0.2
	ClipHigh   float64 // and those above 1+ClipHigh; 0 means ClipLow

	// Beta weighs the divergence from the reference, estimated for each token (Schulman's k3); 0 for none. The reference is Reference, or
	// with adapters the model without them.
	Beta      float64
	Reference *model.Model

	train.Config // steps, optimizer, output; MicroBatch counts prompts
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *int
		value int
	}{{&c.Answers, 8}, {&c.MaxTokens, 256}, {&c.Iterations, 1}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.ClipLow == 0 {
		c.ClipLow = 0.2
	}
	if c.ClipHigh == 0 {
		c.ClipHigh = c.ClipLow
	}
	return c
}

// setup is what this stage has in common with the other that learns from rewards.
func (c Config) setup() rollout.Setup {
	return rollout.Setup{Data: c.Data, Encode: c.Encode, Reward: c.Reward, Answers: c.Answers, MaxTokens: c.MaxTokens, Iterations: c.Iterations,
		AdapterRate: AdapterLearningRate, FullRate: FullLearningRate}
}

// Validate reports every problem at once, each with its field.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	want(c.Answers > 1, "Answers is %d; want 0 (8), or 2 and more: an answer counts by the others", c.Answers)
	want(c.ClipLow > 0 && c.ClipLow < 1 && c.ClipHigh > 0, "ClipLow is %g and ClipHigh %g; want between 0 and 1, and above 0", c.ClipLow, c.ClipHigh)
	want(c.Beta >= 0 && !math.IsInf(c.Beta, 0), "Beta is %g; want 0 or more", c.Beta)
	return errors.Join(append(problems, c.setup().Problems(c.Config)...)...)
}
