package model_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Float32 products of matrices with other numbers of rows are summed in another order. The logits are near 0.1.
const orderTolerance = 1e-6

func TestASequenceDoesNotSeeItsNeighbours(t *testing.T) {
	for name, description := range map[string]string{"tied": tied, "untied": untied} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, description, model.LoadConfig{})
			a, b, c := tokens(7, 1), tokens(1, 2), tokens(40, 3)
			together := logits(t, m, model.Sequences(a, b, c), nil)
			alone := slices.Concat(logits(t, m, model.Sequences(a), nil), logits(t, m, model.Sequences(b), nil), logits(t, m, model.Sequences(c), nil))
			golden.Close(t, "logits", alone, together, orderTolerance)
		})
	}
}

func TestPickedRowsEqualAllRowsPickedAfterwards(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	b := model.Sequences(tokens(9, 1), tokens(12, 2))
	all := logits(t, m, b, nil)
	rows := []int32{20, 3, 8, 3}
	var want []float32
	for _, r := range rows {
		want = append(want, all[r*64:(r+1)*64]...)
	}
	golden.Close(t, "picked", want, logits(t, m, b, rows), orderTolerance)
}

func TestASegmentSeesItsPrefix(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	question, first, second := tokens(6, 1), tokens(3, 2), tokens(5, 3)
	b := model.Sequences(question, first, second)
	for _, i := range []int{1, 2} {
		b.Segments[i].Prefix = 0
		for at := b.Segments[i].Start; at < b.Segments[i].End; at++ {
			b.Positions[at] += 6
		}
	}
	shared := logits(t, m, b, nil)
	golden.Close(t, "question and first answer", logits(t, m, model.Sequences(slices.Concat(question, first)), nil), shared[:9*64], orderTolerance)
	golden.Close(t, "second answer", logits(t, m, model.Sequences(slices.Concat(question, second)), nil)[6*64:], shared[9*64:], orderTolerance)
}

func TestTheSameSeedMakesTheSameModel(t *testing.T) {
	a, b := newModel(t, tied, model.LoadConfig{}), newModel(t, tied, model.LoadConfig{})
	assert.Equal(t, weights(t, a), weights(t, b))
}

// Nothing outside a table is ever read.
func TestABatchOutsideTheTablesIsRefused(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	good := func() model.Batch { return model.Sequences([]int32{1, 2, 3}, []int32{4, 5}) }
	for name, tt := range map[string]struct {
		spoil func(b *model.Batch)
		want  string
	}{
		"id beyond":          {func(b *model.Batch) { b.IDs[3] = 64 }, "token id 64 at place 3 of the batch; the embedding has 64 rows"},
		"negative id":        {func(b *model.Batch) { b.IDs[0] = -1 }, "token id -1"},
		"no tokens":          {func(b *model.Batch) { *b = model.Batch{} }, "0 token ids"},
		"fewer positions":    {func(b *model.Batch) { b.Positions = b.Positions[1:] }, "5 token ids and 4 positions"},
		"segment beyond":     {func(b *model.Batch) { b.Segments[1].End = 9 }, "segment 1 is 3 to 9"},
		"segment backwards":  {func(b *model.Batch) { b.Segments[0].End = -1 }, "segment 0 is 0 to -1"},
		"prefix beyond":      {func(b *model.Batch) { b.Segments[1].Prefix = 7 }, "segment 1 has prefix 7"},
		"prefix of a prefix": {func(b *model.Batch) { b.Segments[0].Prefix = 0 }, "segment 0 has prefix 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			tt.spoil(&b)
			live := torch.Live()
			err := torch.Do(func(s *torch.Scope) { m.Hidden(s, b, nil, model.Pass{}) })
			assert.ErrorContains(t, err, tt.want)
			assert.Equal(t, live, torch.Live())
		})
	}
	err := torch.Do(func(s *torch.Scope) { m.Hidden(s, good(), []int32{9}, model.Pass{}) })
	assert.Error(t, err, "a row beyond the batch")
}

func TestAClosedModelIsRefusedEverywhere(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	require.NoError(t, m.Close())
	require.NoError(t, m.Close(), "a second Close does nothing")
	assert.True(t, m.Closed())
	assert.ErrorIs(t, torch.Do(func(s *torch.Scope) { m.Hidden(s, model.Sequences([]int32{1}), nil, model.Pass{}) }), model.ErrClosed)
	assert.ErrorIs(t, m.SetTrainable(nil), model.ErrClosed)
	assert.ErrorIs(t, m.Save(t.TempDir(), model.SaveConfig{}), model.ErrClosed)
	_, err := m.GenerateBatch(t.Context(), [][]int32{{1}}, model.GenerateConfig{})
	assert.ErrorIs(t, err, model.ErrClosed)
}

func TestOutOfMemoryWhileMakingAModel(t *testing.T) {
	defer torch.LimitMemory(0)
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	t.Run("", func(t *testing.T) {
		want := newModel(t, tied, model.LoadConfig{})
		size := torch.MemoryNow().Live - bytes
		for room := int64(1); room < size; room += 5000 {
			torch.LimitMemory(bytes + size + room)
			_, err := model.New(want.Config, nil, 1, model.LoadConfig{})
			assert.ErrorIs(t, err, torch.ErrOutOfMemory)
			require.Equal(t, bytes+size, torch.MemoryNow().Live, "with room for %d bytes", room)
		}
	})
	assert.Equal(t, handles, torch.Live())
	assert.Equal(t, bytes, torch.MemoryNow().Live)
}
