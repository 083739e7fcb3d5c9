package lora_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
)

// Merged weights compute what the adapter computed, to the rounding of the type; unmerged ones are those from before, bit for bit.
func TestMergedEqualsAttached(t *testing.T) {
	for dtype, tolerance := range map[string]float64{"float32": 1e-6, "bfloat16": 0.02, "float16": 0.005, "float64": 1e-7} {
		for name, c := range map[string]lora.Config{
			"default":    {},
			"all linear": {Targets: []string{lora.AllLinear}},
			"head":       {Targets: []string{"lm_head"}},
			"whole head": {ModulesToSave: []string{"lm_head"}},
			"DoRA":       {DoRA: true},
		} {
			t.Run(dtype+" "+name, func(t *testing.T) {
				m := newModel(t, untied, model.LoadConfig{DType: dtype})
				before, base := weights(t, m), probe(t, m)
				a := learned(t, attach(t, m, c), 1)
				attached := probe(t, m)
				require.NotEqual(t, base, attached)
				require.NoError(t, a.Merge())
				assert.Empty(t, m.Trainable(), "no adapter is in force")
				golden.Close(t, "merged", attached, probe(t, m), tolerance)
				assert.NotEqual(t, before, weights(t, m))
				require.NoError(t, a.Unmerge())
				assert.Equal(t, before, weights(t, m))
				assert.Equal(t, attached, probe(t, m))
				lora.Deactivate(m)
				assert.Equal(t, base, probe(t, m))
			})
		}
	}
}

func TestAMergedModelIsSavedAsAModel(t *testing.T) {
	m, out := newModel(t, tied, model.LoadConfig{}), t.TempDir()
	a := learned(t, attach(t, m, lora.Config{}), 1)
	require.NoError(t, a.Merge())
	merged := probe(t, m)
	require.NoError(t, m.Save(out, model.SaveConfig{}))
	again, err := model.Load(context.Background(), out, model.LoadConfig{})
	require.NoError(t, err)
	defer again.Close()
	assert.Equal(t, merged, probe(t, again))
	require.NoError(t, a.Close())
	assert.Equal(t, merged, probe(t, m), "what was merged stays merged")
}

// Each adapter has kept the weights it found. Undone in another order, one would wipe out the other.
func TestMergesAreUndoneInOrder(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	base := weights(t, m)
	a := learned(t, attach(t, m, lora.Config{}), 1)
	require.NoError(t, a.Merge())
	one := weights(t, m)
	b := learned(t, attach(t, m, lora.Config{Targets: []string{"k_proj", "v_proj"}}), 2)
	require.NoError(t, b.Merge())
	two := weights(t, m)
	assert.ErrorContains(t, a.Unmerge(), "another adapter was merged into model.layers.0.self_attn.k_proj after this one")
	assert.Equal(t, two, weights(t, m))
	require.NoError(t, b.Unmerge())
	assert.Equal(t, one, weights(t, m))
	require.NoError(t, a.Unmerge())
	assert.Equal(t, base, weights(t, m))
}

func TestMergingTwiceOrNever(t *testing.T) {
	a := learned(t, attach(t, newModel(t, tied, model.LoadConfig{}), lora.Config{}), 1)
	assert.ErrorContains(t, a.Unmerge(), "not merged")
	require.NoError(t, a.Merge())
	assert.ErrorContains(t, a.Merge(), "merged already")
	assert.ErrorContains(t, a.Activate(), "Unmerge it first")
}

func TestAHeadThatIsTheEmbeddingIsNotMerged(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	before := weights(t, m)
	a := learned(t, attach(t, m, lora.Config{Targets: []string{"lm_head"}}), 1)
	attached := probe(t, m)
	assert.ErrorContains(t, a.Merge(), "lm_head")
	assert.Equal(t, before, weights(t, m))
	assert.Equal(t, attached, probe(t, m))
}

// A merge that does not hold (here: weights that are NaN) is undone, and the adapter is in force again.
func TestAMergeThatDoesNotHoldIsUndone(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	a := learned(t, attach(t, m, lora.Config{}), 1)
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		p := a.Parameters()[0].Tensor
		values := s.ToFloat32s(p)
		values[0] = float32(math.NaN())
		s.Copy(p, s.Float32s(values, p.Shape()...))
	}))
	before := weights(t, m)
	assert.ErrorContains(t, a.Merge(), "the merge was undone")
	assert.Equal(t, before, weights(t, m))
	assert.Equal(t, a.Parameters(), m.Trainable())
	assert.ErrorContains(t, a.Unmerge(), "not merged")
}

func TestMergingBeyondMemory(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	defer torch.LimitMemory(0)
	a := learned(t, attach(t, m, lora.Config{Targets: []string{lora.AllLinear}}), 1)
	before, attached := weights(t, m), probe(t, m)
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	failed := 0
	for room := int64(1); ; room += 6000 {
		torch.LimitMemory(bytes + room)
		err := a.Merge()
		torch.LimitMemory(0)
		if err == nil {
			break
		}
		failed++
		require.ErrorIs(t, err, torch.ErrOutOfMemory)
		require.Equal(t, handles, torch.Live())
		require.Equal(t, bytes, torch.MemoryNow().Live)
		require.Equal(t, before, weights(t, m))
		require.Equal(t, attached, probe(t, m))
	}
	assert.Greater(t, failed, 10)
	require.NoError(t, a.Unmerge())
	assert.Equal(t, before, weights(t, m))
	assert.Equal(t, bytes, torch.MemoryNow().Live)
}
