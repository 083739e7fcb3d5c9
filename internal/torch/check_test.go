//go:build torchcheck

package torch_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
)

// Under torchcheck misuse names where the tensor was made and where it ended, in this file.
func TestMisuseIsNamedByOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		misuse func(s *torch.Scope)
		want   string
	}{
		"double free": {
			func(s *torch.Scope) { x := made(s); s.Free(x); s.Free(x) },
			`second free of a tensor made at .*check_test\.go:\d+, freed at .*check_test\.go:\d+`,
		},
		"use after free": {
			func(s *torch.Scope) { x := made(s); s.Free(x); s.Add(x, x) },
			`use of a tensor made at .*check_test\.go:\d+ after it was freed at .*check_test\.go:\d+`,
		},
		"use after its scope": {
			func(s *torch.Scope) {
				var escaped *torch.Tensor
				s.Inner(func(s *torch.Scope) { escaped = made(s) })
				s.Add(escaped, escaped)
			},
			`use of a tensor made at .*check_test\.go:\d+ after it was freed`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			live := torch.Live()
			err := torch.Do(tt.misuse)
			require.Error(t, err)
			assert.Regexp(t, tt.want, err.Error())
			assert.Equal(t, live, torch.Live())
		})
	}
}

func made(s *torch.Scope) *torch.Tensor { return s.Zeros(torch.Float32, torch.CPU, 3) }

func TestAHandleIsNeverUsedTwice(t *testing.T) {
	do(t, func(s *torch.Scope) {
		x := made(s)
		s.Free(x)
		assert.NotSame(t, x, made(s))
	})
}

// An owned tensor that nobody has a handle to any more is lost. The collector finds it, and the next scope to close reports it.
func TestALostTensorIsReportedByOrigin(t *testing.T) {
	do(t, func(s *torch.Scope) { s.Own(made(s)) })
	lostOnPurpose++
	var err error
	assert.Eventually(t, func() bool {
		runtime.GC()
		err = torch.Do(func(*torch.Scope) {})
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	assert.ErrorContains(t, err, "lost tensors made at")
	assert.ErrorContains(t, err, "check_test.go:")
	do(t, func(*torch.Scope) {}) // said once
}
