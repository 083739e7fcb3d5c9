package observe

import (
	"context"
	"log/slog"
	"time"
)

// Slog hands events to a structured logger: warnings at level Warn, a failed end at Error, the rest at Info. Of the
// steps it logs the first, the last, and one every Every.
type Slog struct {
	Logger *slog.Logger  // nil means slog.Default()
	Every  time.Duration // 0 means 10 seconds; a negative value means every step

	pacer pacer
	steps int
}

// Observe logs the event.
func (s *Slog) Observe(e Event) {
	level := slog.LevelInfo
	switch d := e.Data.(type) {
	case Start:
		s.steps, s.pacer = d.Steps, newPacer(s.Every)
	case Step:
		if !s.pacer.due(e.Time) && e.Step != s.steps {
			return
		}
	case Warning:
		level = slog.LevelWarn
	case End:
		if d.Failed {
			level = slog.LevelError
		}
	}
	logger := s.Logger
	if logger == nil {
		logger = slog.Default()
	}
	attrs := append([]slog.Attr{slog.Int("step", e.Step)}, Attrs(e.Data)...)
	logger.LogAttrs(context.Background(), level, string(e.Kind()), attrs...)
}

// Lossy is true: a log that cannot keep up misses steps rather than holding them in memory.
func (s *Slog) Lossy() bool { return true }

// pacer says when the next line is due.
type pacer struct {
	every time.Duration
	last  time.Time
}

func newPacer(every time.Duration) pacer {
	if every == 0 {
		every = 10 * time.Second
	}
	return pacer{every: every}
}

func (p *pacer) due(now time.Time) bool {
	since := now.Sub(p.last)
	if since >= 0 && since < p.every { // a clock set back makes a line due, not silence
		return false
	}
	p.last = now
	return true
}
