package lora_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
)

// Bounds of goldens/README.md.
const (
	logitsTolerance = 3e-5
	lossTolerance   = 1e-5
	gradTolerance   = 2e-5 // of the tensor's largest element
	mergedTolerance = 1e-4
)

func TestGoldenLoRA(t *testing.T) {
	root := testdata.Goldens(t)
	for _, dir := range testdata.Cases(t, root, "lora/*") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c struct {
				Base      string
				Trainable int64 `json:"trainable_params"`
				All       int64 `json:"all_params"`
				Loss      float64
				Modules   []string `json:"adapted_modules"`
			}
			golden.JSON(t, filepath.Join(dir, "expected.json"), &c)
			golden.SkipUnsupported(t, filepath.Join(root, c.Base))
			m, err := model.Load(context.Background(), filepath.Join(root, c.Base), model.LoadConfig{})
			require.NoError(t, err)
			defer m.Close()
			f := golden.Tensors(t, filepath.Join(dir, "expected.safetensors"))
			batch, rows, labels, real := sequences(t, f)
			base, _ := golden.Float32s(t, f, "base_logits")
			golden.Close(t, "base_logits", real(base), logits(t, m, batch), logitsTolerance)

			a, err := lora.Load(m, dir)
			require.NoError(t, err)
			defer a.Close()
			assert.Equal(t, c.Trainable, a.Report().Trainable)
			assert.Equal(t, c.All, a.Report().All)
			modules := a.Modules()
			slices.Sort(modules)
			assert.Equal(t, c.Modules, modules)
			attached, _ := golden.Float32s(t, f, "logits")
			golden.Close(t, "logits", real(attached), logits(t, m, batch), logitsTolerance)
			testGradients(t, m, a, f, batch, rows, labels, c.Loss)
			testMerged(t, m, a, f, func() []float32 { return logits(t, m, batch) }, real)
			testRoundTrip(t, m, a, dir)
		})
	}
}

// sequences turns the right-padded rows of a case into a ragged batch; real drops the padding rows of a [rows, width, n] tensor.
func sequences(t *testing.T, f *safetensors.File) (b model.Batch, rows, labels []int32, real func([]float32) []float32) {
	ids, shape := golden.Int64s(t, f, "input_ids")
	mask, _ := golden.Int64s(t, f, "attention_mask")
	target, _ := golden.Int64s(t, f, "labels")
	width := int(shape[1])
	var list [][]int32
	flat := 0
	for r := range int(shape[0]) {
		var row []int32
		for c := range width {
			if mask[r*width+c] == 0 {
				continue
			}
			if len(row) > 0 && target[r*width+c] != -100 {
				rows, labels = append(rows, int32(flat-1)), append(labels, int32(target[r*width+c]))
			}
			row = append(row, int32(ids[r*width+c]))
			flat++
		}
		list = append(list, row)
	}
	real = func(x []float32) (out []float32) {
		n := len(x) / int(shape[0]) / width
		for r, row := range list {
			out = append(out, x[r*width*n:(r*width+len(row))*n]...)
		}
		return out
	}
	return model.Sequences(list...), rows, labels, real
}

func logits(t *testing.T, m *model.Model, b model.Batch) (values []float32) {
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		values = s.ToFloat32s(m.Logits(s, m.Hidden(s, b, nil, model.Pass{})))
	}))
	return values
}

func testGradients(t *testing.T, m *model.Model, a *lora.Adapter, f *safetensors.File, b model.Batch, rows, labels []int32, want float64) {
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		s.WithGrad(func() {
			loss := s.Scale(m.CrossEntropy(s, m.Hidden(s, b, rows, model.Pass{Train: true}), labels), 1/float64(len(labels)))
			assert.InDelta(t, want, s.Item(loss), lossTolerance)
			s.Backward(loss)
		})
		for _, p := range a.Parameters() {
			reference, _ := golden.Float32s(t, f, "grad."+p.Name)
			golden.Close(t, "grad."+p.Name, reference, s.ToFloat32s(s.Grad(p.Tensor)), gradTolerance*golden.AbsMax(reference))
			s.DropGrad(p.Tensor)
		}
		for _, p := range m.Parameters() {
			assert.Nil(t, s.Grad(p.Tensor), "the base is frozen: %s", p.Name)
		}
	}))
}

func testMerged(t *testing.T, m *model.Model, a *lora.Adapter, f *safetensors.File, now func() []float32, real func([]float32) []float32) {
	attached := now()
	before := weights(t, m)
	require.NoError(t, a.Merge())
	want, _ := golden.Float32s(t, f, "merged_logits")
	golden.Close(t, "merged_logits", real(want), now(), mergedTolerance)
	compared := 0
	for _, name := range f.Names() {
		if key, ok := strings.CutPrefix(name, "merged."); ok {
			reference, _ := golden.Float32s(t, f, name)
			require.NotNil(t, m.Parameter(key), key)
			golden.Close(t, name, reference, weights(t, m)[key], mergedTolerance)
			compared++
		}
	}
	assert.NotZero(t, compared)
	require.NoError(t, a.Unmerge())
	assert.Equal(t, before, weights(t, m), "unmerging is exact")
	assert.Equal(t, attached, now())
}

func weights(t *testing.T, m *model.Model) map[string][]float32 {
	values := map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range m.Parameters() {
			values[p.Name] = s.ToFloat32s(p.Tensor)
		}
	}))
	return values
}

// testRoundTrip saves the adapter and finds the reference's tensors in the file, bit for bit.
func testRoundTrip(t *testing.T, m *model.Model, a *lora.Adapter, reference string) {
	out := t.TempDir()
	require.NoError(t, a.Save(out))
	want := golden.Tensors(t, filepath.Join(reference, "adapter_model.safetensors"))
	got := golden.Tensors(t, filepath.Join(out, "adapter_model.safetensors"))
	assert.Equal(t, want.Names(), got.Names())
	for _, name := range want.Names() {
		x, shape := golden.Float32s(t, want, name)
		y, again := golden.Float32s(t, got, name)
		assert.Equal(t, shape, again, name)
		assert.Equal(t, x, y, name)
	}
	again, err := lora.Load(m, out)
	require.NoError(t, err)
	defer again.Close()
	assert.Equal(t, a.Report(), again.Report())
	assert.Equal(t, a.Config, again.Config)
}
