package torch_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if n := torch.Live() - lostOnPurpose; n != 0 && code == 0 {
		println("tensors left at the end:", n)
		code = 1
	}
	os.Exit(code)
}

// lostOnPurpose counts the tensors that tests of the leak report have thrown away.
var lostOnPurpose int64

// do runs f on the libtorch thread and fails the test on an error.
func do(t testing.TB, f func(s *torch.Scope)) {
	t.Helper()
	require.NoError(t, torch.Do(f))
}

func TestScopeFreesWhatItMade(t *testing.T) {
	before, live := torch.MemoryNow().Live, torch.Live()
	do(t, func(s *torch.Scope) {
		x := s.Zeros(torch.Float32, torch.CPU, 1000)
		assert.Equal(t, before+4000, torch.MemoryNow().Live)
		s.Inner(func(inner *torch.Scope) { inner.Add(x, x) })
		assert.Equal(t, before+4000, torch.MemoryNow().Live, "the inner scope's sum is freed")
	})
	assert.Equal(t, before, torch.MemoryNow().Live)
	assert.Equal(t, live, torch.Live())
}

func TestKeepPassesATensorOut(t *testing.T) {
	do(t, func(s *torch.Scope) {
		var kept *torch.Tensor
		s.Inner(func(inner *torch.Scope) { kept = inner.Keep(inner.Float32s([]float32{1, 2, 3})) })
		assert.Equal(t, []float32{1, 2, 3}, s.ToFloat32s(kept))
	})
}

func TestRefusalNamesOperationAndShapes(t *testing.T) {
	live := torch.Live()
	err := torch.Do(func(s *torch.Scope) {
		s.Linear(s.Zeros(torch.Float32, torch.CPU, 412, 64), s.Zeros(torch.Float32, torch.CPU, 128, 32), nil)
	})
	var refused *torch.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "linear", refused.Op)
	assert.ErrorContains(t, err, "[412 64] float32, [128 32] float32")
	assert.Equal(t, live, torch.Live(), "the scope unwound")
}

func TestPanicBecomesAnError(t *testing.T) {
	assert.ErrorContains(t, torch.Do(func(*torch.Scope) { panic("boom") }), "boom")
	cause := errors.New("mine")
	assert.ErrorIs(t, torch.Do(func(*torch.Scope) { torch.Throw(cause) }), cause)
}

func TestOutOfMemoryIsAnError(t *testing.T) {
	torch.LimitMemory(torch.MemoryNow().Live + 1<<20)
	defer torch.LimitMemory(0)
	err := torch.Do(func(s *torch.Scope) { s.Empty(torch.Float32, torch.CPU, 1<<20) })
	assert.ErrorIs(t, err, torch.ErrOutOfMemory)
	assert.ErrorContains(t, err, "4194304 bytes")
}

func TestDoFromManyGoroutines(t *testing.T) {
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for range 50 {
				var sum float64
				assert.NoError(t, torch.Do(func(s *torch.Scope) {
					s.WithGrad(func() {
						x := s.Float32s([]float32{float32(g), 2})
						x.SetRequiresGrad(true)
						y := s.Sum(s.Mul(x, x))
						s.Backward(y)
						sum = s.Item(s.Sum(s.Grad(x)))
					})
				}))
				assert.Equal(t, float64(2*g+4), sum)
			}
		})
	}
	group.Wait()
}

func TestGradientsAreOffOutsideWithGrad(t *testing.T) {
	do(t, func(s *torch.Scope) {
		x := s.Float32s([]float32{1})
		x.SetRequiresGrad(true)
		assert.False(t, s.Add(x, x).RequiresGrad())
		s.WithGrad(func() { assert.True(t, s.Add(x, x).RequiresGrad()) })
		assert.Error(t, torch.Do(func(s *torch.Scope) { s.WithGrad(func() { panic("on the way out") }) }))
		assert.False(t, s.Add(x, x).RequiresGrad(), "restored after a panic")
	})
}

// kernel is an operation of ours as a function of named inputs that all want gradients.
type kernel struct {
	name   string
	shapes [][]int64
	apply  func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor
}

var segments = torch.Segments{0, 5, -1, 5, 6, -1, 6, 17, -1}
var prefixed = torch.Segments{0, 6, -1, 6, 9, 0, 9, 17, 0}

func angles(s *torch.Scope, like *torch.Tensor, n, half int64) (cos, sin *torch.Tensor) {
	values := make([]float64, n*half)
	for i := range values {
		values[i] = float64(i) * 0.37
	}
	a := s.Float64s(values, n, half)
	return s.To(s.Cos(a), like.DType()), s.To(s.Sin(a), like.DType())
}

var kernels = []kernel{
	{"rms_norm", [][]int64{{7, 33}, {33}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.RMSNorm(in[0], in[1], 1e-6, false)
	}},
	{"rms_norm unit offset, heads", [][]int64{{5, 3, 16}, {16}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.RMSNorm(in[0], in[1], 1e-5, true)
	}},
	{"rope", [][]int64{{6, 2, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		cos, sin := angles(s, in[0], 6, 4)
		return s.RoPE(in[0], cos, sin, false)
	}},
	{"rope partial interleaved", [][]int64{{6, 2, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		cos, sin := angles(s, in[0], 6, 2)
		return s.RoPE(in[0], cos, sin, true)
	}},
	{"gated silu", [][]int64{{9, 41}, {9, 41}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Gated(in[0], in[1], torch.SiLU)
	}},
	{"gated gelu tanh", [][]int64{{9, 41}, {9, 41}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Gated(in[0], in[1], torch.GELUTanh)
	}},
	{"attention", [][]int64{{17, 4, 8}, {17, 2, 8}, {17, 2, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Attention(in[0], in[1], in[2], segments, torch.Scores{Scale: 0.35})
	}},
	{"attention with a shared prefix", [][]int64{{17, 4, 8}, {17, 2, 8}, {17, 2, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Attention(in[0], in[1], in[2], prefixed, torch.Scores{Scale: 0.35})
	}},
	{"attention in a window, values of another width", [][]int64{{150, 4, 8}, {150, 2, 8}, {150, 2, 5}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Attention(in[0], in[1], in[2], torch.Segments{0, 3, -1, 3, 150, 0}, torch.Scores{Scale: 0.35, Window: 20})
	}},
	{"attention with a cap and slopes", [][]int64{{17, 4, 8}, {17, 2, 8}, {17, 2, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Attention(in[0], in[1], in[2], prefixed, torch.Scores{Scale: 0.35, Cap: 0.5, Window: 7, Slopes: []float32{0.5, 0.25, 0.125, 0.0625}})
	}},
	{"attention with slopes", [][]int64{{17, 4, 8}, {17, 4, 8}, {17, 4, 8}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Attention(in[0], in[1], in[2], segments, torch.Scores{Scale: 0.35, Slopes: []float32{0.5, 0.25, 0.125, 0.0625}})
	}},
	{"gated silu, side by side", [][]int64{{9, 42}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Gated(in[0], nil, torch.SiLU)
	}},
	{"gated gelu, side by side", [][]int64{{9, 42}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Gated(in[0], nil, torch.GELU)
	}},
	{"activation", [][]int64{{9, 42}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Activate(in[0], torch.GELUTanh)
	}},
	{"layer norm", [][]int64{{7, 33}, {33}, {33}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.LayerNorm(in[0], in[1], in[2], 1e-5)
	}},
	{"split", [][]int64{{7, 9}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		p := s.Split(in[0], 1, 2, 5, 2)
		return s.Mul(p[0], s.Add(p[2], s.SumLast(s.Reshape(p[1], 7, 1, 5))))
	}},
	{"cross entropy with bias and cap", [][]int64{{70, 12}, {50, 12}, {50}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		labels := make([]int64, 70)
		for i := range labels {
			labels[i] = int64(i*i) % 50
		}
		sum, _ := s.CrossEntropy(in[0], s.Int64s(labels, torch.CPU), torch.Head{Weight: in[1], Bias: in[2], Cap: 1.5}, 1)
		return sum
	}},
	{"cross entropy", [][]int64{{70, 12}, {50, 12}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		labels := make([]int64, 70)
		for i := range labels {
			labels[i] = int64(i*i) % 50
		}
		sum, _ := s.CrossEntropy(in[0], s.Int64s(labels, torch.CPU), torch.Head{Weight: in[1]}, 1) // chunks of 32, 32 and 6 rows
		return sum
	}},
	{"losses of tokens", [][]int64{{70, 12}, {50, 12}, {50}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		labels := make([]int64, 70)
		for i := range labels {
			labels[i] = int64(i*i) % 50
		}
		losses := s.TokenLosses(in[0], s.Int64s(labels, torch.CPU), torch.Head{Weight: in[1], Bias: in[2], Cap: 1.5}, 1)
		return s.Mul(losses, losses)
	}},
	{"losses of tokens under a head that is not trained", [][]int64{{70, 12}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		labels := make([]int64, 70)
		for i := range labels {
			labels[i] = int64(i*i) % 12
		}
		weight := make([]float32, 12*12)
		for i := range weight {
			weight[i] = float32(i%7) - 3
		}
		head := torch.Head{Weight: s.To(s.Float32s(weight, 12, 12), in[0].DType())}
		losses := s.TokenLosses(in[0], s.Int64s(labels, torch.CPU), head, 1)
		return s.Mul(losses, losses)
	}},
	{"dropout", [][]int64{{40, 11}}, func(s *torch.Scope, in []*torch.Tensor) *torch.Tensor {
		return s.Mul(s.Dropout(in[0], 0.3, 7), in[0])
	}},
}

// inputs are normal random numbers, the same in every type.
func (k kernel) inputs(s *torch.Scope, d torch.DType) []*torch.Tensor {
	random := rand.New(rand.NewPCG(1, 2))
	var list []*torch.Tensor
	for _, shape := range k.shapes {
		n := int64(1)
		for _, size := range shape {
			n *= size
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		x := s.To(s.Float32s(values, shape...), d)
		x.SetRequiresGrad(true)
		list = append(list, x)
	}
	return list
}

// results are the output and the gradients of Σ output⊙w, with fixed random w.
func (k kernel) results(s *torch.Scope, d torch.DType) [][]float32 {
	in := k.inputs(s, d)
	var all [][]float32
	s.WithGrad(func() {
		out := k.apply(s, in)
		all = append(all, s.ToFloat32s(out))
		random := rand.New(rand.NewPCG(3, 4))
		weights := make([]float32, out.Numel())
		for i := range weights {
			weights[i] = float32(random.NormFloat64())
		}
		shape := out.Shape()
		if len(shape) == 0 {
			shape = []int64{1}
		}
		s.Backward(s.Sum(s.Mul(s.Reshape(out, shape...), s.To(s.Float32s(weights, shape...), d))))
		for _, x := range in {
			all = append(all, s.ToFloat32s(s.Grad(x)))
		}
	})
	return all
}

// The float32 loops against the float64 formulas in ATen's own operations.
func TestFastKernelsEqualTheFormulas(t *testing.T) {
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			do(t, func(s *torch.Scope) {
				fast, exact := k.results(s, torch.Float32), k.results(s, torch.Float64)
				for i := range exact {
					assertClose(t, exact[i], fast[i], 2e-6)
				}
			})
		})
	}
}

// The float64 formulas against finite differences.
func TestGradientsByFiniteDifferences(t *testing.T) {
	const step = 1e-5
	for _, k := range kernels {
		if k.name == "dropout" || k.name == "cross entropy" && testing.Short() {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			do(t, func(s *torch.Scope) {
				in := k.inputs(s, torch.Float64)
				value := func() (v float64) {
					s.Inner(func(s *torch.Scope) { v = s.Item(s.Sum(s.Mul(k.apply(s, in), k.apply(s, in)))) })
					return v
				}
				s.WithGrad(func() {
					y := k.apply(s, in)
					s.Backward(s.Sum(s.Mul(y, y)))
				})
				for n, x := range in {
					grad := s.ToFloat32s(s.Grad(x))
					for _, at := range []int64{0, x.Numel() / 2, x.Numel() - 1} {
						element := s.Narrow(s.Reshape(s.Detach(x), -1), 0, at, 1)
						s.AddTo(element, s.Float64s([]float64{step}))
						up := value()
						s.AddTo(element, s.Float64s([]float64{-2 * step}))
						down := value()
						s.AddTo(element, s.Float64s([]float64{step}))
						want := (up - down) / (2 * step)
						assert.InDelta(t, want, grad[at], 1e-5*math.Max(1, math.Abs(want)), "input %d element %d", n, at)
					}
				}
			})
		})
	}
}

// assertClose compares relative to the largest element and names the worst one.
func assertClose(t *testing.T, want, got []float32, relative float64) {
	t.Helper()
	require.Len(t, got, len(want))
	var largest, worst float64
	at := 0
	for i := range want {
		largest = math.Max(largest, math.Abs(float64(want[i])))
		if d := math.Abs(float64(want[i] - got[i])); d > worst || d != d {
			worst, at = d, i
		}
	}
	if !(worst <= relative*math.Max(largest, 1e-3)) {
		t.Errorf("element %d is %g, want %g (largest %g, relative difference %.2g > %g)", at, got[at], want[at], largest, worst/largest, relative)
	}
}

func TestSegmentsIgnoreTheirNeighbours(t *testing.T) {
	do(t, func(s *torch.Scope) {
		in := kernels[6].inputs(s, torch.Float32)
		whole := s.Attention(in[0], in[1], in[2], segments, torch.Scores{Scale: 0.35})
		alone := s.Attention(s.Narrow(in[0], 0, 6, 11), s.Narrow(in[1], 0, 6, 11), s.Narrow(in[2], 0, 6, 11), torch.Segments{0, 11, -1}, torch.Scores{Scale: 0.35})
		assert.Equal(t, s.ToFloat32s(alone), s.ToFloat32s(s.Narrow(whole, 0, 6, 11)))
	})
}

// One token at a time over a cache is the same attention.
func TestCachedAttentionEqualsWhole(t *testing.T) {
	do(t, func(s *torch.Scope) {
		in := kernels[6].inputs(s, torch.Float32)
		whole := s.ToFloat32s(s.Attention(in[0], in[1], in[2], torch.Segments{0, 17, -1}, torch.Scores{Scale: 0.35}))
		keys, values := s.Zeros(torch.Float32, torch.CPU, 2, 20, 2, 8), s.Zeros(torch.Float32, torch.CPU, 2, 20, 2, 8)
		var got []float32
		for _, part := range [][2]int64{{0, 6}, {6, 7}, {7, 8}, {8, 17}} {
			n := part[1] - part[0]
			cut := func(x *torch.Tensor) *torch.Tensor { return s.Narrow(x, 0, part[0], n) }
			out := s.AttentionCached(cut(in[0]), cut(in[1]), cut(in[2]), keys, values, torch.Segments{0, n, 1}, []int64{part[0]}, torch.Scores{Scale: 0.35})
			got = append(got, s.ToFloat32s(out)...)
		}
		assertClose(t, whole, got, 2e-6)
	})
}

func TestLabelOutsideTheVocabulary(t *testing.T) {
	err := torch.Do(func(s *torch.Scope) {
		s.CrossEntropy(s.Zeros(torch.Float32, torch.CPU, 2, 3), s.Int64s([]int64{1, 5}, torch.CPU), torch.Head{Weight: s.Zeros(torch.Float32, torch.CPU, 5, 3)}, 1)
	})
	assert.ErrorContains(t, err, "labels from 1 to 5 for a vocabulary of 5")
}

func TestDropoutIsAFunctionOfItsSeed(t *testing.T) {
	do(t, func(s *torch.Scope) {
		ones := s.AddScalar(s.Zeros(torch.Float32, torch.CPU, 100000), 1)
		a, b, c := s.ToFloat32s(s.Dropout(ones, 0.25, 1)), s.ToFloat32s(s.Dropout(ones, 0.25, 1)), s.ToFloat32s(s.Dropout(ones, 0.25, 2))
		assert.Equal(t, a, b)
		assert.NotEqual(t, a, c)
		var kept float64
		for _, x := range a {
			kept += float64(x)
		}
		assert.InDelta(t, 100000, kept, 1000, "the mean stays") // sd of the sum 183
	})
}

func TestAdamWByHand(t *testing.T) {
	do(t, func(s *torch.Scope) {
		p, g := s.Float32s([]float32{1}), s.Float32s([]float32{4})
		m, v := s.Zeros(torch.Float32, torch.CPU, 1), s.Zeros(torch.Float32, torch.CPU, 1)
		s.AdamW([]*torch.Tensor{p}, []*torch.Tensor{g}, []*torch.Tensor{m}, []*torch.Tensor{v}, []float64{0.1},
			torch.AdamWStep{LearningRate: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 0.5, Step: 1})
		// clipped gradient 2; decay 1 − 0.01·0.1; the first step is lr·sign
		assert.InDelta(t, 1*(1-0.001)-0.01, s.Item(p), 1e-7)
		assert.InDelta(t, 0.2, s.Item(m), 1e-7)
		assert.InDelta(t, 0.004, s.Item(v), 1e-8)
	})
}

func TestNormByHand(t *testing.T) {
	do(t, func(s *torch.Scope) {
		assert.Equal(t, 5.0, s.Norm([]*torch.Tensor{s.Float32s([]float32{3}), s.Float64s([]float64{0, -4})}))
		assert.True(t, math.IsNaN(s.Norm([]*torch.Tensor{s.Float32s([]float32{3, float32(math.NaN())})})))
	})
}

// Training the last rows of an embedding and head alone gives them the gradient that the whole weight would have there.
func TestTheTailsGradientIsThatOfTheWhole(t *testing.T) {
	do(t, func(s *torch.Scope) {
		random := rand.New(rand.NewPCG(5, 6))
		values := make([]float32, 9*4)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		ids, labels := s.Int64s([]int64{1, 8, 3, 6, 8}, torch.CPU), s.Int64s([]int64{7, 0, 8, 2, 6}, torch.CPU)
		gradient := func(tailed bool) []float32 {
			weight := s.Float32s(values, 9, 4)
			var tail *torch.Tensor
			leaf := weight
			if tailed {
				tail = s.Detach(s.Narrow(weight, 0, 6, 3))
				leaf = tail
			}
			leaf.SetRequiresGrad(true)
			s.WithGrad(func() {
				var x *torch.Tensor
				if tailed {
					x = s.EmbeddingTail(weight, tail, ids)
				} else {
					x = s.Embedding(weight, ids)
				}
				sum, _ := s.CrossEntropy(x, labels, torch.Head{Weight: weight, Tail: tail}, 1)
				s.Backward(sum)
			})
			g := s.ToFloat32s(s.Grad(leaf))
			return g[len(g)-12:]
		}
		whole, tail := gradient(false), gradient(true)
		for i := range whole {
			assert.InDelta(t, whole[i], tail[i], 1e-6)
		}
	})
}

// A projection of few rows may take a way of its own. It gives what the other gives, and each row what it gives alone.
func TestFewRowsAreProjectedAsMany(t *testing.T) {
	do(t, func(s *torch.Scope) {
		random := rand.New(rand.NewPCG(8, 9))
		values := func(n int64) []float32 {
			list := make([]float32, n)
			for i := range list {
				list[i] = float32(random.NormFloat64())
			}
			return list
		}
		for _, in := range []int64{1, 7, 8, 33, 200} {
			for _, out := range []int64{1, 2, 3, 8, 23, 24, 25, 500} {
				w, b := s.Float32s(values(out*in), out, in), s.Float32s(values(out))
				for rows := int64(1); rows <= 18; rows++ {
					x := s.Float32s(values(rows*in), rows, in)
					var want []float32
					s.WithGrad(func() { want = s.ToFloat32s(s.Linear(x, w, b)) })
					var got []float32
					s.FewRows(func() { got = s.ToFloat32s(s.Linear(x, w, b)) })
					for i := range want {
						require.InDelta(t, want[i], got[i], 1e-4, "%d rows, %d to %d", rows, in, out)
					}
					if rows <= 16 {
						var last []float32
						s.FewRows(func() { last = s.ToFloat32s(s.Linear(s.Narrow(x, 0, rows-1, 1), w, b)) })
						require.Equal(t, last, got[(rows-1)*out:], "the last of %d rows alone, %d to %d", rows, in, out)
					}
				}
			}
		}
	})
}
