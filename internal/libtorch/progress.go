package libtorch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress tells a person what is going on: a line a step, and on the long ones a count of bytes that is redrawn on a
// terminal and repeated every tenth part elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// watch reports done() of total bytes until the returned function is called, which waits for the last report.
func (p *progress) watch(label string, total int64, done func() int64) (stop func()) {
	start, reported := time.Now(), int64(0)
	return p.repeat(2*time.Second, func() string {
		n, tenth := done(), int64(0)
		if total > 0 {
			n = min(n, total)
			if tenth = 10 * n / total; tenth <= reported && !p.terminal {
				return ""
			}
		}
		reported = tenth
		return line(label, n, total, time.Since(start))
	})
}

// wait reports the time that has passed.
func (p *progress) wait(label string) (stop func()) {
	start := time.Now()
	return p.repeat(30*time.Second, func() string {
		return fmt.Sprintf("%s  %v", label, time.Since(start).Round(time.Second))
	})
}

// repeat writes text() again and again: over itself on a terminal, elsewhere a line of its own at most every interval.
// The returned function ends that, and returns when nothing more will be written.
func (p *progress) repeat(interval time.Duration, text func() string) (stop func()) {
	before, after := "", "\n"
	if p.terminal {
		interval, before, after = 200*time.Millisecond, "\r\x1b[K", ""
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				fmt.Fprint(p.out, before) // clears the line
				return
			case <-tick.C:
				if t := text(); t != "" {
					fmt.Fprint(p.out, before, t, after)
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit); <-ended })
}

// line is "label  123 of 531 MB [####      ]  23%  41 MB/s"; without the total where that is not known.
func line(label string, n, total int64, since time.Duration) string {
	speed := float64(n) / 1e6 / max(since.Seconds(), 0.1)
	if total <= 0 {
		return fmt.Sprintf("%s  %s  %.0f MB/s", label, megabytes(n), speed)
	}
	share := float64(n) / float64(total)
	return fmt.Sprintf("%s  %d of %s [%-20s] %3.0f%%  %.0f MB/s", label, n/1_000_000, megabytes(total), strings.Repeat("#", int(20*share)), 100*share, speed)
}
