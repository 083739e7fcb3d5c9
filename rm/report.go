package rm

import (
	"fmt"
	"math"

	"github.com/gofinetune/finetune/internal/logistic"
)

// Report is how rewards agree with rankings.
type Report struct {
	Rankings, Pairs int
	Loss            float64 // mean over rankings, without margin and centring

	right, margins, rewards float64 // sums over pairs, and over answers
	answers                 int
	bins                    [bins]Bin
}

const bins = 10

// Bin is the pairs whose probability, σ of the difference of their rewards with the larger one first, lies in one tenth of [0.5, 1].
type Bin struct {
	Pairs       int
	Probability float64 // sum of the probabilities that the model gives the answer it prefers
	Right       float64 // how many of them people prefer too
}

func (r *Report) add(rewards []float64) {
	r.Rankings++
	loss, _ := ranking(rewards, 0, 0)
	r.Loss += (loss - r.Loss) / float64(r.Rankings)
	for i, better := range rewards {
		r.answers++
		r.rewards += better
		for _, worse := range rewards[i+1:] {
			r.Pairs++
			r.margins += better - worse
			right := 0.0
			if better > worse {
				right = 1
			}
			r.right += right
			p := logistic.Sigmoid(math.Abs(better - worse))
			b := &r.bins[min(bins-1, int((p-0.5)*2*bins))]
			b.Pairs++
			b.Probability += p
			b.Right += right
		}
	}
}

// Accuracy is the share of pairs whose better answer has the larger reward.
func (r Report) Accuracy() float64 { return r.right / math.Max(1, float64(r.Pairs)) }

// Margin is the mean difference of the rewards of a pair.
func (r Report) Margin() float64 { return r.margins / math.Max(1, float64(r.Pairs)) }

// MeanReward is the mean over answers.
func (r Report) MeanReward() float64 { return r.rewards / math.Max(1, float64(r.answers)) }

// Calibration lists the bins, the least certain pairs first.
func (r Report) Calibration() []Bin { return r.bins[:] }

// CalibrationError is the expected calibration error (Guo et al. 2017): the mean distance, over pairs, between the probability of a bin
// and the share of its pairs that are right. 0 is perfect.
func (r Report) CalibrationError() float64 {
	sum := 0.0
	for _, b := range r.bins {
		sum += math.Abs(b.Probability - b.Right)
	}
	return sum / math.Max(1, float64(r.Pairs))
}

// String is one line for people.
func (r Report) String() string {
	return fmt.Sprintf("%d rankings, %d pairs: accuracy %.3f, margin %.3f, loss %.4f, calibration error %.3f",
		r.Rankings, r.Pairs, r.Accuracy(), r.Margin(), r.Loss, r.CalibrationError())
}
