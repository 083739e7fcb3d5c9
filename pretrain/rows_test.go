package pretrain

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
)

// Every token but the first of a text is predicted exactly once, from rows that are no longer than asked for.
func TestRowsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(2, 12).Draw(t, "length")
		var samples []data.Sample
		next := int32(0)
		want := map[int32]int{}
		for range rapid.IntRange(1, 5).Draw(t, "texts") {
			var ids []int32
			for i := range rapid.IntRange(2, 40).Draw(t, "tokens") {
				if i > 0 {
					want[next]++
				}
				ids = append(ids, next)
				next++
			}
			samples = append(samples, data.Sample{IDs: ids, Labels: ids})
		}
		got := map[int32]int{}
		for _, r := range rows(samples, length) {
			require.LessOrEqual(t, len(r.IDs), length)
			require.NotZero(t, r.Targets())
			for _, id := range r.Labels[1:] {
				got[id]++
			}
		}
		require.Equal(t, want, got)
	})
}
