package rm

import (
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// objective is the loss of a batch of rankings.
type objective struct {
	model  *model.Model
	center float64
	seen   Report
}

// String lists the settings.
func (o *objective) String() string { return fmt.Sprintf("center %g", o.center) }

// Units is the number of rankings.
func (o *objective) Units(b data.Batch) int { return len(b.Ends) }

// Loss is summed over the rankings of the batch.
func (o *objective) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	scores, rankings := rewards(s, o.model, b, pass)
	var value float64
	var derivatives []float64
	for i, r := range rankings {
		v, d := ranking(r, b.Margins[i], o.center)
		value += v
		derivatives = append(derivatives, d...)
		o.seen.add(r)
	}
	return s.Known(scores, value, derivatives)
}

// rewards are the scores of all answers of a batch [n], and their values by sample.
func rewards(s *torch.Scope, m *model.Model, b data.Batch, pass model.Pass) (scores *torch.Tensor, rankings [][]float64) {
	in := train.Tokens(b)
	rows, segments := m.ScoreRows(in)
	scores = m.Scores(s, m.Hidden(s, in, rows, pass)) // [answers]
	values := s.ToFloat32s(s.Detach(scores))
	rankings = make([][]float64, len(b.Ends))
	sample := 0
	for i, segment := range segments {
		for segment >= b.Ends[sample] {
			sample++
		}
		rankings[sample] = append(rankings[sample], float64(values[i]))
	}
	return scores, rankings
}

// Metrics are means over the rankings seen since the last call.
func (o *objective) Metrics() map[string]float64 {
	r := o.seen
	o.seen = Report{}
	if r.Pairs == 0 {
		return nil
	}
	return map[string]float64{"accuracy": r.Accuracy(), "margin": r.Margin(), "mean_reward": r.MeanReward()}
}
