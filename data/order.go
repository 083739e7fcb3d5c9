package data

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// random is a generator that depends on seed and stream alone. Only its Uint64 is used, whose values PCG defines: the
// derived functions of math/rand/v2 may change between versions of Go, and a resumed run must not.
func random(seed, stream uint64) *rand.PCG { return rand.NewPCG(seed, stream) }

// shuffle brings n items into a random order (Fisher and Yates).
func shuffle(r *rand.PCG, n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		j, _ := bits.Mul64(r.Uint64(), uint64(i+1)) // uniform up to i/2^64
		swap(i, int(j))
	}
}

// identity is 0, 1, … n−1.
func identity(n int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	return order
}

// epochOrder is the order of the samples in an epoch: a pure function of the configuration and the epoch.
func (l *Loader) epochOrder(epoch int) []int32 {
	if l.cfg.Order != nil {
		return l.cfg.Order(epoch)
	}
	order := identity(len(l.samples))
	r := random(l.cfg.Seed, uint64(epoch))
	if l.cfg.Shuffle {
		shuffle(r, len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	if l.cfg.LengthWindow > 0 {
		window := l.cfg.LengthWindow * l.cfg.MicroBatch
		for at := 0; at < len(order); at += window {
			l.byLength(order[at:min(at+window, len(order))], r)
		}
	}
	return order
}

// byLength sorts a window by length, so that samples of one micro-batch are about equally long, and then puts these
// micro-batches in random order, so that the lengths say nothing about the step.
func (l *Loader) byLength(window []int32, r *rand.PCG) {
	slices.SortStableFunc(window, func(a, b int32) int {
		return cmp.Compare(l.samples[b].Len(), l.samples[a].Len())
	})
	if !l.cfg.Shuffle {
		return
	}
	size := l.cfg.MicroBatch
	whole := len(window) / size // a shorter rest stays last
	sorted := slices.Clone(window)
	order := identity(whole)
	shuffle(r, whole, func(i, j int) { order[i], order[j] = order[j], order[i] })
	for to, from := range order {
		copy(window[to*size:(to+1)*size], sorted[int(from)*size:])
	}
}

// Split sets a share of the samples apart for evaluation. Which ones depends on the seed and their number only; both
// parts keep the order of the samples. A share over 0 gives at least one, and leaves at least one for training.
func Split(samples []Sample, share float64, seed uint64) (train, eval []Sample) {
	n := len(samples)
	k := min(int(share*float64(n)+0.5), n-1)
	if share > 0 {
		k = max(k, 1)
	}
	if !(share > 0) || n < 2 { // also for NaN
		return samples, nil
	}
	order := identity(n)
	shuffle(random(seed, splitStream), n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	chosen := make([]bool, n)
	for _, i := range order[:k] {
		chosen[i] = true
	}
	for i, s := range samples {
		if chosen[i] {
			eval = append(eval, s)
		} else {
			train = append(train, s)
		}
	}
	return train, eval
}

// splitStream keeps the choice of the evaluation set apart from the order of any epoch.
const splitStream = 1<<63 | 1
