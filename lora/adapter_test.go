package lora_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
)

// B is zero at the start, and so is what the adapter adds: bit for bit, with dropout too, and in every type.
func TestAFreshAdapterChangesNothing(t *testing.T) {
	for name, c := range map[string]lora.Config{
		"default":     {},
		"all linear":  {Targets: []string{lora.AllLinear}, Rank: 3},
		"with a head": {Targets: []string{"v_proj", "lm_head"}},
		"dropout":     {Dropout: 0.5},
		"rsLoRA":      {RSLoRA: true, Alpha: 100},
	} {
		for _, dtype := range []string{"float32", "bfloat16", "float64"} {
			t.Run(name+" "+dtype, func(t *testing.T) {
				m := newModel(t, untied, model.LoadConfig{DType: dtype})
				base := probe(t, m)
				attach(t, m, c)
				assert.Equal(t, base, probe(t, m))
				assert.Equal(t, base, passed(t, m, model.Pass{Train: true, Seed: 1}))
			})
		}
	}
}

// DoRA divides by the length of W+s·B·A and multiplies by the same number, which is rounded twice.
func TestAFreshDoRAAdapterIsTheBaseToRounding(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	base := probe(t, m)
	attach(t, m, lora.Config{DoRA: true, Targets: []string{lora.AllLinear}})
	assert.InDeltaSlice(t, base, probe(t, m), 1e-6)
}

func TestTheSameSeedStartsTheSameAdapter(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	start := func(seed uint64) [][]float32 {
		a := attach(t, m, lora.Config{Seed: seed})
		defer a.Close()
		return valuesOf(t, a.Parameters())
	}
	assert.Equal(t, start(1), start(1))
	assert.NotEqual(t, start(1), start(2))
}

func valuesOf(t testing.TB, params []*model.Parameter) (list [][]float32) {
	t.Helper()
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range params {
			list = append(list, s.ToFloat32s(p.Tensor))
		}
	}))
	return list
}

// Several adapters stand on one base. Switching costs nothing and each computes exactly what it did.
func TestSwitchingBetweenAdapters(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	base := probe(t, m)
	a := learned(t, attach(t, m, lora.Config{Targets: []string{"q_proj", "down_proj"}}), 1)
	first := probe(t, m)
	b := learned(t, attach(t, m, lora.Config{Rank: 2, Targets: []string{"q_proj", "v_proj"}}), 2)
	second := probe(t, m)
	assert.NotEqual(t, base, first)
	assert.NotEqual(t, first, second)
	live := torch.Live()
	for range 2 {
		require.NoError(t, a.Activate())
		assert.Equal(t, first, probe(t, m))
		assert.Equal(t, a.Parameters(), m.Trainable())
		require.NoError(t, b.Activate())
		assert.Equal(t, second, probe(t, m))
		lora.Deactivate(m)
		assert.Equal(t, base, probe(t, m))
		assert.Empty(t, m.Trainable())
	}
	assert.Equal(t, live, torch.Live())
	require.NoError(t, b.Activate())
	require.NoError(t, a.Close(), "one that is not active")
	assert.Equal(t, second, probe(t, m))
	require.NoError(t, b.Close(), "the active one")
	assert.Equal(t, base, probe(t, m))
}

func TestAttachingFreezesTheBase(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	a := attach(t, m, lora.Config{})
	assert.Equal(t, a.Parameters(), m.Trainable())
	assert.Len(t, a.Parameters(), 2*2*2, "A and B of q and k in two layers")
}

// trainable: rank·(in+out) for each projection.
func TestReportByHand(t *testing.T) {
	a := attach(t, newModel(t, tied, model.LoadConfig{}), lora.Config{Rank: 4})
	want := int64(2 * 4 * ((32 + 32) + (32 + 16))) // q: 32→32, k: 32→2·8
	assert.Equal(t, want, a.Report().Trainable)
	assert.Contains(t, a.Report().String(), "trainable 896 of ")
	assert.InDelta(t, float64(want)/float64(a.Report().All), a.Report().Share, 1e-15)
	assert.Equal(t, []string{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
		"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj"}, a.Modules())
}

func TestWhatCannotBeAttached(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	live, base := torch.Live(), probe(t, m)
	for name, tt := range map[string]struct {
		config lora.Config
		want   []string
	}{
		"a misspelt target":                   {lora.Config{Targets: []string{"q_proj", "qproj"}}, []string{`no module "qproj"`, "model.layers.0.self_attn.q_proj"}},
		"a head that is the embedding, whole": {lora.Config{ModulesToSave: []string{"lm_head"}}, []string{"lm_head", "ties"}},
		"every problem": {lora.Config{Rank: -1, Alpha: -2, Dropout: 1, RankPattern: map[string]int{"(": 0}, AlphaPattern: map[string]float64{"[": 1}},
			[]string{"Rank is -1", "Alpha is -2", "Dropout is 1", "RankPattern", "AlphaPattern"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lora.Attach(m, tt.config)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Equal(t, live, torch.Live())
			assert.Equal(t, base, probe(t, m))
		})
	}
	_, err := lora.Attach(m, lora.Config{Targets: []string{"nothing"}})
	assert.ErrorIs(t, err, lora.ErrNoTargets)
	_, err = lora.Attach(nil, lora.Config{})
	assert.ErrorContains(t, err, "nil")
}

// Whatever fails for want of memory leaves the model as it was, and holds nothing.
func TestAttachingBeyondMemory(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	defer torch.LimitMemory(0)
	base := probe(t, m)
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	for room := int64(1); ; room += 5000 {
		torch.LimitMemory(bytes + room)
		a, err := lora.Attach(m, lora.Config{DoRA: true, Targets: []string{lora.AllLinear}})
		torch.LimitMemory(0)
		if err == nil {
			require.NoError(t, a.Close())
			break
		}
		require.ErrorIs(t, err, torch.ErrOutOfMemory)
		require.Equal(t, handles, torch.Live())
		require.Equal(t, bytes, torch.MemoryNow().Live)
		require.Equal(t, base, probe(t, m))
	}
}

func TestAfterClose(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	a := attach(t, m, lora.Config{})
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "a second Close does nothing")
	for _, err := range []error{a.Activate(), a.Merge(), a.Unmerge(), a.Save(t.TempDir())} {
		assert.ErrorContains(t, err, "the adapter is closed")
	}
	b := attach(t, m, lora.Config{})
	require.NoError(t, b.Merge())
	require.NoError(t, m.Close(), "the base first")
	for _, err := range []error{b.Activate(), b.Merge(), b.Unmerge(), b.Save(t.TempDir())} {
		assert.ErrorIs(t, err, model.ErrClosed)
	}
	require.NoError(t, b.Close())
	_, err := lora.Attach(m, lora.Config{DoRA: true})
	assert.ErrorIs(t, err, model.ErrClosed)
}

// The dropout of two modules is not the same: they would drop the same features of one input together.
func TestModulesDropDifferentFeatures(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	seen := map[uint64]string{}
	for _, l := range m.Linears() {
		mask := model.Pass{Seed: 3}.Mask(l)
		assert.NotContains(t, seen, mask, "%s and %s", l.Name, seen[mask])
		seen[mask] = l.Name
	}
}
