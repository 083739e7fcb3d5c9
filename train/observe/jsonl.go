package observe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// JSONL writes events to a file, one JSON object a line: {"event":"step","time":"…","step":12,"loss":2.31,…}. A number
// that is not finite is null.
//
// The file is opened by the Start event. A resumed run goes on where it was: lines of later steps, which the run will
// do again, and a torn last line are cut off. A new run keeps the file that it finds as PATH.1, PATH.2, and so on.
// Each line is one write, and the file is synced when a checkpoint is reported, so it is never behind the checkpoint.
type JSONL struct {
	path string
	file *os.File
	err  error // the first; nothing is written after it
}

// NewJSONL writes to path, whose folder is made if it is not there. Errors come from Close.
func NewJSONL(path string) *JSONL { return &JSONL{path: path} }

// Observe writes a line.
func (j *JSONL) Observe(e Event) {
	if _, ok := e.Data.(Start); ok && j.file == nil && j.err == nil {
		j.file, j.err = openLines(j.path, e.Step)
	}
	if j.file == nil || j.err != nil {
		return
	}
	line, err := encodeLine(e)
	if err == nil {
		_, err = j.file.Write(line)
	}
	if _, ok := e.Data.(Checkpoint); ok && err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.err = fmt.Errorf("%s: metrics after step %d are not kept: %w", j.path, e.Step, err)
	}
}

// Close syncs and closes the file.
func (j *JSONL) Close() error {
	err := j.err
	if j.file != nil {
		err = errors.Join(err, j.file.Sync(), j.file.Close())
	}
	j.file, j.err = nil, nil
	return err
}

// openLines opens the metrics of a run that starts after step.
func openLines(path string, step int) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	if step == 0 {
		if err := setAside(path); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	keep, err := linesUpTo(file, path, step)
	if err == nil {
		err = file.Truncate(keep)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// setAside renames the metrics of an earlier run to the first free name.
func setAside(path string) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	for i := 1; ; i++ {
		old := fmt.Sprintf("%s.%d", path, i)
		if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(path, old)
		}
	}
}

// linesUpTo is the length of the part of a metrics file that is not later than step.
func linesUpTo(r io.Reader, path string, step int) (int64, error) {
	length := int64(0)
	for event, err := range lines(r, path) {
		if err != nil || event.Step > step {
			return length, err
		}
		length += event.length
	}
	return length, nil
}

// ReadJSONL reads the Start, Step, Evaluation and End events of a metrics file, for plots and comparisons. A torn last
// line is left out; another line that is not an event is an error with its number.
func ReadJSONL(path string) ([]Event, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []Event
	for event, err := range lines(file, path) {
		if err != nil {
			return events, err
		}
		if event.Data != nil {
			events = append(events, event.Event)
		}
	}
	return events, nil
}

// line is an event, without Data if only people read it, and the bytes it takes in the file.
type line struct {
	Event
	length int64
}

// lines walks a metrics file up to its last complete line.
func lines(r io.Reader, path string) func(yield func(line, error) bool) {
	return func(yield func(line, error) bool) {
		b := bufio.NewReader(r)
		for number := 1; ; number++ {
			text, err := b.ReadBytes('\n')
			switch {
			case err == io.EOF: // what is left has no newline: its write was torn
				return
			case err != nil:
				yield(line{}, err)
				return
			}
			event, known, err := decodeLine(text)
			if err != nil {
				err = fmt.Errorf("%s:%d: %w", path, number, err)
			}
			if !known {
				event.Data = nil
			}
			if !yield(line{event, int64(len(text))}, err) {
				return
			}
		}
	}
}
