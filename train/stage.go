package train

import (
	"errors"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// Usable says what a model lacks to learn from text.
func Usable(m *model.Model) error {
	switch {
	case m == nil || m.Tokenizer == nil:
		return errors.New("the model has no tokenizer, which turns text into tokens; load it from a checkpoint with tokenizer.json")
	case m.Closed():
		return model.ErrClosed
	}
	return m.CheckTokenizer()
}

// ChooseAll makes every weight trainable where nothing was chosen and no adapter is attached.
func ChooseAll(m *model.Model) error {
	if len(m.Trainable()) > 0 {
		return nil
	}
	return m.SetTrainable(func(string) bool { return true })
}

// TrainsBase says whether weights of the model itself are trained, not only an adapter's.
func TrainsBase(m *model.Model) bool {
	return slices.ContainsFunc(m.Trainable(), func(p *model.Parameter) bool { return m.Parameter(p.Name) != nil })
}

// WithRate fills in the learning rate of a stage: adapter where only an adapter is trained, else full.
func (c Config) WithRate(m *model.Model, adapter, full float64) Config {
	if c.LearningRate == 0 {
		c.LearningRate = adapter
		if TrainsBase(m) {
			c.LearningRate = full
		}
	}
	return c
}

// TellLedger tells the sinks what became of the records.
func (e *Engine) TellLedger(l *data.Ledger) {
	e.Tell(observe.Ledger{Read: l.Read, Kept: l.Kept, Dropped: l.Dropped, Truncated: l.Truncated, Repaired: l.Repaired})
}
