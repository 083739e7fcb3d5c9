// Package golden reads reference cases and compares numbers with them, for tests.
package golden

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/train/schedule"
)

// Tensors reads a safetensors file whole and closes it with the test.
func Tensors(t testing.TB, path string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// Float32s reads the tensor name, which must exist.
func Float32s(t testing.TB, f *safetensors.File, name string) ([]float32, []int64) {
	t.Helper()
	x, ok := f.Tensor(name)
	require.True(t, ok, "%s has no tensor %s", f.Path(), name)
	values, err := x.Float32s()
	require.NoError(t, err)
	return values, x.Shape
}

// Int64s reads the tensor name, which must exist.
func Int64s(t testing.TB, f *safetensors.File, name string) ([]int64, []int64) {
	t.Helper()
	x, ok := f.Tensor(name)
	require.True(t, ok, "%s has no tensor %s", f.Path(), name)
	values, err := x.Int64s()
	require.NoError(t, err)
	return values, x.Shape
}

// JSON reads a JSON file into v.
func JSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, v), path)
}

// SkipUnsupported skips the test when dir's config.json is of a family, or uses a feature, that is not supported yet.
func SkipUnsupported(t testing.TB, dir string) *arch.Config {
	t.Helper()
	c, err := arch.Read(filepath.Join(dir, "config.json"))
	var refused *arch.Error
	if errors.As(err, &refused) {
		t.Skipf("not yet supported: %v", err)
	}
	require.NoError(t, err)
	return c
}

// Close asserts that got differs from want by at most tolerance anywhere, and names the worst element.
func Close(t testing.TB, what string, want, got []float32, tolerance float64) {
	t.Helper()
	require.Len(t, got, len(want), what)
	worst, at := 0.0, 0
	for i := range want {
		if d := math.Abs(float64(want[i]) - float64(got[i])); d > worst || d != d {
			worst, at = d, i
			if d != d {
				break
			}
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: element %d is %g, want %g: they differ by %.3g, more than %.3g", what, at, got[at], want[at], worst, tolerance)
	}
}

// AbsMax is the largest absolute value.
func AbsMax(x []float32) float64 {
	m := 0.0
	for _, v := range x {
		m = math.Max(m, math.Abs(float64(v)))
	}
	return m
}

// Lines reads a file of one JSON value a line; one without any fails the test.
func Lines[T any](t testing.TB, path string) (list []T) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	for d := json.NewDecoder(file); d.More(); {
		var v T
		require.NoError(t, d.Decode(&v), path)
		list = append(list, v)
	}
	require.NotEmpty(t, list, path)
	return list
}

// Hyper are the settings of a reference run, as its run.json has them.
type Hyper struct {
	LR          float64
	WeightDecay float64 `json:"weight_decay"`
	Scheduler   schedule.Name
	Warmup      int     `json:"warmup_steps"`
	MaxGradNorm float64 `json:"max_grad_norm"`
}
