package train_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// Float32 sums in another order: a few units in the last place of the largest element.
const orderTolerance = 2e-6

// Eight samples of unequal length are one step, however they are cut into micro-batches: the token losses are summed and divided once,
// by the target tokens of all eight.
func TestAccumulationDoesNotChangeTheStep(t *testing.T) {
	samples := newSamples(8, 3)
	var whole outcome
	for _, micro := range []int{8, 4, 2, 1} {
		t.Run(fmt.Sprintf("%d×%d", micro, 8/micro), func(t *testing.T) {
			o := setting{samples: samples, config: train.Config{LearningRate: 1e-3, MicroBatch: micro, Accumulate: 8 / micro, Steps: 1}}.run(t, context.Background())
			require.NoError(t, o.err)
			if micro == 8 {
				whole = o
			}
			assert.InEpsilon(t, whole.steps[0].Loss, o.steps[0].Loss, orderTolerance)
			assert.InEpsilon(t, whole.steps[0].GradNorm, o.steps[0].GradNorm, 10*orderTolerance)
			assert.Equal(t, whole.steps[0].TargetTokens, o.steps[0].TargetTokens)
			assert.Equal(t, whole.steps[0].Tokens, o.steps[0].Tokens)
		})
	}
}

// losses is the summed loss of batches and its gradients, divided by nothing.
func losses(t *testing.T, m *model.Model, batches ...data.Batch) (sum float64, grads map[string][]float32) {
	t.Helper()
	objective := train.NextToken{Model: m}
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	grads = map[string][]float32{}
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		for _, b := range batches {
			s.WithGrad(func() {
				loss := objective.Loss(s, b, model.Pass{Train: true})
				s.Backward(loss)
				sum += s.Item(loss)
			})
		}
		for _, p := range m.Parameters() {
			grads[p.Name] = s.ToFloat32s(s.Grad(p.Tensor))
			s.DropGrad(p.Tensor)
		}
	}))
	return sum, grads
}

func assertSameGradients(t *testing.T, want, got map[string][]float32) {
	t.Helper()
	for name := range want {
		var largest, worst float64
		for i, x := range want[name] {
			largest = math.Max(largest, math.Abs(float64(x)))
			worst = math.Max(worst, math.Abs(float64(x-got[name][i])))
		}
		assert.LessOrEqual(t, worst, 10*orderTolerance*largest, "%s, of at most %g", name, largest)
	}
}

func TestTheLossOfABatchIsTheSumOfItsSamples(t *testing.T) {
	m, samples := newModel(t), newSamples(6, 4)
	var alone []data.Batch
	for i := range samples {
		alone = append(alone, data.NewBatch(samples, []int{i}))
	}
	want, wantGrads := losses(t, m, alone...)
	got, grads := losses(t, m, data.NewBatch(samples, []int{0, 1, 2, 3, 4, 5}))
	assert.InEpsilon(t, want, got, orderTolerance)
	assertSameGradients(t, wantGrads, grads)
}

func TestASampleDoesNotSeeItsNeighbours(t *testing.T) {
	m, samples := newModel(t), newSamples(3, 4)
	before, _ := losses(t, m, data.NewBatch(samples, []int{0, 1, 2}))
	changed := slices.Clone(samples)
	changed[1] = data.Sample{IDs: slices.Repeat([]int32{9}, 30), Labels: slices.Repeat([]int32{data.NoLabel}, 30)}
	after, _ := losses(t, m, data.NewBatch(changed, []int{0, 1, 2}))
	middle, _ := losses(t, m, data.NewBatch(samples, []int{1}))
	assert.InEpsilon(t, before-middle, after, 10*orderTolerance)
}

func TestPackedEqualsUnpacked(t *testing.T) {
	m, samples := newModel(t), newSamples(9, 5)
	want, wantGrads := losses(t, m, data.NewBatch(samples, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}))
	rows, _, err := data.Pack(samples, 32, data.PackBestFit)
	require.NoError(t, err)
	require.Less(t, len(rows), len(samples))
	got, grads := losses(t, m, data.NewPackedBatch(samples, rows...))
	assert.InEpsilon(t, want, got, orderTolerance)
	assertSameGradients(t, wantGrads, grads)
}

// Two answers to one question share its tokens. The first token of an answer is predicted by the last of the question.
func TestASharedPrefixEqualsTheWholeSequences(t *testing.T) {
	m := newModel(t)
	question, answers := []int32{5, 9, 2, 30, 11}, [][]int32{{7, 8, 1}, {40, 3, 3, 12}}
	shared := data.Batch{IDs: question, Positions: []int32{0, 1, 2, 3, 4}, Labels: slices.Repeat([]int32{data.NoLabel}, 5),
		Segments: []data.Segment{{Start: 0, End: 5, Prefix: -1}}, Samples: []int{0}}
	var whole []data.Sample
	for i, a := range answers {
		start := len(shared.IDs)
		shared.IDs, shared.Labels = append(shared.IDs, a...), append(shared.Labels, a...)
		for p := range a {
			shared.Positions = append(shared.Positions, int32(5+p))
		}
		shared.Segments = append(shared.Segments, data.Segment{Start: start, End: len(shared.IDs), Prefix: 0})
		shared.Samples = append(shared.Samples, i)
		whole = append(whole, data.Sample{IDs: append(slices.Clone(question), a...),
			Labels: append(slices.Repeat([]int32{data.NoLabel}, 5), a...)})
	}
	require.NoError(t, shared.Validate())
	want, wantGrads := losses(t, m, data.NewBatch(whole, []int{0, 1}))
	got, grads := losses(t, m, shared)
	assert.Equal(t, 7, train.NextToken{}.Units(shared))
	assert.InEpsilon(t, want, got, orderTolerance)
	assertSameGradients(t, wantGrads, grads)
}

// A sample without a target costs nothing and changes nothing, wherever it stands.
func TestAMicroBatchWithoutTargets(t *testing.T) {
	samples := newSamples(2, 6)
	silent := data.Sample{IDs: []int32{1, 2, 3}, Labels: []int32{data.NoLabel, data.NoLabel, data.NoLabel}}
	config := train.Config{LearningRate: 1e-3, MicroBatch: 1, Accumulate: 3, Steps: 1, InOrder: true}
	want := setting{samples: samples, config: config}.run(t, context.Background())
	require.NoError(t, want.err)
	got := setting{samples: []data.Sample{samples[0], silent, samples[1]}, config: config,
		held: []data.Sample{silent, samples[0]}}.run(t, context.Background())
	require.NoError(t, got.err)
	assert.Equal(t, want.numbers(), got.numbers())
	assert.Equal(t, want.weights, got.weights)
	assert.False(t, math.IsNaN(got.result.EvalLoss))
}
