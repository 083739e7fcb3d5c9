package ppo

import (
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/rollout"
)

// Default learning rates, for AdamW.
const (
	FullLearningRate    = 1e-6 // every weight is trained
	AdapterLearningRate = 1e-5 // an adapter is trained
)

// Config describes a run. Data and Reward must be set.
type Config struct {
	Data   data.Source       // prompts: conversations, whose last answer, if any, is the question's Reference
	Encode data.EncodeConfig // how they become tokens
	Reward rollout.Reward

	Answers    int // to each prompt; 0 means 1
	MaxTokens  int // of an answer; 0 means 256
	Iterations int // optimizer steps on the same answers; 0 means 4. Config.SaveEvery must be a multiple, since answers are not part of a checkpoint

	Clip       float64 // ratios of probabilities outside 1±Clip are clipped; 0 means 0.2
	ValueClip  float64 // values may move so far from those at the time of the answers; 0 means 0.2
	ValueShare float64 // weight of the values' loss; 0 means 0.1
	Gamma      float64 // discount of later rewards; 0 means 1
	Lambda     float64 // of generalised advantage estimation; 0 means 0.95
	Unfinished float64 // taken off the reward of an answer that did not end within MaxTokens

	// Beta weighs, in each token's reward, log π/π_ref; 0 means 0.05, train.Off none. The reference is Reference, or with adapters the model
	// without them.
	Beta      float64
	Reference *model.Model

	train.Config // steps, optimizer, output; MicroBatch counts prompts
}

func (c Config) withDefaults() Config {
	for _, f := range []struct {
		field *int
		value int
	}{{&c.Answers, 1}, {&c.MaxTokens, 256}, {&c.Iterations, 4}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *float64
		value float64
	}{{&c.Clip, 0.2}, {&c.ValueClip, 0.2}, {&c.ValueShare, 0.1}, {&c.Gamma, 1}, {&c.Lambda, 0.95}, {&c.Beta, 0.05}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.Beta == train.Off {
		c.Beta = 0
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
	want(c.Answers > 0, "Answers is %d; want 0 (1) or more", c.Answers)
	want(c.Clip > 0 && c.Clip < 1, "Clip is %g; want 0 (0.2), or between 0 and 1", c.Clip)
	want(c.ValueClip > 0, "ValueClip is %g; want 0 (0.2) or more", c.ValueClip)
	want(c.ValueShare > 0, "ValueShare is %g; want 0 (0.1) or more", c.ValueShare)
	want(c.Gamma > 0 && c.Gamma <= 1, "Gamma is %g; want 0 (1), or (0, 1]", c.Gamma)
	want(c.Lambda > 0 && c.Lambda <= 1, "Lambda is %g; want 0 (0.95), or (0, 1]", c.Lambda)
	want(c.Unfinished >= 0, "Unfinished is %g; want 0 or more", c.Unfinished)
	want(c.Beta >= 0, "Beta is %g; want 0 (0.05), more, or Off", c.Beta)
	return errors.Join(append(problems, c.setup().Problems(c.Config)...)...)
}
