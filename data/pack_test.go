package data_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
)

func TestPack(t *testing.T) {
	type row = data.Row
	for _, tt := range []struct {
		name    string
		how     data.Packing
		lengths []int
		want    []row
		lost    int
	}{
		{"the longest first, each where it fits best", data.PackBestFit, []int{3, 6, 2, 5}, []row{{{1, 0, 6}, {2, 0, 2}}, {{3, 0, 5}, {0, 0, 3}}}, 0},
		{"too long is cut", data.PackBestFit, []int{11, 2}, []row{{{0, 0, 8}}, {{1, 0, 2}}}, 3},
		{"or goes on elsewhere", data.PackBestFitSplit, []int{11, 2}, []row{{{0, 0, 8}}, {{0, 8, 11}, {1, 0, 2}}}, 0},
		{"wrapped", data.PackWrapped, []int{5, 0, 6, 7}, []row{{{0, 0, 5}, {2, 0, 3}}, {{2, 3, 6}, {3, 0, 5}}, {{3, 5, 7}}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, lost, err := data.Pack(numbered(tt.lengths...), 8, tt.how)
			require.NoError(t, err)
			assert.Equal(t, tt.want, rows)
			assert.Equal(t, tt.lost, lost)
		})
	}
	_, _, err := data.Pack(nil, 0, data.PackBestFit)
	assert.ErrorContains(t, err, "rows of 0 tokens")
	_, _, err = data.Pack(nil, 8, 9)
	assert.ErrorContains(t, err, "unknown packing")
}

// TestPackLosesNothing: every token is in exactly one row, or counted as lost, and no row is too long.
func TestPackLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := numbered(rapid.SliceOfN(rapid.IntRange(0, 150), 0, 60).Draw(t, "lengths")...)
		limit := rapid.IntRange(1, 130).Draw(t, "limit")
		how := data.Packing(rapid.IntRange(0, 2).Draw(t, "how"))
		rows, lost, err := data.Pack(samples, limit, how)
		require.NoError(t, err)
		seen := make([][]int, len(samples))
		for i, s := range samples {
			seen[i] = make([]int, len(s.IDs))
		}
		for i, row := range rows {
			require.LessOrEqual(t, row.Len(), limit)
			if how == data.PackWrapped && i < len(rows)-1 {
				require.Equal(t, limit, row.Len())
			}
			for _, p := range row {
				for at := p.Start; at < p.End; at++ {
					seen[p.Sample][at]++
				}
			}
			require.Equal(t, row.Join(samples).IDs, data.NewPackedBatch(samples, row).IDs)
		}
		missing := 0
		for _, tokens := range seen {
			for _, n := range tokens {
				require.LessOrEqual(t, n, 1)
				missing += 1 - n
			}
		}
		assert.Equal(t, lost, missing)
		if how != data.PackBestFit {
			assert.Zero(t, lost)
		}
		require.NoError(t, data.NewPackedBatch(samples, rows...).Validate())
	})
}
