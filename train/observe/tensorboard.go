package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// TensorBoard writes event files that TensorBoard reads: `tensorboard --logdir DIR`. Scalars have the tags of the
// transformers Trainer (train/loss, train/grad_norm, train/learning_rate, eval/loss); samples and the config are texts.
// Each run is a new file in the folder; of a resumed run TensorBoard drops the steps that are done again.
type TensorBoard struct {
	dir  string
	file *os.File
	err  error
}

// NewTensorBoard writes to the folder dir, which is made if it is not there. Errors come from Close.
func NewTensorBoard(dir string) *TensorBoard { return &TensorBoard{dir: dir} }

// Observe writes what TensorBoard can show.
func (t *TensorBoard) Observe(e Event) {
	if start, ok := e.Data.(Start); ok && t.file == nil && t.err == nil {
		t.open(e, start)
	}
	if t.file == nil || t.err != nil {
		return
	}
	at := stamp{e.Time, int64(e.Step)}
	switch d := e.Data.(type) {
	case Step:
		t.write(at.scalars(stepScalars(d)))
	case Evaluation:
		t.write(at.scalars(evaluationScalars(d)))
	case Sample:
		// Markdown: an indented block shows the text as it is.
		t.write(at.text("sample", "**"+clean(d.Prompt)+"**\n\n"+indented(clean(d.Text))))
	case Warning:
		t.write(at.text("warning", clean(d.Text)))
	}
}

// open begins a file whose name sorts after those of earlier runs.
func (t *TensorBoard) open(e Event, start Start) {
	if t.err = os.MkdirAll(t.dir, 0o777); t.err != nil {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := fmt.Sprintf("events.out.tfevents.%010d.%09d.%s.%d", e.Time.Unix(), e.Time.Nanosecond(), host, os.Getpid())
	if t.file, t.err = os.OpenFile(filepath.Join(t.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); t.err != nil {
		return
	}
	at := stamp{e.Time, int64(e.Step)}
	t.write(at.version())
	if e.Step > 0 {
		t.write(stamp{e.Time, int64(e.Step) + 1}.sessionStart()) // purges what an earlier file has from this step on
	}
	if text, err := json.MarshalIndent(start, "", "  "); err == nil {
		t.write(at.text("config", indented(string(text))))
	}
}

func (t *TensorBoard) write(event []byte) {
	if t.err != nil {
		return
	}
	if _, err := t.file.Write(record(event)); err != nil {
		t.err = fmt.Errorf("%s: %w", t.file.Name(), err)
	}
}

// Close ends the file.
func (t *TensorBoard) Close() error {
	err := t.err
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	t.file, t.err = nil, nil
	return err
}

// scalar is one value under its tag.
type scalar struct {
	tag   string
	value float64
}

func stepScalars(s Step) []scalar {
	values := []scalar{{"train/loss", s.Loss}, {"train/grad_norm", s.GradNorm}, {"train/learning_rate", s.LearningRate}}
	for _, optional := range []scalar{
		{"train/epoch", s.Epoch},
		{"speed/tokens_per_second", s.TokensPerSecond},
		{"speed/step_seconds", s.Duration.Seconds()},
		{"memory/allocated_bytes", float64(s.AllocatedBytes)},
		{"memory/peak_bytes", float64(s.PeakBytes)},
	} {
		if optional.value != 0 {
			values = append(values, optional)
		}
	}
	return append(values, metricScalars("train/", s.Metrics)...)
}

func evaluationScalars(e Evaluation) []scalar {
	prefix := "eval/"
	if e.Name != "" {
		prefix += e.Name + "/"
	}
	return append([]scalar{{prefix + "loss", e.Loss}}, metricScalars(prefix, e.Metrics)...)
}

func metricScalars(prefix string, metrics map[string]float64) (values []scalar) {
	for _, key := range slices.Sorted(maps.Keys(metrics)) {
		values = append(values, scalar{prefix + key, metrics[key]})
	}
	return values
}

// stamp is when an event happened, on both clocks that TensorBoard knows.
type stamp struct {
	wall time.Time
	step int64
}
