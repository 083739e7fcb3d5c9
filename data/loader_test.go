package data_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
)

// numbered makes samples of the given lengths whose tokens are all their own number.
func numbered(lengths ...int) []data.Sample {
	samples := make([]data.Sample, len(lengths))
	for i, n := range lengths {
		samples[i].IDs = slices.Repeat([]int32{int32(i)}, n)
		samples[i].Labels = samples[i].IDs
	}
	return samples
}

func drawSamples(t *rapid.T) []data.Sample {
	return numbered(rapid.SliceOfN(rapid.IntRange(1, 20), 1, 60).Draw(t, "lengths")...)
}

func drawLoader(t *rapid.T) (*data.Loader, []data.Sample, data.LoaderConfig) {
	samples := drawSamples(t)
	cfg := data.LoaderConfig{
		MicroBatch:   rapid.IntRange(0, 5).Draw(t, "micro"),
		Accumulate:   rapid.IntRange(0, 4).Draw(t, "accumulate"),
		Epochs:       rapid.IntRange(1, 3).Draw(t, "epochs"),
		Shuffle:      rapid.Bool().Draw(t, "shuffle"),
		Seed:         rapid.Uint64().Draw(t, "seed"),
		LengthWindow: rapid.IntRange(0, 3).Draw(t, "window"),
		MaxTokens:    rapid.SampledFrom([]int{0, 20, 50}).Draw(t, "tokens"),
	}
	l, err := data.NewLoader(samples, cfg)
	require.NoError(t, err)
	return l, samples, cfg
}

func groups(t require.TestingT, l *data.Loader, from data.Cursor) []data.Group {
	var out []data.Group
	for g, err := range l.From(from) {
		require.NoError(t, err)
		out = append(out, g)
	}
	return out
}

// TestLoaderServesEachSampleOnce: every epoch is a permutation of the samples, within the limits, counted by Steps.
func TestLoaderServesEachSampleOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, samples, cfg := drawLoader(t)
		all := groups(t, l, data.Cursor{})
		assert.Len(t, all, l.Steps())
		seen := make([]int, len(samples))
		targets := 0
		for i, g := range all {
			require.LessOrEqual(t, len(g.Micro), max(cfg.Accumulate, 1))
			for _, b := range g.Micro {
				require.NoError(t, b.Validate())
				require.LessOrEqual(t, len(b.Samples), max(cfg.MicroBatch, 1))
				require.True(t, cfg.MaxTokens == 0 || b.Len() <= cfg.MaxTokens)
				for j, s := range b.Samples {
					seen[s]++
					segment := b.Segments[j]
					require.Equal(t, samples[s].IDs, b.IDs[segment.Start:segment.End])
				}
			}
			targets += g.Targets()
			last := i == len(all)-1
			assert.Equal(t, last, g.Next == data.Cursor{Epoch: cfg.Epochs}, "the end is the next epoch's beginning")
		}
		assert.Equal(t, slices.Repeat([]int{cfg.Epochs}, len(samples)), seen)
		want := 0
		for _, s := range samples {
			want += cfg.Epochs * s.Targets()
		}
		assert.Equal(t, want, targets)
	})
}

// TestLoaderResumes: from the cursor of every group, what follows is what followed.
func TestLoaderResumes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, _, _ := drawLoader(t)
		all := groups(t, l, data.Cursor{})
		for i, g := range all {
			rest := groups(t, l, g.Next)
			require.Len(t, rest, len(all)-i-1)
			for j := range rest {
				require.Equal(t, all[i+1+j], rest[j])
			}
		}
	})
}

// TestLoaderResumesAtEveryIndex: a cursor inside a group, too, continues the same stream of samples.
func TestLoaderResumesAtEveryIndex(t *testing.T) {
	samples := numbered(make([]int, 23)...)
	for i := range samples {
		samples[i] = numbered(slices.Repeat([]int{3}, 23)...)[i]
	}
	l, err := data.NewLoader(samples, data.LoaderConfig{MicroBatch: 3, Accumulate: 2, Epochs: 2, Shuffle: true, Seed: 4})
	require.NoError(t, err)
	stream := func(from data.Cursor) (out []int) {
		for _, g := range groups(t, l, from) {
			for _, b := range g.Micro {
				out = append(out, b.Samples...)
			}
		}
		return out
	}
	whole := stream(data.Cursor{})
	for epoch := range 2 {
		for i := range 23 {
			assert.Equal(t, whole[23*epoch+i:], stream(data.Cursor{Epoch: epoch, Index: i}))
		}
	}
	assert.NotEqual(t, whole[:23], whole[23:], "each epoch has its own order")
}

// TestOrderIsForEver: checkpoints of today must resume with the library of tomorrow.
func TestOrderIsForEver(t *testing.T) {
	samples := numbered(1, 2, 3, 4, 5, 6, 7, 8)
	for _, tt := range []struct {
		cfg  data.LoaderConfig
		want string
	}{
		{data.LoaderConfig{MicroBatch: 8, Shuffle: true, Seed: 1}, orderSeed1},
		{data.LoaderConfig{MicroBatch: 8, Shuffle: true, Seed: 2}, orderSeed2},
		{data.LoaderConfig{MicroBatch: 2, Accumulate: 4, Shuffle: true, Seed: 1, LengthWindow: 2}, orderWindow},
	} {
		l, err := data.NewLoader(samples, tt.cfg)
		require.NoError(t, err)
		var order []int
		for _, b := range groups(t, l, data.Cursor{})[0].Micro {
			order = append(order, b.Samples...)
		}
		assert.Equal(t, tt.want, fmt.Sprint(order))
	}
}

const (
	orderSeed1  = "[5 3 1 2 6 7 0 4]"
	orderSeed2  = "[4 3 6 0 1 2 7 5]"
	orderWindow = "[5 3 2 1 4 0 7 6]" // within two micro-batches, the longer before the shorter
)

func TestLoaderRefuses(t *testing.T) {
	_, err := data.NewLoader(nil, data.LoaderConfig{})
	assert.ErrorIs(t, err, data.ErrNoTargets)
	_, err = data.NewLoader(numbered(3, 9), data.LoaderConfig{MaxTokens: 5})
	assert.ErrorContains(t, err, "sample 1 (record) has 9 tokens, over MaxTokens 5")
	_, err = data.NewLoader(numbered(3), data.LoaderConfig{MicroBatch: -1, Accumulate: -1})
	assert.ErrorContains(t, err, "MicroBatch")
	assert.ErrorContains(t, err, "Accumulate")

	l, err := data.NewLoader(numbered(3, 3), data.LoaderConfig{})
	require.NoError(t, err)
	for _, err := range l.From(data.Cursor{Index: 3}) {
		assert.ErrorContains(t, err, "not of these 2 samples")
	}
	for range l.From(data.Cursor{Epoch: 1}) {
		t.Error("a finished run has nothing left")
	}
}

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := drawSamples(t)
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		seed := rapid.Uint64().Draw(t, "seed")
		train, eval := data.Split(samples, share, seed)
		assert.Equal(t, len(samples), len(train)+len(eval))
		assert.NotEmpty(t, train)
		assert.Equal(t, share > 0 && len(samples) > 1, len(eval) > 0)
		var ids []int32
		for _, part := range [][]data.Sample{train, eval} {
			assert.True(t, slices.IsSortedFunc(part, func(a, b data.Sample) int { return int(a.IDs[0] - b.IDs[0]) }))
			for _, s := range part {
				ids = append(ids, s.IDs[0])
			}
		}
		slices.Sort(ids)
		for i, id := range ids {
			assert.Equal(t, int32(i), id, "each sample is in one part")
		}
		again, _ := data.Split(samples, share, seed)
		assert.Equal(t, train, again)
	})
}

func TestBatchPrefix(t *testing.T) {
	// A question of three tokens, and two answers that share it.
	b := data.Batch{
		IDs:       []int32{1, 2, 3, 4, 5, 6},
		Labels:    []int32{-100, -100, -100, 4, 5, 6},
		Positions: []int32{0, 1, 2, 3, 4, 3},
		Segments:  []data.Segment{{0, 3, -1}, {3, 5, 0}, {5, 6, 0}},
		Samples:   []int{0, 0, 1},
	}
	require.NoError(t, b.Validate())
	assert.Equal(t, 3, b.Targets(), "the first token of an answer is predicted by the question's last")

	b.Segments[2].Prefix = 1
	assert.ErrorContains(t, b.Validate(), "has a prefix itself")
	b.Segments[2].Prefix = 2
	assert.ErrorContains(t, b.Validate(), "earlier segment")
	b.Segments[2].Prefix = -1
	assert.ErrorContains(t, b.Validate(), "position of token 5 is 3; want 0")
}

func TestTargets(t *testing.T) {
	s := data.Sample{IDs: []int32{7, 8, 9}, Labels: []int32{7, -100, 9}}
	assert.Equal(t, 1, s.Targets(), "nothing predicts the first token")
	assert.Equal(t, 1, data.NewBatch([]data.Sample{s}, []int{0}).Targets())
	assert.Equal(t, 0, data.Sample{}.Targets())
}

func BenchmarkNewBatch(b *testing.B) {
	samples := numbered(80, 400, 200, 300, 120, 333, 250, 90)
	tokens := 0
	for b.Loop() {
		tokens += data.NewBatch(samples, []int{0, 1, 2, 3, 4, 5, 6, 7}).Len()
	}
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}
