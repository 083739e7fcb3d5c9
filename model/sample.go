package model

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling turns scores into the next token. The zero value is greedy. The steps are applied in the order of the fields, as
// transformers does.
type Sampling struct {
	RepetitionPenalty float64 // scores of tokens seen are divided by it when positive, multiplied when negative; 0 and 1 are none
	NoRepeatNGram     int     // a token that would complete an n-gram seen before is excluded; 0 is off
	Temperature       float64 // scores are divided by it; 0 is greedy
	TopK              int     // only the k best stay (ties with the k-th too); 0 is all
	TopP              float64 // only the best whose probabilities reach p stay, the one that crosses it too; 0 and 1 are all
	MinP              float64 // only tokens with at least this share of the best one's probability stay; 0 is all
}

// Process applies the penalty, the temperature and the filters to scores [V] in place; what is filtered out becomes −Inf. seen
// are the tokens of the sequence so far.
func (c Sampling) Process(scores []float32, seen []int32) {
	if c.RepetitionPenalty != 0 && c.RepetitionPenalty != 1 {
		penalise(scores, seen, float32(c.RepetitionPenalty))
	}
	if c.NoRepeatNGram > 0 {
		excludeRepeats(scores, seen, c.NoRepeatNGram)
	}
	if c.Temperature != 0 && c.Temperature != 1 {
		for i := range scores {
			scores[i] /= float32(c.Temperature)
		}
	}
	if c.TopK > 0 && c.TopK < len(scores) {
		keepBest(scores, c.TopK)
	}
	if c.TopP > 0 && c.TopP < 1 {
		keepNucleus(scores, c.TopP)
	}
	if c.MinP > 0 {
		keepAbove(scores, c.MinP)
	}
}

// Next picks a token from scores [V], which it changes.
func (c Sampling) Next(scores []float32, seen []int32, random *rand.Rand) int32 {
	if c.Temperature == 0 {
		c.TopK, c.TopP, c.MinP = 0, 0, 0 // the best token is in every filter
		c.Process(scores, seen)
		return argmax(scores)
	}
	c.Process(scores, seen)
	return draw(scores, random.Float64())
}

func penalise(scores []float32, seen []int32, penalty float32) {
	done := make(map[int32]bool, len(seen))
	for _, id := range seen {
		if done[id] || int(id) >= len(scores) {
			continue
		}
		done[id] = true
		if scores[id] < 0 {
			scores[id] *= penalty
		} else {
			scores[id] /= penalty
		}
	}
}

// excludeRepeats rules out the tokens that followed earlier copies of the last n−1 tokens.
func excludeRepeats(scores []float32, seen []int32, n int) {
	if len(seen) < n {
		return
	}
	last := seen[len(seen)-n+1:]
	for i := 0; i+n <= len(seen); i++ {
		if slices.Equal(seen[i:i+n-1], last) {
			scores[seen[i+n-1]] = minusInf
		}
	}
}

var minusInf = float32(math.Inf(-1))

func keepBest(scores []float32, k int) {
	sorted := slices.Clone(scores)
	slices.Sort(sorted)
	limit := sorted[len(sorted)-k]
	for i, x := range scores {
		if x < limit {
			scores[i] = minusInf
		}
	}
}

// keepNucleus drops the tail whose probabilities add up to at most 1−p, in ascending order as transformers sums them.
func keepNucleus(scores []float32, p float64) {
	order := ascending(scores)
	probabilities := softmax(scores)
	var sum float64
	for _, i := range order[:len(order)-1] { // the best always stays
		sum += probabilities[i]
		if sum > 1-p {
			break
		}
		scores[i] = minusInf
	}
}

func keepAbove(scores []float32, share float64) {
	limit := scores[argmax(scores)] + float32(math.Log(share))
	for i, x := range scores {
		if x < limit {
			scores[i] = minusInf
		}
	}
}

func ascending(scores []float32) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	return order
}

func argmax(scores []float32) int32 {
	best := 0
	for i, x := range scores {
		if x > scores[best] {
			best = i
		}
	}
	return int32(best)
}

// softmax is e^x / Σ e^x in float64.
func softmax(scores []float32) []float64 {
	most := float64(scores[argmax(scores)])
	p := make([]float64, len(scores))
	var sum float64
	for i, x := range scores {
		p[i] = math.Exp(float64(x) - most)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// draw is the token at which the running sum of probabilities passes u in [0, 1).
func draw(scores []float32, u float64) int32 {
	p := softmax(scores)
	last := argmax(scores)
	var sum float64
	for i, x := range p {
		if x == 0 {
			continue
		}
		if sum += x; u < sum {
			return int32(i)
		}
		last = int32(i)
	}
	return last // u beyond the rounded sum
}
