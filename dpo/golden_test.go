package dpo

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// Bounds of goldens/README.md.
const (
	logProbTolerance = 4e-5
	lossTolerance    = 1e-5 // relative
	gradTolerance    = 2e-5 // relative to the largest
	weightsTolerance = 3e-4
)

type goldenPair struct {
	Prompt   []int32 `json:"prompt_ids"`
	Chosen   []int32 `json:"chosen_ids"`
	Rejected []int32 `json:"rejected_ids"`
}

func (p goldenPair) sample() data.Sample {
	return data.Sample{IDs: p.Prompt, Labels: data.Unlabelled(len(p.Prompt)), Answers: []data.Answer{{IDs: p.Chosen, Labels: p.Chosen}, {IDs: p.Rejected, Labels: p.Rejected}}}
}

// alone is the same pair without a prompt that is shared.
func (p goldenPair) alone() (s data.Sample) {
	for _, answer := range [][]int32{p.Chosen, p.Rejected} {
		a := data.Answer{}
		for _, id := range p.Prompt {
			a.IDs, a.Labels = append(a.IDs, id), append(a.Labels, data.NoLabel)
		}
		a.IDs, a.Labels = append(a.IDs, answer...), append(a.Labels, answer...)
		s.Answers = append(s.Answers, a)
	}
	return s
}

func batchOf(pairs []goldenPair, sample func(goldenPair) data.Sample) data.Batch {
	var samples []data.Sample
	var indices []int
	for i, p := range pairs {
		samples, indices = append(samples, sample(p)), append(indices, i)
	}
	return data.NewBatch(samples, indices)
}

type lossCase struct {
	Policy, Reference string
	Pairs             []goldenPair
	Losses            map[string]struct {
		Type           string `json:"loss_type"`
		Loss           *float64
		Beta           float64
		LabelSmoothing float64 `json:"label_smoothing"`
		Gamma          float64
	}
}

// ours is the loss that a variant of the case is, "" for one that this package does not have.
func ours(variant, kind string) Loss {
	for prefix, l := range map[string]Loss{"cdpo": Conservative, "ipo_sum": IPOSum, "simpo": SimPO, "orpo": ORPO} {
		if strings.HasPrefix(variant, prefix) {
			return l
		}
	}
	for _, l := range losses {
		if string(l) == kind {
			return l
		}
	}
	return ""
}

func TestGoldenLosses(t *testing.T) {
	root := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, root, "dpo/*/case.json") {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			var c lossCase
			golden.JSON(t, path, &c)
			numbers := golden.Tensors(t, filepath.Join(filepath.Dir(path), "case.safetensors"))
			policy, reference := fixture.Golden(t, filepath.Join(root, c.Policy)), fixture.Golden(t, filepath.Join(root, c.Reference))
			require.NoError(t, policy.SetTrainable(func(string) bool { return true }))
			for variant, want := range c.Losses {
				kind := ours(variant, want.Type)
				t.Run(variant, func(t *testing.T) {
					if kind == "" || want.Loss == nil {
						t.Skip("a loss that this package does not have, or without a number")
					}
					config := Config{Loss: kind, Beta: want.Beta, LabelSmoothing: want.LabelSmoothing, Gamma: want.Gamma}.withDefaults()
					o := &objective{model: policy, reference: asItIs(reference), config: config}
					for _, sample := range []func(goldenPair) data.Sample{goldenPair.sample, goldenPair.alone} {
						if kind == ORPO && len(sample(c.Pairs[0]).IDs) == 0 {
							continue // the prompts are learned too, which stand apart only when shared
						}
						b := batchOf(c.Pairs, sample)
						loss, grads := lossAndGradients(t, o, b)
						got := loss / float64(o.Units(b))
						assert.InDelta(t, *want.Loss, got, lossTolerance*math.Abs(*want.Loss)+1e-6)
						o.Metrics()
						compareGradients(t, numbers, variant, grads, float64(o.Units(b)))
					}
				})
			}
			t.Run("kto", func(t *testing.T) { compareKTO(t, c, numbers, policy, reference) })
			compareLogProbs(t, numbers, policy, batchOf(c.Pairs, goldenPair.sample), "policy_logps")
			compareLogProbs(t, numbers, reference, batchOf(c.Pairs, goldenPair.alone), "ref_logps")
		})
	}
}

// compareKTO takes the pairs as single answers, all good ones before all bad ones; the divergence of the case is taken within each kind.
func compareKTO(t *testing.T, c lossCase, numbers *safetensors.File, policy, reference *model.Model) {
	x, ok := numbers.Tensor("loss.kto")
	if !ok {
		t.Skip("the case has no such loss")
	}
	want, err := x.Float32s()
	require.NoError(t, err)
	config := KTOConfig{Beta: c.Losses["kto"].Beta}.withDefaults()
	var crossed []float64
	var losses []float64
	for _, good := range []bool{true, false} {
		var samples []data.Sample
		var indices []int
		for i, p := range c.Pairs {
			answer, margin := p.Chosen, 1.0
			if !good {
				answer, margin = p.Rejected, -1
			}
			samples = append(samples, data.Sample{IDs: p.Prompt, Labels: data.Unlabelled(len(p.Prompt)), Margin: margin, Answers: []data.Answer{{IDs: answer, Labels: answer}}})
			indices = append(indices, i)
		}
		b := data.NewBatch(samples, indices)
		require.NoError(t, torch.Do(func(s *torch.Scope) {
			now, ref := asItIs(policy).logProbs(s, b), asItIs(reference).logProbs(s, b)
			for i := range now {
				losses = append(losses, now[i]-ref[i])
			}
			now, ref = asItIs(policy).logProbs(s, mismatched(b)), asItIs(reference).logProbs(s, mismatched(b))
			for i := range now {
				crossed = append(crossed, now[i]-ref[i])
			}
		}))
	}
	z := 0.0
	for _, d := range crossed {
		z += d / float64(len(crossed))
	}
	z = math.Max(0, z)
	for i, ratio := range losses {
		got, _ := config.of(ratio, z, i < len(losses)/2)
		assert.InDelta(t, want[i], got, lossTolerance)
	}
}

func lossAndGradients(t *testing.T, o *objective, b data.Batch) (value float64, grads map[string][]float32) {
	t.Helper()
	grads = map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		s.WithGrad(func() {
			loss := o.Loss(s, b, model.Pass{Train: true})
			s.Backward(loss)
			value = s.Item(loss)
		})
		for _, p := range o.model.Trainable() {
			if g := s.Grad(p.Tensor); g != nil {
				grads[p.Name] = s.ToFloat32s(g)
			}
			s.DropGrad(p.Tensor)
		}
	}))
	return value, grads
}

func compareGradients(t *testing.T, numbers *safetensors.File, variant string, grads map[string][]float32, units float64) {
	t.Helper()
	for _, name := range numbers.Names() {
		parameter, ok := strings.CutPrefix(name, "grad."+variant+".")
		if !ok {
			continue
		}
		x, _ := numbers.Tensor(name)
		want, err := x.Float32s()
		require.NoError(t, err)
		got := append([]float32(nil), grads[parameter]...)
		for i := range got {
			got[i] /= float32(units)
		}
		golden.Close(t, name, want, got, gradTolerance*golden.AbsMax(want))
	}
}

func compareLogProbs(t *testing.T, numbers *safetensors.File, m *model.Model, b data.Batch, name string) {
	t.Helper()
	x, ok := numbers.Tensor(name)
	require.True(t, ok)
	want, err := x.Float32s() // all chosen, then all rejected
	require.NoError(t, err)
	var got []float64
	require.NoError(t, torch.Do(func(s *torch.Scope) { got = asItIs(m).logProbs(s, b) }))
	require.Len(t, got, len(want))
	for i := range got {
		assert.InDelta(t, want[i%2*len(want)/2+i/2], got[i], logProbTolerance, "%s %d", name, i)
	}
}

type run struct {
	Base           string
	LossType       Loss `json:"loss_type"`
	Beta           float64
	LabelSmoothing float64 `json:"label_smoothing"`
	Steps          int
	GradAccum      int `json:"grad_accum"`
	Pairs          int `json:"pairs_per_micro_batch"`
	Hyper          golden.Hyper
	LoRA           map[string]any `json:"lora"`
}

func TestGoldenRuns(t *testing.T) {
	root := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, root, "dpo/*/run.json") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c run
			golden.JSON(t, path, &c)
			m := fixture.Golden(t, filepath.Join(root, c.Base))
			if c.LoRA != nil {
				a, err := lora.Load(m, filepath.Join(dir, "adapter_init"))
				require.NoError(t, err)
				defer a.Close()
			}
			recorder := &observe.Recorder{}
			trainer := &Trainer{model: m, config: Config{Loss: c.LossType, Beta: c.Beta, LabelSmoothing: c.LabelSmoothing,
				Config: fixture.GoldenRun(c.Hyper, c.Pairs, c.GradAccum, c.Steps, recorder)}.withDefaults()}
			var samples []data.Sample
			for _, p := range golden.Lines[goldenPair](t, filepath.Join(dir, "data.jsonl")) {
				samples = append(samples, p.sample())
			}
			_, err := trainer.train(context.Background(), samples, nil, &data.Ledger{})
			require.NoError(t, err)
			compareSteps(t, c, golden.Lines[map[string]float64](t, filepath.Join(dir, "metrics.jsonl")), recorder)
			compareWeights(t, golden.Tensors(t, filepath.Join(dir, "final.safetensors")), m)
		})
	}
}

func compareSteps(t *testing.T, c run, want []map[string]float64, recorder *observe.Recorder) {
	t.Helper()
	_, steps := observe.All[observe.Step](recorder.Events())
	require.Len(t, steps, len(want))
	loss, norm := 2e-5, 1e-4
	if c.LossType == IPO { // its values are about 25
		loss, norm = 1e-4, 2e-4
	}
	for i, s := range steps {
		assert.InDelta(t, want[i]["loss"], s.Loss, loss, "loss of step %d", i+1)
		assert.InDelta(t, want[i]["grad_norm"], s.GradNorm, norm, "gradient norm of step %d", i+1)
		assert.InDelta(t, want[i]["lr"], s.LearningRate, 1e-12)
		for name, value := range want[i] {
			tolerance := 1e-5
			switch {
			case strings.HasPrefix(name, "logps/"):
				tolerance = 1e-4
			case !strings.HasPrefix(name, "rewards/"):
				continue
			}
			assert.InDelta(t, value, s.Metrics[name], tolerance, "%s of step %d", name, i+1)
		}
		if i == 0 {
			assert.Zero(t, s.Metrics["rewards/margins"], "policy and reference are the same, to the bit")
		}
	}
}

func compareWeights(t *testing.T, want *safetensors.File, m *model.Model) {
	t.Helper()
	got := map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, p := range m.Trainable() {
			got[p.Name] = s.ToFloat32s(p.Tensor)
		}
	}))
	for _, name := range want.Names() {
		x, _ := want.Tensor(name)
		values, err := x.Float32s()
		require.NoError(t, err)
		golden.Close(t, name, values, got[name], weightsTolerance)
	}
}
