package observe

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// write sends a run's events to a metrics file: the steps after from up to to.
func write(t *testing.T, path string, from, to int) {
	j := NewJSONL(path)
	j.Observe(Event{Time: noon, Step: from, Data: Start{Steps: to}})
	for i := from + 1; i <= to; i++ {
		j.Observe(Event{Time: noon, Step: i, Data: Step{Loss: float64(i), Tokens: 10}})
	}
	require.NoError(t, j.Close())
}

func steps(t *testing.T, path string) []int {
	events, err := ReadJSONL(path)
	require.NoError(t, err)
	numbers, _ := All[Step](events)
	return numbers
}

func TestALineOfMetrics(t *testing.T) {
	step := Step{
		Loss: 2.5, GradNorm: math.NaN(), LearningRate: 2e-5, Tokens: 1200, Duration: 1500 * time.Millisecond,
		Metrics: map[string]float64{"margin": 0.25, "odd": math.Inf(1)},
	}
	line, err := encodeLine(Event{Time: noon, Step: 7, Data: step})
	require.NoError(t, err)
	assert.Equal(t, `{"event":"step","time":"2026-01-02T12:00:00Z","step":7,"loss":2.5,"grad_norm":null,"learning_rate":0.00002,`+
		`"tokens":1200,"step_seconds":1.5,"metrics":{"margin":0.25,"odd":null}}`+"\n", string(line))

	back, ok, err := decodeLine(line)
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, 7, back.Step)
	got := back.Data.(Step)
	assert.True(t, math.IsNaN(got.GradNorm))
	got.GradNorm, got.Metrics, step.GradNorm, step.Metrics = 0, nil, 0, nil
	assert.Equal(t, step, got)
}

func TestEveryKindIsALineOfJSON(t *testing.T) {
	for _, d := range []Data{
		Start{Config: map[string]any{"rank": 8}}, Step{}, Evaluation{}, Checkpoint{Path: "a\nb"}, Sample{Prompt: "问", Text: "\x00\xff"},
		Warning{Text: `"`}, Ledger{Read: 3}, End{Reason: "done"},
	} {
		line, err := encodeLine(Event{Data: d})
		require.NoError(t, err)
		assert.True(t, json.Valid(line), "%s", line)
		assert.Equal(t, 1, strings.Count(string(line), "\n"))
	}
	_, err := encodeLine(Event{Data: Start{Config: func() {}}})
	assert.ErrorContains(t, err, "config")
}

func TestAResumedRunGoesOnInItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "metrics.jsonl")
	write(t, path, 0, 10)
	write(t, path, 6, 8) // killed after 10, resumed from the checkpoint of 6
	assert.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8}, steps(t, path))
	write(t, path, 8, 9)
	assert.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, steps(t, path))
}

func TestATornLineIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write(t, path, 0, 5)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := 1; cut < 80; cut += 7 { // torn inside the line of step 5
		require.NoError(t, os.WriteFile(path, content[:len(content)-cut], 0o644))
		assert.Equal(t, []int{1, 2, 3, 4}, steps(t, path))
		write(t, path, 4, 5)
		assert.Equal(t, []int{1, 2, 3, 4, 5}, steps(t, path))
	}
}

func TestANewRunKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write(t, path, 0, 3)
	write(t, path, 0, 2)
	write(t, path, 0, 1)
	assert.Len(t, steps(t, path), 1)
	assert.Len(t, steps(t, path+".1"), 3)
	assert.Len(t, steps(t, path+".2"), 2)
}

func TestAForeignFileIsNotCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	const notes = "{\"event\":\"step\",\"step\":1}\nnot JSON\n"
	require.NoError(t, os.WriteFile(path, []byte(notes), 0o644))
	j := NewJSONL(path)
	j.Observe(Event{Step: 4, Data: Start{}})
	j.Observe(Event{Step: 5, Data: Step{}})
	assert.ErrorContains(t, j.Close(), "notes.txt:2")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, notes, string(content))
	_, err = ReadJSONL(path)
	assert.ErrorContains(t, err, "notes.txt:2")
}

func TestAFullDiskIsReportedOnClose(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	j := NewJSONL(filepath.Join(t.TempDir(), "metrics.jsonl"))
	j.Observe(Event{Data: Start{}})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, j.file.Close())
	j.file = full
	j.Observe(Event{Step: 3, Data: Step{}})
	j.Observe(Event{Step: 4, Data: Step{}})
	assert.ErrorContains(t, j.Close(), "after step 3")
}

// Any bytes are an error, or an event that can be written.
func FuzzMetricsLine(f *testing.F) {
	f.Add([]byte(`{"event":"step","step":3,"loss":null,"metrics":{"a":null},"eta_seconds":1e300}`))
	f.Add([]byte(`{"event":"start","step":0,"config":{"a":[1]},"time":"2026-01-02T12:00:00Z"}`))
	f.Add([]byte(`{"event":"evaluation","step":3,"eval_loss":"x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok, err := decodeLine(line)
		if err == nil && ok {
			_, err := encodeLine(e)
			require.NoError(t, err)
		}
	})
}
