package train

import (
	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Answers are the labelled segments of a batch and their log-probabilities under a model. They stand in the order of the batch: the
// answers of one sample side by side.
type Answers struct {
	LogProb []float64 // of all labelled tokens of an answer together, in nats
	Tokens  []int     // labelled tokens of an answer
	Sample  []int     // its sample's place in the batch
	Each    []float64 // log-probability of each labelled token, one answer after the other

	losses *torch.Tensor // [M], of each labelled token
}

// ScoreAnswers runs the network on the batch. Only the rows that predict a labelled token pass the output head, in chunks: no logits are
// kept.
func ScoreAnswers(s *torch.Scope, m *model.Model, b data.Batch, pass model.Pass) Answers {
	a, _ := ScoreRows(s, m, b, pass)
	return a
}

// ScoreRows is ScoreAnswers with the hidden states [M, H] of the rows that predict labelled tokens beside it.
func ScoreRows(s *torch.Scope, m *model.Model, b data.Batch, pass model.Pass) (a Answers, hidden *torch.Tensor) {
	rows, labels := Targets(b)
	hidden = m.Hidden(s, Tokens(b), rows, pass) // [M H]
	a = Answers{losses: m.TokenLosses(s, hidden, labels)}
	values := s.ToFloat32s(s.Detach(a.losses))
	sample := 0
	for i, g := range b.Segments {
		if i == b.Ends[sample] {
			sample++
		}
		n, sum := b.TargetsOf(g), 0.0
		if n == 0 {
			continue
		}
		for _, loss := range values[:n] {
			sum -= float64(loss)
			a.Each = append(a.Each, -float64(loss))
		}
		values = values[n:]
		a.LogProb, a.Tokens, a.Sample = append(a.LogProb, sum), append(a.Tokens, n), append(a.Sample, sample)
	}
	return a, hidden
}

// TokenLoss is a function of Each as a tensor [] float32: its value, and its derivative by each token's log-probability.
func (a Answers) TokenLoss(s *torch.Scope, value float64, derivatives []float64) *torch.Tensor {
	negated := make([]float64, len(derivatives)) // the losses are −log p
	for i, d := range derivatives {
		negated[i] = -d
	}
	return s.Known(a.losses, value, negated)
}

// Loss is a function of LogProb as a tensor [] float32: its value, and its derivative by each answer's log-probability.
func (a Answers) Loss(s *torch.Scope, value float64, derivatives []float64) *torch.Tensor {
	var tokens []float64
	for i, n := range a.Tokens {
		for range n {
			tokens = append(tokens, -derivatives[i])
		}
	}
	return s.Known(a.losses, value, tokens)
}
