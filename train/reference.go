package train

import (
	"errors"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Reference is what a policy is held against: another model, or the policy's own without its adapters. It is not trained.
type Reference struct {
	Model    *model.Model
	Adapters model.AdapterSet // nil: those in force
}

// NewReference is given where that is not nil, else policy without its adapters, unless its own weights are trained.
func NewReference(policy, given *model.Model) (Reference, error) {
	switch {
	case given != nil:
		return Reference{Model: given}, nil
	case TrainsBase(policy):
		return Reference{}, errors.New("all weights are trained, and nothing is left to be the reference; load the model a second time as Reference, " +
			"or train an adapter")
	}
	return Reference{Model: policy, Adapters: model.Plain}, nil
}

// Score takes the log-probabilities of a batch's answers, without dropout or gradients.
func (r Reference) Score(s *torch.Scope, b data.Batch) (a Answers) {
	s.Inner(func(s *torch.Scope) {
		s.NoGrad(func() {
			r.Model.With(r.Adapters, func() { a = ScoreAnswers(s, r.Model, b, model.Pass{}) })
		})
	})
	a.losses = nil // freed with the scope
	return a
}
