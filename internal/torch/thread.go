package torch

// #include "kernels.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Do runs f on the libtorch thread in a scope of its own and returns when f has returned and the scope's tensors are freed.
// A refused operation, and any other panic in f, comes back as an error. Gradients are recorded only inside WithGrad.
//
// Do may be called from any goroutine. Calls queue; a long computation should come in pieces (a training step, a generated
// token), so that others get their turn. Called on the libtorch thread (from inside another Do) f runs at once.
func Do(f func(s *Scope)) error {
	start.Do(startThread)
	if int64(unix.Gettid()) == threadID.Load() {
		return run(f)
	}
	t := task{f: f, done: make(chan error, 1)}
	tasks <- t
	return <-t.done
}

type task struct {
	f    func(*Scope)
	done chan error
}

var (
	start    sync.Once
	tasks    = make(chan task)
	threadID atomic.Int64
)

func startThread() {
	ready := make(chan struct{})
	go serve(ready)
	<-ready
}

// serve runs tasks for the life of the process.
func serve(ready chan<- struct{}) {
	runtime.LockOSThread() // never unlocked: the thread is libtorch's
	threadID.Store(int64(unix.Gettid()))
	C.ft_memory_install()
	C.ft_grad_mode(0)
	close(ready)
	var t task
	defer func() { // only runtime.Goexit gets here: a test that fails inside its task. The next tasks need a thread.
		startThread()
		t.done <- errGoexit
	}()
	for t = range tasks {
		t.done <- run(t.f)
	}
}

var errGoexit = errors.New("torch: the function given to Do ended its goroutine (runtime.Goexit; in a test, FailNow)")

// run executes f in a new scope on the current thread, which is libtorch's.
func run(f func(*Scope)) (err error) {
	s := newScope(nil)
	defer func() {
		if r := recover(); r != nil {
			err = asError(r)
		}
		if e := s.close(); err == nil {
			err = e
		}
	}()
	f(s)
	return nil
}

func asError(r any) error {
	switch e := r.(type) {
	case *Error:
		return e
	case thrown:
		return e.err
	}
	return fmt.Errorf("torch: internal error: %v\n%s", r, debug.Stack())
}

// thrown carries an error of a caller's through the scopes to Do.
type thrown struct{ err error }

// Throw ends the enclosing Do, which returns err. For code between operations that finds it cannot go on.
func Throw(err error) { panic(thrown{err}) }

// SetThreads sets the number of threads that one operation may use; at least 1. The default is the number of cores, or
// OMP_NUM_THREADS.
func SetThreads(n int) error {
	return Do(func(*Scope) { C.ft_set_threads(C.int(max(1, n))) })
}

// Threads is the number of threads that one operation may use.
func Threads() (n int) {
	_ = Do(func(*Scope) { n = int(C.ft_threads()) })
	return n
}

// CUDADevices is the number of CUDA devices that libtorch can use.
func CUDADevices() (n int) {
	_ = Do(func(*Scope) { n = int(C.ft_cuda_devices()) })
	return n
}
