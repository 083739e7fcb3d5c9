package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Report says how well scores agree with what is known.
type Report struct {
	Texts    int     `json:"texts"`
	Good     int     `json:"good"`
	AUC      float64 `json:"auc"`      // probability that a good text scores above a bad one; NaN where a class is missing
	Accuracy float64 `json:"accuracy"` // share on the right side of 0.5
	LogLoss  float64 `json:"log_loss"` // mean, in nats
}

// String prints the report on one line.
func (r Report) String() string {
	return fmt.Sprintf("%d texts (%d good): AUC %.4f, accuracy %.3f, log loss %.3f", r.Texts, r.Good, r.AUC, r.Accuracy, r.LogLoss)
}

// Evaluate scores examples, which should not be those of the training.
func Evaluate(m *Model, examples []Example) Report {
	scores, good := make([]float64, len(examples)), make([]bool, len(examples))
	r := Report{Texts: len(examples)}
	for i, e := range examples {
		scores[i], good[i] = m.Score(e.Text), e.Good
		r.Good += class(e.Good)
		right := scores[i]
		if !e.Good {
			right = 1 - right
		}
		if right > 0.5 {
			r.Accuracy++
		}
		r.LogLoss -= math.Log(max(right, 1e-15))
	}
	r.Accuracy /= float64(max(r.Texts, 1))
	r.LogLoss /= float64(max(r.Texts, 1))
	r.AUC = AUC(scores, good)
	return r
}

// AUC is the area under the ROC curve: the share of pairs of a good and a bad text in which the good one has the higher
// score, equal scores counting one half. It is NaN where a class is missing. The slices have one length.
func AUC(scores []float64, good []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var below, won, n float64 // bad texts below; pairs won; good texts
	for from := 0; from < len(order); {
		to, ties := from, [2]float64{}
		for to < len(order) && scores[order[to]] == scores[order[from]] {
			ties[class(good[order[to]])]++
			to++
		}
		if to == from { // NaN equals nothing
			return math.NaN()
		}
		won += ties[1] * (below + ties[0]/2)
		below += ties[0]
		n += ties[1]
		from = to
	}
	return won / (n * below)
}
