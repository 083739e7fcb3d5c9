package observe

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Terminal shows a run to people. On a terminal one line is redrawn, at most ten times a second, and everything else
// scrolls above it; elsewhere (a file, a pipe, CI) it writes plain lines: the first step, the last, and one every Every.
// Colours are left out where NO_COLOR is set or TERM is dumb. Text from the model is cleaned of control characters.
type Terminal struct {
	Every time.Duration // between plain lines; 0 means 10 seconds, a negative value a line for every step

	w       io.Writer
	fd      int // of the terminal; −1 where w is none
	look    look
	pacer   pacer
	start   Start
	last    Event // the last step, for the redrawn line
	drawn   bool  // the redrawn line is on the screen
	started time.Time
	err     error
}

// NewTerminal writes to w, usually os.Stderr: a program's results go to standard output.
func NewTerminal(w io.Writer) *Terminal {
	t := &Terminal{w: w, fd: -1}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		t.fd = int(f.Fd())
		t.look = newLook(os.Getenv)
	}
	return t
}

// Lossy is true: a line that is not drawn in time is not drawn.
func (t *Terminal) Lossy() bool { return true }

// Observe shows the event.
func (t *Terminal) Observe(e Event) {
	switch d := e.Data.(type) {
	case Start:
		t.start, t.last, t.started, t.pacer = d, Event{}, e.Time, newPacer(t.Every)
		if t.fd >= 0 {
			t.pacer = newPacer(100 * time.Millisecond)
		}
		t.say(startLines(e.Step, d)...)
	case Step:
		t.step(e)
	case Evaluation:
		t.say(t.look.bold(evaluationLine(e.Step, d)))
	case Checkpoint:
		t.say(t.look.dim(checkpointLine(e.Step, d)))
	case Sample:
		t.say(t.sampleLines(e.Step, d)...)
	case Warning:
		t.say(t.look.warn(fmt.Sprintf("warning: step %d: %s", e.Step, clean(d.Text))))
	case Ledger:
		t.say(ledgerLine(d))
	case End:
		t.end(e, d)
	}
}

func (t *Terminal) step(e Event) {
	last := t.start.Steps > 0 && e.Step >= t.start.Steps
	t.last = e
	if !t.pacer.due(e.Time) && !last {
		return
	}
	if t.fd < 0 {
		t.say(plainStep(e, t.start.Steps))
		return
	}
	t.draw()
}

// draw puts the line of the last step on the screen, over the one that is there.
func (t *Terminal) draw() {
	columns, _, err := term.GetSize(t.fd)
	if err != nil || columns < 10 {
		columns = 80
	}
	t.write("\r" + t.look.progress(t.last, t.start.Steps, columns-1) + "\x1b[K")
	t.drawn = true
}

// say writes whole lines, above the redrawn one.
func (t *Terminal) say(lines ...string) {
	text := strings.Join(lines, "\n") + "\n"
	if t.drawn {
		text = "\r\x1b[K" + text
	}
	t.write(text)
	if t.drawn {
		t.draw()
	}
}

func (t *Terminal) end(e Event, d End) {
	if t.drawn { // leave the last state of the bar on the screen
		t.draw()
		t.write("\n")
		t.drawn = false
	}
	line := endLine(e.Step, d)
	if d.Failed {
		line = t.look.warn(line)
	}
	t.say(line)
}

// Close leaves the cursor on a line of its own, and returns the first error of writing.
func (t *Terminal) Close() error {
	if t.drawn {
		t.write("\n")
		t.drawn = false
	}
	err := t.err
	t.err = nil
	return err
}

func (t *Terminal) write(text string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.w, text)
	}
}

func (t *Terminal) sampleLines(step int, s Sample) []string {
	lines := []string{t.look.dim(fmt.Sprintf("sample after step %d", step))}
	for _, l := range strings.Split(clean(s.Prompt), "\n") {
		lines = append(lines, t.look.dim("  > "+l))
	}
	for _, l := range strings.Split(clean(s.Text), "\n") {
		lines = append(lines, "  "+l)
	}
	return lines
}
