package observe

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// Sink shows or keeps events. Observe is called by one goroutine, in order. A sink that holds something open has a
// Close method as well (io.Closer), called once after the last event of a run; it returns the first error the sink met.
type Sink interface {
	Observe(Event)
}

// SinkFunc makes a function a Sink.
type SinkFunc func(Event)

// Observe calls the function.
func (f SinkFunc) Observe(e Event) { f(e) }

// Lossy is a sink that may miss Step and Sample events when it is too slow for them. Others get every event.
type Lossy interface {
	Sink
	Lossy() bool
}

const (
	lossyQueue = 64               // events waiting for a lossy sink
	fullQueue  = 1 << 20          // events waiting for any sink: it has hung, and memory has an end
	patience   = 10 * time.Second // Close waits so long for a sink that makes no progress
)

// Stream hands events to sinks, each in its own goroutine. Its methods may be called from several goroutines.
type Stream struct {
	queues   []*queue
	now      func() time.Time
	patience time.Duration
	closing  sync.Once
	closeErr error
}

// NewStream starts a goroutine for each sink; Close ends them. Nil sinks are left out.
func NewStream(sinks ...Sink) *Stream {
	s := &Stream{now: time.Now, patience: patience}
	for _, sink := range sinks {
		if sink == nil {
			continue
		}
		q := newQueue(sink)
		s.queues = append(s.queues, q)
		go q.run()
	}
	return s
}

// Emit gives an event to every sink and returns at once. step is the number of optimizer steps done. After Close it does nothing.
func (s *Stream) Emit(step int, data Data) {
	e := Event{Time: s.now(), Step: step, Data: data}
	for _, q := range s.queues {
		q.put(e)
	}
}

// Warn emits a Warning. A stage that has only this function to call needs not know of events.
func (s *Stream) Warn(step int, class, format string, args ...any) {
	s.Emit(step, Warning{Class: class, Text: fmt.Sprintf(format, args...)})
}

// Close waits until every sink has seen every event, closes those that can be closed, and returns what went wrong in
// them. A sink that makes no progress for ten seconds is given up and named. A second Close returns the same.
func (s *Stream) Close() error {
	s.closing.Do(func() {
		var failures []error
		for _, q := range s.queues {
			q.finish()
		}
		for _, q := range s.queues {
			failures = append(failures, q.wait(s.patience))
		}
		s.closeErr = errors.Join(failures...)
	})
	return s.closeErr
}

// queue holds what one sink has not seen yet.
type queue struct {
	sink  Sink
	lossy bool
	done  chan struct{} // closed when the goroutine has ended

	mu       sync.Mutex
	wake     sync.Cond
	waiting  []Event
	finished bool // no more events will come
	seen     int  // events handed to the sink
	lost     int  // events it was too slow for
	failure  error
}

func newQueue(sink Sink) *queue {
	q := &queue{sink: sink, done: make(chan struct{})}
	if l, ok := sink.(Lossy); ok {
		q.lossy = l.Lossy()
	}
	q.wake.L = &q.mu
	return q
}

func (q *queue) put(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.finished || q.failure != nil:
	case q.lossy && len(q.waiting) >= lossyQueue && dispensable(e), len(q.waiting) >= fullQueue:
		q.lost++
	default:
		q.waiting = append(q.waiting, e)
		q.wake.Signal()
	}
}

func dispensable(e Event) bool {
	switch e.Data.(type) {
	case Step, Sample:
		return true
	}
	return false
}

func (q *queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.finished = true
	q.wake.Signal()
}

// run hands over what waits until there is no more to come, or the sink panics.
func (q *queue) run() {
	defer close(q.done)
	for {
		events, last := q.take()
		for _, e := range events {
			if err := q.observe(e); err != nil {
				q.fail(err)
				return
			}
		}
		if last {
			q.fail(q.close())
			return
		}
	}
}

// take waits for events. last says that the queue is empty and stays so.
func (q *queue) take() (events []Event, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.finished {
		q.wake.Wait()
	}
	events, q.waiting = q.waiting, nil
	return events, len(events) == 0
}

func (q *queue) observe(e Event) (err error) {
	defer q.caught(&err)
	q.sink.Observe(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen++
	return nil
}

func (q *queue) close() (err error) {
	defer q.caught(&err)
	if c, ok := q.sink.(io.Closer); ok {
		err = c.Close()
	}
	return err
}

func (q *queue) caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("observe: sink %T panicked and was cut off: %v\n%s", q.sink, p, debug.Stack())
	}
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
	if q.lost > 0 && !q.lossy {
		q.failure = errors.Join(err, fmt.Errorf("observe: sink %T was too slow and lost %d events", q.sink, q.lost))
	}
	q.waiting = nil
}

// wait waits for the goroutine as long as it gets on.
func (q *queue) wait(patience time.Duration) error {
	for before := -1; ; {
		select {
		case <-q.done:
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.failure
		case <-time.After(patience):
		}
		q.mu.Lock()
		seen := q.seen
		q.mu.Unlock()
		if seen == before {
			return fmt.Errorf("observe: sink %T hangs after %d events and was given up", q.sink, seen)
		}
		before = seen
	}
}

// Lost is how many events the slow lossy sinks did not get.
func (s *Stream) Lost() int {
	lost := 0
	for _, q := range s.queues {
		q.mu.Lock()
		lost += q.lost
		q.mu.Unlock()
	}
	return lost
}
