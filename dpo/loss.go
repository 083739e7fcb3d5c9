package dpo

import (
	"fmt"
	"math"

	"github.com/gofinetune/finetune/internal/logistic"
)

// Loss is what is made of the log-probabilities of a pair.
type Loss string

// The losses. Δ is the chosen answer's log π/π_ref less the rejected one's.
const (
	Sigmoid      Loss = "sigmoid"      // −log σ(βΔ): DPO (Rafailov et al. 2023)
	Conservative Loss = "conservative" // labels are wrong with probability LabelSmoothing: −(1−ε)·log σ(βΔ) − ε·log σ(−βΔ) (Mitchell 2023)
	Robust       Loss = "robust"       // the same without its bias (Chowdhury et al. 2024)
	Hinge        Loss = "hinge"        // max(0, 1−βΔ) (SLiC, Zhao et al. 2023)
	IPO          Loss = "ipo"          // (Δ−1/(2β))² with log-ratios a token (Azar et al. 2023, as TRL takes it)
	IPOSum       Loss = "ipo_sum"      // the same with whole log-ratios, as in the paper
	SimPO        Loss = "simpo"        // −log σ(β·(difference of log π a token) − Gamma), without a reference (Meng et al. 2024)
	ORPO         Loss = "orpo"         // the chosen text's cross entropy and −β·log σ of the log odds ratio, without a reference (Hong et al. 2024)
)

// usesReference says whether π_ref is in the loss.
func (l Loss) usesReference() bool { return l != SimPO && l != ORPO }

// pair is what a loss sees of a pair: sums over the tokens of an answer, in nats.
type pair struct {
	chosen, rejected             float64 // log π
	refChosen, refRejected       float64 // log π_ref
	chosenTokens, rejectedTokens float64
}

// Value and derivative by chosen and rejected.
func (c Config) of(p pair) (value, byChosen, byRejected float64) {
	beta, eps := c.Beta, c.LabelSmoothing
	delta := (p.chosen - p.refChosen) - (p.rejected - p.refRejected)
	even := func(value, slope float64) (float64, float64, float64) { return value, slope, -slope } // of a function of Δ
	switch c.Loss {
	case Sigmoid:
		return even(logistic.Softplus(-beta*delta), -beta*logistic.Sigmoid(-beta*delta))
	case Conservative:
		return even((1-eps)*logistic.Softplus(-beta*delta)+eps*logistic.Softplus(beta*delta), -beta*(1-eps)*logistic.Sigmoid(-beta*delta)+beta*eps*logistic.Sigmoid(beta*delta))
	case Robust:
		scale := 1 / (1 - 2*eps)
		return even(scale*((1-eps)*logistic.Softplus(-beta*delta)-eps*logistic.Softplus(beta*delta)),
			-scale*beta*((1-eps)*logistic.Sigmoid(-beta*delta)+eps*logistic.Sigmoid(beta*delta)))
	case Hinge:
		if beta*delta >= 1 {
			return even(0, 0)
		}
		return even(1-beta*delta, -beta)
	case IPOSum:
		off := delta - 1/(2*beta)
		return even(off*off, 2*off)
	case IPO:
		off := (p.chosen-p.refChosen)/p.chosenTokens - (p.rejected-p.refRejected)/p.rejectedTokens - 1/(2*beta)
		return off * off, 2 * off / p.chosenTokens, -2 * off / p.rejectedTokens
	case SimPO:
		h := beta*(p.chosen/p.chosenTokens-p.rejected/p.rejectedTokens) - c.Gamma
		slope := -beta * logistic.Sigmoid(-h)
		return logistic.Softplus(-h), slope / p.chosenTokens, -slope / p.rejectedTokens
	case ORPO:
		chosen, rejected := p.chosen/p.chosenTokens, p.rejected/p.rejectedTokens
		odds := logOdds(chosen) - logOdds(rejected)
		slope := -beta * logistic.Sigmoid(-odds)
		return beta * logistic.Softplus(-odds), slope * dLogOdds(chosen) / p.chosenTokens, -slope * dLogOdds(rejected) / p.rejectedTokens
	}
	panic(fmt.Sprintf("dpo: loss %q", c.Loss)) // Validate has looked
}

// logOdds is log(p/(1−p)) of p = eˣ, x < 0.
func logOdds(x float64) float64 { return x - math.Log(-math.Expm1(certain(x))) }

func dLogOdds(x float64) float64 { return -1 / math.Expm1(certain(x)) }

// certain keeps the odds of a text that is all but certain finite.
func certain(x float64) float64 { return math.Min(x, -1e-9) }
