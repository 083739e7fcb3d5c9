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
	every := 2 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	quit, finished := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(finished)
		tick := time.NewTicker(every)
		defer tick.Stop()
		reported := int64(0)
		for {
			select {
			case <-quit:
				if p.terminal {
					fmt.Fprint(p.out, "\r\x1b[K")
				}
				return
			case <-tick.C:
				n := min(done(), total)
				if p.terminal {
					fmt.Fprintf(p.out, "\r\x1b[K%s", line(label, n, total, time.Since(start)))
				} else if tenth := 10 * n / max(total, 1); tenth > reported {
					reported = tenth
					p.say("%s", line(label, n, total, time.Since(start)))
				}
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() { close(quit); <-finished })
	}
}

// line is "label  123 of 531 MB [####      ] 23%  41 MB/s".
func line(label string, n, total int64, since time.Duration) string {
	share := float64(n) / float64(max(total, 1))
	bar := strings.Repeat("#", int(20*share))
	return fmt.Sprintf("%s  %d of %s [%-20s] %3.0f%%  %.0f MB/s", label, n/1_000_000, megabytes(total), bar, 100*share,
		float64(n)/1e6/max(since.Seconds(), 0.1))
}
