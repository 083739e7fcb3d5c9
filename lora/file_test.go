package lora_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
)

func TestAnAdapterSavedAndLoadedIsTheSame(t *testing.T) {
	for name, c := range map[string]lora.Config{
		"default":  {Dropout: 0.1},
		"all":      {Targets: []string{lora.AllLinear}, Rank: 3, Alpha: 7.5, RSLoRA: true},
		"patterns": {RankPattern: map[string]int{"k_proj": 2}, AlphaPattern: map[string]float64{`layers\.1\..*q_proj`: 3}},
		"DoRA":     {DoRA: true},
		"whole":    {ModulesToSave: []string{"lm_head"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, out := newModel(t, untied, model.LoadConfig{}), t.TempDir()
			a := learned(t, attach(t, m, c), 1)
			want, values := probe(t, m), valuesOf(t, a.Parameters())
			require.NoError(t, a.Save(out))
			require.NoError(t, a.Save(out), "over itself")
			lora.Deactivate(m)
			again, err := lora.Load(m, out)
			require.NoError(t, err)
			defer again.Close()
			assert.Equal(t, a.Config, again.Config)
			assert.Equal(t, values, valuesOf(t, again.Parameters()))
			assert.Equal(t, want, probe(t, m))
			left, err := os.ReadDir(out)
			require.NoError(t, err)
			assert.Len(t, left, 2, "no temporary files")
		})
	}
}

// An adapter of a float64 model is float64 too, in the file as in memory.
func TestAnAdapterKeepsItsPrecision(t *testing.T) {
	m, out := newModel(t, untied, model.LoadConfig{DType: "float64"}), t.TempDir()
	a := learned(t, attach(t, m, lora.Config{}), 1)
	require.NoError(t, torch.Do(func(s *torch.Scope) { s.AddTo(s.Detach(a.Parameters()[0].Tensor), s.Float64s([]float64{1e-12})) }))
	bits := func(a *lora.Adapter) (data []byte) {
		require.NoError(t, torch.Do(func(*torch.Scope) { data = a.Parameters()[0].Tensor.Bytes() }))
		return data
	}
	require.NoError(t, a.Save(out))
	again, err := lora.Load(m, out)
	require.NoError(t, err)
	defer again.Close()
	assert.Equal(t, bits(a), bits(again))
}

// Every fault of the two files is found before there is an adapter.
func TestAFolderThatIsNoAdapter(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	field := func(name string, value any) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, "adapter_config.json")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			var fields map[string]any
			require.NoError(t, json.Unmarshal(data, &fields))
			fields[name] = value
			data, err = json.Marshal(fields)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, data, 0o666))
		}
	}
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"no config": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "adapter_config.json")))
		}, "adapter_config.json"},
		"no weights": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "adapter_model.safetensors")))
		}, "adapter_model.safetensors"},
		"weights cut short": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, "adapter_model.safetensors"), 1000))
		}, "adapter_model.safetensors"},
		"another method":             {field("peft_type", "IA3"), `peft_type is "IA3"`},
		"another rank":               {field("r", 4), "lora_A.weight"},
		"a rank beyond any memory":   {field("r", 1<<40), "lora_A.weight"},
		"no rank":                    {field("r", 0), "r is 0"},
		"more targets":               {field("target_modules", []string{"q_proj", "k_proj", "v_proj"}), "v_proj"},
		"a target that is not there": {field("target_modules", []string{"query"}), `no module "query"`},
		"a pattern of targets":       {field("target_modules", ".*proj"), "pattern"},
		"biases":                     {field("bias", "all"), "bias is all"},
		"fan in, fan out":            {field("fan_in_fan_out", true), "fan_in_fan_out is true"},
		"only some layers":           {field("layers_to_transform", []int{0}), "layers_to_transform"},
		"not JSON": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte("{"), 0o666))
		}, "adapter_config.json"},
		"integer weights": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "adapter_model.safetensors")
			f, err := safetensors.Open(path)
			require.NoError(t, err)
			var list []safetensors.Tensor
			for _, name := range f.Names() {
				x, _ := f.Tensor(name)
				x.Data, x.DType = append([]byte(nil), x.Data...), safetensors.I32
				list = append(list, x)
			}
			require.NoError(t, f.Close())
			require.NoError(t, safetensors.Write(path, list, nil))
		}, "I32"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, err := lora.Attach(m, lora.Config{})
			require.NoError(t, err)
			require.NoError(t, a.Save(dir))
			require.NoError(t, a.Close())
			tt.spoil(t, dir)
			handles, bytes, base := torch.Live(), torch.MemoryNow().Live, probe(t, m)
			_, err = lora.Load(m, dir)
			assert.ErrorContains(t, err, tt.want)
			assert.ErrorContains(t, err, dir, "the place")
			assert.Equal(t, handles, torch.Live())
			assert.Equal(t, bytes, torch.MemoryNow().Live)
			assert.Equal(t, base, probe(t, m))
		})
	}
}

func TestAnAdapterOfAnotherModel(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, attach(t, newModel(t, untied, model.LoadConfig{}), lora.Config{}).Save(dir))
	_, err := lora.Load(newModel(t, tied, model.LoadConfig{}), dir) // its k_proj has fewer rows
	assert.ErrorIs(t, err, safetensors.ShapeMismatch)
	assert.ErrorContains(t, err, "k_proj.lora_B.weight")
}
