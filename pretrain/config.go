package pretrain

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/mixer"
	"github.com/gofinetune/finetune/train"
)

// Default learning rates, for AdamW.
const (
	FullLearningRate    = 2e-5 // every weight is trained
	AdapterLearningRate = 5e-5 // an adapter is trained
)

// TextSource gives documents, such as a data.File.
type TextSource interface {
	Documents() iter.Seq2[data.Document, error]
}

// Source is one of the sets that are learned: texts, or instruction data.
type Source struct {
	Name string
	Role mixer.Role // for a preset of the mixture
	// Ratio is its share of the tokens, against the other sources' Ratio; 0 in all: by size.
	Ratio float64

	Texts        TextSource  // .txt, .jsonl with completion or text, parquet, …
	Instructions data.Source // in place of Texts: conversations (MIP)
	Plain        bool        // instructions are joined to a text by line breaks, instead of rendered by the chat template
}

// Trainable says which weights a run trains.
type Trainable string

// What may be trained. After the vocabulary was extended (model.Model.Extend), the new rows are usually trained first, then the rest.
const (
	AsChosen   Trainable = ""           // what SetTrainable and attached adapters have chosen; everything where nothing is
	NewRows    Trainable = "new_rows"   // the rows of new tokens in embedding and head, beside an adapter if one is attached
	Embeddings Trainable = "embeddings" // embedding and output head
	All        Trainable = "all"        // every weight
)

// Config describes a run. Only Sources must be set.
type Config struct {
	Sources []Source
	Mix     mixer.Config // how the sources are mixed; its Sources are filled in. The zero value takes each text once

	// General are held-out texts of the general kind. Their loss is taken before the first step and at each evaluation, and a rise by the
	// share Forgetting is a warning.
	General    TextSource
	Forgetting float64    // 0 means 0.05; train.Off warns of none
	Eval       TextSource // held-out texts of the domain; nil: train.Config.EvalShare of all

	RowLength int               // tokens of a row, which is what a text sees of itself at most; 0 means 2048, or the model's context where that is shorter
	Encode    data.EncodeConfig // how instructions become tokens; every token is learned unless Learn says otherwise, and MaxLength 0 drops none
	Lenient   bool              // bad records are dropped and listed in the ledger instead of ending the work
	Cache     string            // folder that keeps tokens, so that texts are tokenised once and need not fit into memory; "" keeps them in memory
	Train     Trainable

	train.Config // steps, optimizer, output; MaxTokens 0 means two rows, MicroBatch 0 as many texts as fit
}

func (c Config) withDefaults(context int) Config {
	if c.RowLength == 0 {
		if c.RowLength = 2048; context > 1 {
			c.RowLength = min(c.RowLength, context)
		}
	}
	if c.Forgetting == 0 {
		c.Forgetting = 0.05
	}
	if c.MaxTokens == 0 {
		c.MaxTokens = 2 * c.RowLength
	}
	if c.MicroBatch == 0 {
		c.MicroBatch = c.MaxTokens
	}
	if c.Encode.MaxLength == 0 {
		c.Encode.MaxLength = math.MaxInt32 // what is longer than a row goes on in the next one
	}
	if c.Encode.Learn == data.LearnDefault {
		c.Encode.Learn = data.EveryToken
	}
	c.Encode.Lenient = c.Encode.Lenient || c.Lenient
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
	want(len(c.Sources) > 0, "Sources is empty; want 1 or more")
	names := map[string]bool{}
	for i, s := range c.Sources {
		want(s.Name != "" && !names[s.Name], "Sources[%d].Name is %q; want a name of its own", i, s.Name)
		want((s.Texts == nil) != (s.Instructions == nil), "Sources[%d] (%s) wants one of Texts and Instructions", i, s.Name)
		want(s.Ratio >= 0 && !math.IsInf(s.Ratio, 0), "Sources[%d] (%s) has the Ratio %g; want 0 (by size) or more", i, s.Name, s.Ratio)
		names[s.Name] = true
	}
	want(len(c.Mix.Sources) == 0, "Mix.Sources has %d sources; they are filled in from Sources", len(c.Mix.Sources))
	want(c.Order == nil, "Order is set; it follows from Mix")
	want(c.RowLength == 0 || c.RowLength > 1, "RowLength is %d; want 0 (2048), or 2 and more tokens", c.RowLength)
	want(c.MaxTokens == 0 || c.RowLength == 0 || c.MaxTokens >= c.RowLength, "MaxTokens is %d, less than one row of %d", c.MaxTokens, c.RowLength)
	want(c.Forgetting >= 0 || c.Forgetting == train.Off, "Forgetting is %g; want 0 (0.05), a share, or Off", c.Forgetting)
	switch c.Train {
	case AsChosen, NewRows, Embeddings, All:
	default:
		want(false, "Train is %q; want %q, %q, %q or nothing", c.Train, NewRows, Embeddings, All)
	}
	return errors.Join(append(problems, c.Encode.Validate(), c.Config.WithDefaults().Validate())...)
}

// mixed says whether the sources are mixed by a rule, or each taken once.
func (c Config) mixed() bool {
	for _, s := range c.Sources {
		if s.Ratio > 0 {
			return true
		}
	}
	return !c.Mix.Preset.IsZero() || c.Mix.Budget > 0 || c.Mix.Exhausted != mixer.Stop || c.Mix.MaxEpochs != 0
}
