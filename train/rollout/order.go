package rollout

import "math/rand/v2"

// Order serves prompts so that each group of them, which is one step, comes times in a row: for several steps on the same answers. A last
// group that is not full is filled from the beginning. It is a function of the epoch, as train.Config.Order wants it.
func Order(prompts, together, times int, seed uint64, inOrder bool) func(epoch int) []int32 {
	return func(epoch int) (list []int32) {
		order := make([]int, prompts)
		for i := range order {
			order[i] = i
		}
		if !inOrder {
			order = rand.New(rand.NewPCG(seed, uint64(epoch)+1)).Perm(prompts)
		}
		for first := 0; first < prompts; first += together {
			for range times {
				for i := range together {
					list = append(list, int32(order[(first+i)%prompts]))
				}
			}
		}
		return list
	}
}
