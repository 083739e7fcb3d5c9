package data

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"sync"
)

// chunkSize is how many records travel together between goroutines: enough that the channels cost nothing.
const chunkSize = 32

type chunk[In, Out any] struct {
	in    []In
	errs  []error // of the source, aligned with in
	out   []Out
	err   error         // of the machinery: a panic
	ready chan struct{} // closed when out is complete
}

// ordered works on all cores and hands over results in the order of the source. It holds a bounded number of items, and
// when it returns none of its goroutines is left. take is called from the caller's goroutine; its error ends the work.
func ordered[In, Out any](ctx context.Context, source iter.Seq2[In, error], workers int,
	work func(In) Out, take func(Out, error) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()

	jobs := make(chan *chunk[In, Out], 2*workers)
	inOrder := make(chan *chunk[In, Out], 2*workers)
	running.Go(func() { readChunks(ctx, source, jobs, inOrder) })
	for range workers {
		running.Go(func() {
			for c := range jobs {
				if ctx.Err() == nil {
					c.run(work)
				}
				close(c.ready)
			}
		})
	}
	for c := range inOrder {
		<-c.ready
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		for i := range c.in {
			if err := take(c.out[i], c.errs[i]); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// readChunks walks the source and sends each chunk to the workers and, in order, to the consumer.
func readChunks[In, Out any](ctx context.Context, source iter.Seq2[In, error], jobs, inOrder chan<- *chunk[In, Out]) {
	defer close(jobs)
	defer close(inOrder)
	fresh := func() *chunk[In, Out] { return &chunk[In, Out]{ready: make(chan struct{})} }
	c := fresh()
	send := func() bool {
		select {
		case inOrder <- c:
		case <-ctx.Done():
			return false
		}
		jobs <- c // never blocks for long: the workers drain it to the end
		c = fresh()
		return true
	}
	defer func() {
		if v := recover(); v != nil {
			c.err = fmt.Errorf("data: panic while reading: %v\n%s", v, debug.Stack())
		}
		if len(c.in) > 0 || c.err != nil {
			send()
		}
	}()
	for in, err := range source {
		c.in, c.errs = append(c.in, in), append(c.errs, err)
		if ctx.Err() != nil || len(c.in) == chunkSize && !send() {
			return
		}
	}
}

func (c *chunk[In, Out]) run(work func(In) Out) {
	defer func() {
		if v := recover(); v != nil {
			c.err = fmt.Errorf("data: panic while encoding: %v\n%s", v, debug.Stack())
		}
	}()
	if c.err != nil {
		return
	}
	c.out = make([]Out, len(c.in))
	for i, in := range c.in {
		if c.errs[i] == nil {
			c.out[i] = work(in)
		}
	}
}
