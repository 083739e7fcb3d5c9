package observe

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocked is a sink that shows nothing until it is released.
type blocked struct {
	Recorder
	release chan struct{}
	lossy   bool
}

func (b *blocked) Observe(e Event) {
	<-b.release
	b.Recorder.Observe(e)
}

func (b *blocked) Lossy() bool { return b.lossy }

type failing struct{ err error }

func (failing) Observe(Event)  {}
func (f failing) Close() error { return f.err }

func TestEverySinkSeesEveryEventInOrder(t *testing.T) {
	var a, b Recorder
	s := NewStream(&a, nil, &b)
	s.Emit(0, Start{Steps: 1000})
	for i := 1; i <= 1000; i++ {
		s.Emit(i, Step{Loss: float64(i)})
	}
	s.Warn(1000, "odd", "%d things", 2)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	s.Emit(1001, Step{}) // nobody listens any more
	for _, r := range []*Recorder{&a, &b} {
		events := r.Events()
		require.Len(t, events, 1002)
		for i, loss := range r.Losses() {
			require.Equal(t, float64(i+1), loss)
		}
		assert.Equal(t, Warning{Class: "odd", Text: "2 things"}, events[1001].Data)
	}
}

func TestASlowSinkDoesNotSlowTheRun(t *testing.T) {
	show, keep := &blocked{release: make(chan struct{}), lossy: true}, &blocked{release: make(chan struct{})}
	s := NewStream(show, keep)
	const steps = 10_000
	start := time.Now()
	for i := range steps {
		s.Emit(i, Step{})
	}
	s.Emit(steps, Warning{Text: "seen all the same"})
	assert.Less(t, time.Since(start), time.Second)
	close(show.release)
	close(keep.release)
	require.NoError(t, s.Close())

	assert.Len(t, keep.Events(), steps+1, "a sink that keeps gets everything")
	assert.Equal(t, steps+1-len(show.Events()), s.Lost())
	assert.Positive(t, s.Lost())
	_, warnings := All[Warning](show.Events())
	assert.Len(t, warnings, 1, "only steps and samples are lost")
}

func TestAPanickingSinkIsCutOff(t *testing.T) {
	var good Recorder
	s := NewStream(SinkFunc(func(e Event) {
		if e.Step == 2 {
			panic("boom")
		}
	}), &good)
	for i := 1; i <= 5; i++ {
		s.Emit(i, Step{})
	}
	err := s.Close()
	require.ErrorContains(t, err, "boom")
	assert.ErrorContains(t, err, "SinkFunc")
	assert.Len(t, good.Events(), 5)
}

func TestCloseReportsWhatSinksMet(t *testing.T) {
	full := errors.New("disk full")
	assert.ErrorIs(t, NewStream(failing{full}, failing{nil}).Close(), full)
}

func TestAHangingSinkIsGivenUp(t *testing.T) {
	hung := &blocked{release: make(chan struct{})}
	s := NewStream(hung)
	s.patience = 10 * time.Millisecond
	s.Emit(1, Step{})
	assert.ErrorContains(t, s.Close(), "hangs after 0 events")
	close(hung.release)
}

func TestManyMayEmit(t *testing.T) {
	var r Recorder
	s := NewStream(&r)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				s.Emit(i, Step{})
				s.Lost()
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Close())
	assert.Len(t, r.Events(), 800)
}

func TestMeter(t *testing.T) {
	clock := time.Unix(0, 0)
	m := NewMeter()
	m.now, m.start = func() time.Time { return clock }, clock
	assert.Zero(t, m.TokensPerSecond())
	assert.Zero(t, m.Remaining(10))
	for range 100 { // a second of training and a second of saving
		clock = clock.Add(2 * time.Second)
		m.Add(time.Second, 500)
	}
	assert.Equal(t, 500.0, m.TokensPerSecond())
	assert.Equal(t, 20*time.Second, m.Remaining(10))
	assert.EqualValues(t, 50_000, m.Tokens())
	for range window {
		m.Add(time.Second/2, 500)
	}
	assert.Equal(t, 1000.0, m.TokensPerSecond(), "it follows a change")
}

func BenchmarkEmit(b *testing.B) {
	s := NewStream(SinkFunc(func(Event) {}), SinkFunc(func(Event) {}), SinkFunc(func(Event) {}))
	defer s.Close()
	for b.Loop() {
		s.Emit(1, Step{Loss: 1})
	}
}
