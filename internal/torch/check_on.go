//go:build torchcheck

package torch

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// checking is true under -tags torchcheck: handles are then never used twice, and misuse panics.
const checking = true

// check remembers where a tensor was made and freed, to name both when it is used wrongly or lost.
type check struct{ history *history }

type history struct {
	origin string
	end    string
	freed  atomic.Bool
}

// lost collects the origins of tensors that the garbage collector found unfreed.
var lost struct {
	sync.Mutex
	origins []string
}

func (c *check) made(t *Tensor) {
	h := &history{origin: caller()}
	c.history = h
	// The cleanup reports; it never frees, because nobody knows what the libtorch thread is doing then.
	runtime.AddCleanup(t, reportLost, h)
}

func reportLost(h *history) {
	if h.freed.Load() {
		return
	}
	fmt.Fprintln(os.Stderr, "torchcheck: lost a tensor made at", h.origin)
	lost.Lock()
	lost.origins = append(lost.origins, h.origin)
	lost.Unlock()
}

func (c *check) used(*Tensor) {
	if h := c.history; h.freed.Load() {
		panic(fmt.Sprintf("torchcheck: use of a tensor made at %s after it was freed at %s", h.origin, h.end))
	}
}

func (c *check) freed(*Tensor) {
	h := c.history
	if h.freed.Load() {
		panic(fmt.Sprintf("torchcheck: second free of a tensor made at %s, freed at %s", h.origin, h.end))
	}
	h.end = caller()
	h.freed.Store(true)
}

// checkClosed reports tensors that were lost since it was last asked.
func checkClosed() error {
	lost.Lock()
	defer lost.Unlock()
	if len(lost.origins) == 0 {
		return nil
	}
	err := fmt.Errorf("torchcheck: lost tensors made at %s", strings.Join(lost.origins, ", "))
	lost.origins = nil
	return err
}

// caller is the first stack frame outside this package's own files.
func caller() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !more || !strings.Contains(f.File, "internal/torch/") || strings.HasSuffix(f.File, "_test.go") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}
