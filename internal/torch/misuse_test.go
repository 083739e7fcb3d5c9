package torch_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
)

// A handle that was freed is an error of its user, never a read of address 0: that would end the process.
func TestAFreedTensorIsRefused(t *testing.T) {
	live := torch.Live()
	for name, misuse := range map[string]func(s *torch.Scope, x *torch.Tensor){
		"used as an operand": func(s *torch.Scope, x *torch.Tensor) { s.Free(x); s.Add(x, x) },
		"asked its shape":    func(s *torch.Scope, x *torch.Tensor) { s.Free(x); x.Shape() },
		"copied into":        func(s *torch.Scope, x *torch.Tensor) { y := s.Clone(x); s.Free(x); s.Copy(x, y) },
		"freed again":        func(s *torch.Scope, x *torch.Tensor) { s.Free(x); s.Free(x) },
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Do(func(s *torch.Scope) { misuse(s, s.Zeros(torch.Float32, torch.CPU, 2)) })
			assert.ErrorContains(t, err, "freed")
			assert.Equal(t, live, torch.Live())
		})
	}
}

func TestCopyOfAnotherShapeSaysWhy(t *testing.T) {
	err := torch.Do(func(s *torch.Scope) {
		s.Copy(s.Zeros(torch.Float32, torch.CPU, 2, 3), s.Zeros(torch.Float32, torch.CPU, 5))
	})
	var refused *torch.Error
	require.ErrorAs(t, err, &refused)
	assert.ErrorContains(t, err, "[2 3] float32, [5] float32")
	assert.Contains(t, refused.Reason, "must match", "libtorch's own words")
}

// A test that fails inside a task ends the task's goroutine. The next task must find a thread.
func TestATaskThatEndsItsGoroutine(t *testing.T) {
	live := torch.Live()
	err := torch.Do(func(s *torch.Scope) {
		s.Zeros(torch.Float32, torch.CPU, 2)
		runtime.Goexit()
	})
	assert.ErrorContains(t, err, "Goexit")
	assert.Equal(t, live, torch.Live(), "the scope unwound")
	do(t, func(s *torch.Scope) {
		x := s.Float32s([]float32{2})
		x.SetRequiresGrad(true)
		assert.False(t, s.Mul(x, x).RequiresGrad(), "gradients are off on the new thread too")
	})
}

func TestALimitLeavesNothingBehind(t *testing.T) {
	live, bytes := torch.Live(), torch.MemoryNow().Live
	torch.LimitMemory(bytes + 1<<20)
	defer torch.LimitMemory(0)
	for range 20 {
		err := torch.Do(func(s *torch.Scope) {
			s.WithGrad(func() {
				x := s.Zeros(torch.Float32, torch.CPU, 1<<16) // 256 KiB
				x.SetRequiresGrad(true)
				y := s.Sum(s.Exp(s.Exp(x)))
				s.Backward(y) // each gradient takes another 256 KiB
			})
		})
		assert.ErrorIs(t, err, torch.ErrOutOfMemory)
		assert.Equal(t, live, torch.Live())
		assert.Equal(t, bytes, torch.MemoryNow().Live)
	}
}
