package rm

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// Bounds of goldens/README.md.
const (
	rewardTolerance  = 4e-5
	lossTolerance    = 1e-5
	gradTolerance    = 2e-5 // relative to the largest
	weightsTolerance = 3e-4
)

type goldenPair struct {
	Chosen   []int32 `json:"chosen_ids"`
	Rejected []int32 `json:"rejected_ids"`
	Margin   float64
}

// shared takes what all answers begin with as the prompt; alone leaves each whole.
func shared(answers [][]int32) (s data.Sample) {
	n := 0
	for {
		for _, a := range answers {
			if n >= len(a)-1 || a[n] != answers[0][n] {
				s.IDs, s.Labels = answers[0][:n], data.Unlabelled(n)
				for _, a := range answers {
					s.Answers = append(s.Answers, data.Answer{IDs: a[n:], Labels: a[n:]})
				}
				return s
			}
		}
		n++
	}
}

func alone(answers [][]int32) (s data.Sample) {
	for _, a := range answers {
		s.Answers = append(s.Answers, data.Answer{IDs: a, Labels: a})
	}
	return s
}

type rewardCase struct {
	Pairs  []goldenPair
	Center float64 `json:"center_rewards_coefficient"`
	Losses map[string]float64
	Lists  [][][]int32 `json:"lists_best_to_worst"`
	PerSet []float64   `json:"listwise_per_prompt"`
	Values [][]float64 `json:"listwise_rewards"`
	PadEOS *struct {
		Pad int `json:"pad_token_id"`
	} `json:"pad_is_eos"`
}

func TestGoldenRewards(t *testing.T) {
	root := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, root, "rm/*/case.json") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var c rewardCase
			golden.JSON(t, path, &c)
			m := fixture.Golden(t, dir)
			require.NoError(t, m.SetTrainable(func(string) bool { return true }))
			numbers := golden.Tensors(t, filepath.Join(dir, "case.safetensors"))
			for _, how := range []func([][]int32) data.Sample{shared, alone} {
				compareRewards(t, m, c, numbers, how)
				compareLosses(t, m, c, numbers, how)
			}
		})
	}
}

func compareRewards(t *testing.T, m *model.Model, c rewardCase, numbers *safetensors.File, how func([][]int32) data.Sample) {
	t.Helper()
	var pairs []data.Sample
	for _, p := range c.Pairs {
		pairs = append(pairs, how([][]int32{p.Chosen, p.Rejected}))
	}
	got, err := ScoreSamples(m, pairs)
	require.NoError(t, err)
	want, _ := golden.Float32s(t, numbers, "rewards")
	for i, r := range got { // the file lists all chosen, then all rejected
		assert.InDelta(t, want[i], r[0], rewardTolerance)
		assert.InDelta(t, want[len(got)+i], r[1], rewardTolerance)
	}
	var lists []data.Sample
	for _, l := range c.Lists {
		lists = append(lists, how(l))
	}
	got, err = ScoreSamples(m, lists)
	require.NoError(t, err)
	for i := range got {
		assert.InDeltaSlice(t, c.Values[i], got[i], rewardTolerance)
		loss, _ := ranking(got[i], 0, 0)
		assert.InDelta(t, c.PerSet[i], loss, lossTolerance)
	}
	if c.PadEOS != nil {
		comparePadding(t, m, c.PadEOS.Pad, numbers)
	}
}

// comparePadding: with the token that ends a text as padding, the score is that of the token before.
func comparePadding(t *testing.T, m *model.Model, pad int, numbers *safetensors.File) {
	t.Helper()
	ids, shape := golden.Int64s(t, numbers, "pad_is_eos.input_ids")
	mask, _ := golden.Int64s(t, numbers, "pad_is_eos.attention_mask")
	want, _ := golden.Float32s(t, numbers, "pad_is_eos.rewards")
	before := m.Config.Special.PAD
	m.Config.Special.PAD = pad
	defer func() { m.Config.Special.PAD = before }()
	width := int(shape[1])
	for row := range int(shape[0]) {
		var text []int32
		for i := row * width; i < (row+1)*width; i++ {
			if mask[i] == 1 {
				text = append(text, int32(ids[i]))
			}
		}
		got, err := ScoreSamples(m, []data.Sample{alone([][]int32{text})})
		require.NoError(t, err)
		assert.InDelta(t, want[row], got[0][0], rewardTolerance)
	}
}

func compareLosses(t *testing.T, m *model.Model, c rewardCase, numbers *safetensors.File, how func([][]int32) data.Sample) {
	t.Helper()
	for variant, want := range c.Losses {
		o := &objective{model: m}
		var samples []data.Sample
		switch variant {
		case "plain", "margin", "center", "margin_center":
			for _, p := range c.Pairs {
				s := how([][]int32{p.Chosen, p.Rejected})
				if strings.Contains(variant, "margin") {
					s.Margin = p.Margin
				}
				samples = append(samples, s)
			}
			if strings.Contains(variant, "center") {
				o.center = c.Center
			}
		case "listwise":
			for _, l := range c.Lists {
				samples = append(samples, how(l))
			}
		default:
			continue
		}
		indices := make([]int, len(samples))
		for i := range indices {
			indices[i] = i
		}
		b := data.NewBatch(samples, indices)
		grads := map[string][]float32{}
		require.NoError(t, torch.Do(func(s *torch.Scope) {
			s.WithGrad(func() {
				loss := o.Loss(s, b, model.Pass{Train: true})
				s.Backward(s.Scale(loss, 1/float64(o.Units(b))))
				assert.InDelta(t, want, s.Item(loss)/float64(o.Units(b)), lossTolerance*math.Max(1, want), variant)
			})
			for _, p := range m.Trainable() {
				if g := s.Grad(p.Tensor); g != nil {
					grads[p.Name] = s.ToFloat32s(g)
				}
				s.DropGrad(p.Tensor)
			}
		}))
		for _, name := range numbers.Names() {
			if parameter, ok := strings.CutPrefix(name, "grad."+variant+"."); ok {
				reference, _ := golden.Float32s(t, numbers, name)
				golden.Close(t, name, reference, grads[parameter], gradTolerance*golden.AbsMax(reference))
			}
		}
	}
}

type run struct {
	Start     string
	Center    *float64 `json:"center_rewards_coefficient"`
	Steps     int
	GradAccum int `json:"grad_accum"`
	Examples  int `json:"examples_per_micro_batch"`
	Hyper     golden.Hyper
}

func TestGoldenRuns(t *testing.T) {
	root := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, root, "rm/*/run.json") {
		dir := filepath.Dir(path)
		check := func(t *testing.T, how func([][]int32) data.Sample) {
			var c run
			golden.JSON(t, path, &c)
			m := fixture.Golden(t, filepath.Join(root, c.Start))
			recorder := &observe.Recorder{}
			config := Config{Config: fixture.GoldenRun(c.Hyper, c.Examples, c.GradAccum, c.Steps, recorder)}
			if c.Center != nil {
				config.Center = *c.Center
			}
			trainer := &Trainer{model: m, config: config}
			_, err := trainer.train(context.Background(), rankings(t, filepath.Join(dir, "data.jsonl"), how), nil, &data.Ledger{})
			require.NoError(t, err)
			compareSteps(t, filepath.Join(dir, "metrics.jsonl"), recorder)
			final := golden.Tensors(t, filepath.Join(dir, "final.safetensors"))
			require.NoError(t, torch.Do(func(s *torch.Scope) {
				for _, p := range m.Trainable() {
					want, _ := golden.Float32s(t, final, p.Name)
					golden.Close(t, p.Name, want, s.ToFloat32s(p.Tensor), weightsTolerance)
				}
			}))
		}
		t.Run(filepath.Base(dir), func(t *testing.T) { check(t, alone) })
		t.Run(filepath.Base(dir)+"/prefix_shared", func(t *testing.T) { check(t, shared) })
	}
}

// rankings reads lines that are pairs or lists.
func rankings(t *testing.T, path string, how func([][]int32) data.Sample) (samples []data.Sample) {
	t.Helper()
	for _, line := range golden.Lines[json.RawMessage](t, path) {
		if bytes.HasPrefix(line, []byte("[")) {
			var list [][]int32
			require.NoError(t, json.Unmarshal(line, &list))
			samples = append(samples, how(list))
			continue
		}
		var p goldenPair
		require.NoError(t, json.Unmarshal(line, &p))
		s := how([][]int32{p.Chosen, p.Rejected})
		s.Margin = p.Margin
		samples = append(samples, s)
	}
	return samples
}

func compareSteps(t *testing.T, path string, recorder *observe.Recorder) {
	t.Helper()
	_, steps := observe.All[observe.Step](recorder.Events())
	lines := golden.Lines[json.RawMessage](t, path)
	require.Len(t, steps, len(lines))
	for i, line := range lines {
		var want map[string]float64
		require.NoError(t, json.Unmarshal(line, &want))
		assert.InDelta(t, want["loss"], steps[i].Loss, 2e-5, "loss of step %d", i+1)
		assert.InDelta(t, want["grad_norm"], steps[i].GradNorm, 1e-4*math.Max(1, want["grad_norm"]), "gradient norm of step %d", i+1)
		for _, name := range []string{"accuracy", "margin", "mean_reward"} {
			if value, ok := want[name]; ok {
				assert.InDelta(t, value, steps[i].Metrics[name], 1e-4, "%s of step %d", name, i+1)
			}
		}
	}
}
