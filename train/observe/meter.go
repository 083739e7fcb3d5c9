package observe

import "time"

// Meter measures a run's pace. It is used by one goroutine.
type Meter struct {
	start  time.Time
	steps  int // measured so far
	tokens int64
	recent [window]pace // a ring
	now    func() time.Time
}

const window = 32 // steps: few enough to follow a change, many enough to read

type pace struct {
	took   time.Duration
	tokens int
}

// NewMeter starts the clock of a run.
func NewMeter() *Meter {
	m := &Meter{now: time.Now}
	m.start = m.now()
	return m
}

// Add notes a step: its own time and its tokens.
func (m *Meter) Add(took time.Duration, tokens int) {
	m.recent[m.steps%window] = pace{took, tokens}
	m.steps++
	m.tokens += int64(tokens)
}

// TokensPerSecond is the pace of the last 32 steps, without what lay between them (evaluation, saving).
func (m *Meter) TokensPerSecond() float64 {
	var took time.Duration
	tokens := 0
	for _, p := range m.recent {
		took += p.took
		tokens += p.tokens
	}
	if took <= 0 {
		return 0
	}
	return float64(tokens) / took.Seconds()
}

// Remaining estimates the time for the steps that are left, from all of the run so far: evaluation and saving count.
func (m *Meter) Remaining(steps int) time.Duration {
	if m.steps == 0 || steps <= 0 {
		return 0
	}
	return m.Elapsed() / time.Duration(m.steps) * time.Duration(steps)
}

// Elapsed is the time since NewMeter, by the monotonic clock.
func (m *Meter) Elapsed() time.Duration { return m.now().Sub(m.start) }

// Tokens is how many tokens all steps had.
func (m *Meter) Tokens() int64 { return m.tokens }
