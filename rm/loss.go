package rm

import "github.com/gofinetune/finetune/internal/logistic"

// ranking is the loss of one ranking's rewards, the best answer first, and its derivatives: the mean over all pairs i < j of
//
//	−log σ(rᵢ − rⱼ − margin) + center·(rᵢ + rⱼ)²
//
// as in InstructGPT; with two answers it is the pairwise loss of Bradley and Terry. center is TRL's center_rewards_coefficient: it keeps
// rewards around zero.
func ranking(rewards []float64, margin, center float64) (value float64, derivatives []float64) {
	derivatives = make([]float64, len(rewards))
	pairs := float64(len(rewards) * (len(rewards) - 1) / 2)
	for i, better := range rewards {
		for j := i + 1; j < len(rewards); j++ {
			worse := rewards[j]
			h := better - worse - margin
			value += (logistic.Softplus(-h) + center*(better+worse)*(better+worse)) / pairs
			pull, push := logistic.Sigmoid(-h)/pairs, 2*center*(better+worse)/pairs
			derivatives[i] += push - pull
			derivatives[j] += push + pull
		}
	}
	return value, derivatives
}
