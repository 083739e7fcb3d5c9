package curve

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofinetune/finetune/train/observe"
)

// redraw is the least time between two pictures of a running run: one costs about a quarter of a second of a core.
const redraw = time.Minute

// Sink draws the curve of a run: at checkpoints, but not more often than once a minute, and at the end.
type Sink struct {
	path    string
	metrics string
	run     run
	drawn   time.Time
	err     error
}

// New draws to path, a .png file. metrics names the run's metrics file, from which a resumed run takes the steps that
// were done before; "" draws only what is done since.
func New(path, metrics string) *Sink { return &Sink{path: path, metrics: metrics} }

// Observe keeps what is drawn.
func (s *Sink) Observe(e observe.Event) {
	switch e.Data.(type) {
	case observe.Start:
		s.run = run{}
		s.earlier(e.Step)
	case observe.Checkpoint:
		if since := e.Time.Sub(s.drawn); since < 0 || since >= redraw {
			s.drawn = e.Time
			s.draw()
		}
	}
	s.run.add(e)
}

// earlier reads the steps up to the one that a run resumes after.
func (s *Sink) earlier(step int) {
	if step == 0 || s.metrics == "" {
		return
	}
	events, err := observe.ReadJSONL(s.metrics)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.err = fmt.Errorf("the curve begins at step %d: %w", step, err)
	}
	for _, e := range events {
		if e.Step <= step {
			s.run.add(e)
		}
	}
}

func (s *Sink) draw() {
	if err := writeFile(s.path, s.run); err != nil && !errors.Is(err, ErrNoSteps) && s.err == nil {
		s.err = err
	}
}

// Close draws the last state and returns the first error.
func (s *Sink) Close() error {
	s.draw()
	err := s.err
	s.run, s.err, s.drawn = run{}, nil, time.Time{}
	return err
}

// WriteFile draws to a file, which is replaced as a whole: a viewer never sees half a picture.
func WriteFile(path string, events []observe.Event) error { return writeFile(path, collect(events)) }

func writeFile(path string, r run) error {
	if len(r.loss) == 0 {
		return ErrNoSteps
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.tmp-%d", path, os.Getpid())
	file, err := os.Create(temp)
	if err != nil {
		return err
	}
	err = render(file, r)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// Render writes a picture of the Start, Step and Evaluation events; without a step with a finite loss it returns
// ErrNoSteps.
func Render(w io.Writer, events []observe.Event) error { return render(w, collect(events)) }
