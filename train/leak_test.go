package train_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/train"
)

// A run leaves no tensor, no byte and no goroutine, however it ends.
func TestARunLeavesNothingBehind(t *testing.T) {
	m := newModel(t)
	a, err := lora.Attach(m, lora.Config{Rank: 4, Dropout: 0.1})
	require.NoError(t, err)
	defer a.Close()
	for name, tt := range map[string]struct {
		config train.Config
		end    func(cancel func()) // called in the third micro-batch
	}{
		"to the end":    {train.Config{LearningRate: 1e-3, Steps: 4, Output: t.TempDir(), SaveEvery: 2, EvalEvery: 2}, func(func()) {}},
		"cancelled":     {train.Config{LearningRate: 1e-3, Steps: 9, Output: t.TempDir()}, func(cancel func()) { cancel() }},
		"with a panic":  {train.Config{LearningRate: 1e-3, Steps: 9}, func(func()) { panic("a bug") }},
		"not resumable": {train.Config{LearningRate: 1e-3, Resume: "nowhere"}, func(func()) {}},
	} {
		t.Run(name, func(t *testing.T) {
			handles, bytes, goroutines := torch.Live(), torch.MemoryNow().Live, runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			objective := before(func(call int) {
				if call == 3 {
					tt.end(cancel)
				}
			})(train.NextToken{Model: m})
			engine, err := train.New("test", m, objective, newSamples(6, 1), newSamples(2, 2), tt.config)
			require.NoError(t, err)
			_, _ = engine.Run(ctx)
			assert.Equal(t, handles, torch.Live(), "tensors")
			assert.Equal(t, bytes, torch.MemoryNow().Live, "bytes")
			assert.Zero(t, torch.MemoryNow().Cached, "what was kept for the next step is given back")
			for wait := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(wait) < 5*time.Second; {
				time.Sleep(time.Millisecond) // a goroutine that has said its last is counted until it is gone
			}
			assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines, "goroutines")
		})
	}
}

// Step k+100 holds what step k held: bytes of tensors to the last one, tensors, and Go's heap but for what a few bytes of book-keeping
// may take. Every step sees samples of other lengths.
func TestMemoryDoesNotCreep(t *testing.T) {
	type reading struct {
		bytes, tensors int64
		heap, objects  uint64
		allocations    uint64
		goroutines     int
	}
	readings := map[int]reading{}
	s := setting{lora: &lora.Config{Dropout: 0.1}, samples: newSamples(50, 1),
		config: train.Config{LearningRate: 1e-4, MicroBatch: 2, Accumulate: 2, Steps: 160}}
	s.wrap = before(func(call int) {
		if call%2 == 1 && (call+1)/2%50 == 0 { // the first micro-batch of steps 50, 100 and 150
			m := settledHeap()
			readings[(call+1)/2] = reading{torch.MemoryNow().Live, torch.Live(), m.HeapAlloc, m.HeapObjects, m.Mallocs, runtime.NumGoroutine()}
		}
	})
	// The recorder of other tests keeps every event, so this run has no sink.
	m := newModel(t)
	a, err := lora.Attach(m, *s.lora)
	require.NoError(t, err)
	defer a.Close()
	engine, err := train.New("test", m, s.wrap(train.NextToken{Model: m}), s.samples, nil, s.config)
	require.NoError(t, err)
	_, err = engine.Run(context.Background())
	require.NoError(t, err)
	early, late := readings[50], readings[150]
	perStep := float64(int64(late.heap)-int64(early.heap)) / 100
	t.Logf("Go heap: %+.1f bytes a step, %+.2f objects a step; %d allocations a step", perStep,
		float64(int64(late.objects)-int64(early.objects))/100, (late.allocations-early.allocations)/100)
	assert.Equal(t, early.bytes, late.bytes)
	assert.Equal(t, early.tensors, late.tensors)
	assert.Equal(t, early.goroutines, late.goroutines)
	assert.Less(t, perStep, 200.0)
}

// settledHeap reads Go's heap when further collections free nothing more: what a cleanup holds (torchcheck gives every tensor one) is
// free only some collections after the tensor.
func settledHeap() (m runtime.MemStats) {
	for before := ^uint64(0); ; before = m.HeapObjects {
		runtime.GC()
		time.Sleep(5 * time.Millisecond) // cleanups run beside the program
		runtime.ReadMemStats(&m)
		if m.HeapObjects >= before {
			return m
		}
	}
}

// What a step of unequal samples holds at its end does not depend on them.
func TestAllocatedBytesAreTheSameAfterEveryStep(t *testing.T) {
	o := setting{samples: newSamples(20, 1), config: train.Config{LearningRate: 1e-4, MicroBatch: 3, Epochs: 2}}.run(t, context.Background())
	require.NoError(t, o.err)
	for _, s := range o.steps {
		assert.Equal(t, o.steps[0].AllocatedBytes, s.AllocatedBytes)
		assert.GreaterOrEqual(t, s.PeakBytes, s.AllocatedBytes)
	}
}
