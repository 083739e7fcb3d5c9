package train

import (
	"context"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Objective is what a stage learns. One that has settings of its own says them as a fmt.Stringer: a run is resumed only with the same.
type Objective interface {
	// Loss is summed over the batch's units: [] float32. It is called on the libtorch thread; gradients are recorded in training.
	Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor
	// Units is what the loss of a whole step is divided by: target tokens, or preference pairs.
	Units(b data.Batch) int
}

// Preparer is an Objective that makes the batch to learn from out of the one that the data give: a policy answers the prompts.
type Preparer interface {
	// Prepare is called before the losses of a step, for each of its micro-batches, in the goroutine that called Run. seed is a function of
	// the run's seed and the place in it.
	Prepare(ctx context.Context, b data.Batch, step, micro int, seed uint64) (data.Batch, error)
}

// Parametrised is an Objective with weights of its own that are trained beside the model's, such as a value head.
type Parametrised interface {
	Parameters() []*model.Parameter
}

// Reporter is an Objective with figures of its own, such as rewards and accuracies.
type Reporter interface {
	// Metrics are the means since the last call. It is called after each step and each evaluation.
	Metrics() map[string]float64
}

// NextToken is the objective of fine-tuning and pretraining: the cross entropy of each labelled token given those before it, in
// nats.
type NextToken struct {
	Model *model.Model

	// Sources, when not nil, tells the loss of each source of the training data apart, as the metrics loss/NAME.
	Sources *SourceLosses
}

// Loss sums the cross entropy over the labelled tokens. Only the rows that predict one go through the output head. In training, the
// load-balancing loss of experts is added where config.json asks for it (output_router_logits).
func (o NextToken) Loss(s *torch.Scope, b data.Batch, pass model.Pass) *torch.Tensor {
	rows, labels := Targets(b)
	balance := 0.0
	if experts := o.Model.Config.Experts; experts != nil && pass.Train {
		balance = experts.BalanceLoss
	}
	if balance > 0 {
		pass.Routers = &model.Routers{}
	}
	hidden := o.Model.Hidden(s, Tokens(b), rows, pass) // [M H]
	loss, each := o.Model.CrossEntropies(s, hidden, labels)
	if o.Sources != nil && pass.Train {
		o.Sources.add(b, s.ToFloat64s(each))
	}
	if balance > 0 { // a mean over the batch, where the other is a sum over its targets
		loss = s.Add(loss, s.Scale(pass.Routers.Loss(s), balance*float64(len(labels))))
	}
	return loss
}

// Metrics are the losses of the sources since the last call.
func (o NextToken) Metrics() map[string]float64 { return o.Sources.metrics() }

// Units is the number of labelled tokens.
func (o NextToken) Units(b data.Batch) int { return b.Targets() }

// Tokens is the batch as the network reads it.
func Tokens(b data.Batch) model.Batch {
	segments := make([]model.Segment, len(b.Segments))
	for i, g := range b.Segments {
		segments[i] = model.Segment(g)
	}
	return model.Batch{IDs: b.IDs, Positions: b.Positions, Segments: segments}
}

// Targets lists the rows that predict a labelled token, and the labels. Token t of a segment is predicted by the row before it; the
// first token by the last row of the segment's prefix, if it has one.
func Targets(b data.Batch) (rows, labels []int32) {
	for _, g := range b.Segments {
		for t := g.Start; t < g.End; t++ {
			row := t - 1
			if t == g.Start {
				if g.Prefix < 0 {
					continue
				}
				row = b.Segments[g.Prefix].End - 1
			}
			if b.Labels[t] != data.NoLabel {
				rows, labels = append(rows, int32(row)), append(labels, b.Labels[t])
			}
		}
	}
	return rows, labels
}
