package train_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// Bounds of goldens/README.md.
const (
	lossTolerance    = 2e-5
	normTolerance    = 1e-4
	lrTolerance      = 1e-12
	weightsTolerance = 3e-4
)

type trajectory struct {
	Base       string
	Steps      int
	GradAccum  int `json:"grad_accum"`
	MicroBatch int `json:"micro_batch"`
	Hyper      golden.Hyper
	NoDecay    []string       `json:"no_decay"`
	LoRA       map[string]any `json:"lora"`
}

type metric struct {
	Step     int
	Loss, LR float64
	GradNorm float64 `json:"grad_norm"`
	NumItems int     `json:"num_items"`
}

func TestGoldenTrajectories(t *testing.T) {
	root := testdata.Goldens(t)
	for _, dir := range testdata.Cases(t, root, "trajectories/*") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c trajectory
			golden.JSON(t, filepath.Join(dir, "run.json"), &c)
			golden.SkipUnsupported(t, filepath.Join(root, c.Base))
			m, err := model.Load(context.Background(), filepath.Join(root, c.Base), model.LoadConfig{})
			require.NoError(t, err)
			defer m.Close()
			if c.LoRA != nil {
				a, err := lora.Load(m, filepath.Join(dir, "adapter_init"))
				require.NoError(t, err)
				defer a.Close()
			} else {
				require.NoError(t, m.SetTrainable(func(string) bool { return true }))
			}
			compareDecay(t, m, c)
			out := t.TempDir()
			recorder := &observe.Recorder{}
			engine, err := train.New("golden", m, train.NextToken{Model: m}, readSamples(t, dir), nil, train.Config{
				LearningRate: c.Hyper.LR, Schedule: schedule.Config{Name: c.Hyper.Scheduler, WarmupSteps: c.Hyper.Warmup},
				AdamW: train.AdamW{WeightDecay: c.Hyper.WeightDecay}, MaxGradNorm: c.Hyper.MaxGradNorm,
				MicroBatch: c.MicroBatch, Accumulate: c.GradAccum, Steps: c.Steps, InOrder: true,
				Output: out, SaveEvery: 5, KeepLast: train.Off, Sinks: []observe.Sink{recorder},
			})
			require.NoError(t, err)
			_, err = engine.Run(context.Background())
			require.NoError(t, err)
			compareMetrics(t, dir, recorder)
			compareWeights(t, "step5", golden.Tensors(t, filepath.Join(dir, "step5.safetensors")),
				golden.Tensors(t, filepath.Join(out, "checkpoints", "step-00000005", "weights.safetensors")))
			compareWeights(t, "final", golden.Tensors(t, filepath.Join(dir, "final.safetensors")), parameters(t, m))
		})
	}
}

func readSamples(t *testing.T, dir string) (samples []data.Sample) {
	f := golden.Tensors(t, filepath.Join(dir, "data.safetensors"))
	ids, shape := golden.Int64s(t, f, "input_ids")
	mask, _ := golden.Int64s(t, f, "attention_mask")
	labels, _ := golden.Int64s(t, f, "labels")
	width := int(shape[2])
	for row := range int(shape[0] * shape[1]) {
		var s data.Sample
		for i := row * width; i < (row+1)*width; i++ {
			if mask[i] == 1 {
				s.IDs, s.Labels = append(s.IDs, int32(ids[i])), append(s.Labels, int32(labels[i]))
			}
		}
		samples = append(samples, s)
	}
	return samples
}

func compareDecay(t *testing.T, m *model.Model, c trajectory) {
	var none []string
	for _, p := range m.Trainable() {
		if !train.Decays(p.Name) {
			none = append(none, p.Name)
		}
	}
	assert.ElementsMatch(t, c.NoDecay, none, "weights without decay")
}

func compareMetrics(t *testing.T, dir string, recorder *observe.Recorder) {
	file, err := os.Open(filepath.Join(dir, "metrics.jsonl"))
	require.NoError(t, err)
	defer file.Close()
	numbers, steps := observe.All[observe.Step](recorder.Events())
	lines := bufio.NewScanner(file)
	n := 0
	for ; lines.Scan(); n++ {
		var want metric
		require.NoError(t, json.Unmarshal(lines.Bytes(), &want))
		require.Greater(t, len(steps), n)
		assert.Equal(t, want.Step, numbers[n])
		assert.InDelta(t, want.Loss, steps[n].Loss, lossTolerance, "loss of step %d", want.Step)
		assert.InDelta(t, want.GradNorm, steps[n].GradNorm, normTolerance, "gradient norm of step %d", want.Step)
		assert.InDelta(t, want.LR, steps[n].LearningRate, lrTolerance, "learning rate of step %d", want.Step)
		assert.Equal(t, want.NumItems, steps[n].TargetTokens, "target tokens of step %d", want.Step)
	}
	require.NotZero(t, n)
	assert.Len(t, steps, n)
}

type tensors interface {
	Names() []string
	Tensor(name string) (safetensors.Tensor, bool)
}

func compareWeights(t *testing.T, what string, want *safetensors.File, got tensors) {
	for _, name := range want.Names() {
		reference, _ := golden.Float32s(t, want, name)
		x, ok := got.Tensor(name)
		require.True(t, ok, "%s: %s", what, name)
		values, err := x.Float32s()
		require.NoError(t, err)
		golden.Close(t, what+" "+name, reference, values, weightsTolerance)
	}
}

// memory is the trained weights of a model as a set of tensors.
type memory map[string]safetensors.Tensor

func (m memory) Names() []string { return nil }
func (m memory) Tensor(name string) (safetensors.Tensor, bool) {
	x, ok := m[name]
	return x, ok
}

func parameters(t *testing.T, m *model.Model) memory {
	set := memory{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range m.Trainable() {
			set[p.Name] = safetensors.Tensor{Name: p.Name, DType: safetensors.F32, Shape: p.Shape,
				Data: safetensors.Float32Data(s.ToFloat32s(p.Tensor))}
		}
	}))
	return set
}
