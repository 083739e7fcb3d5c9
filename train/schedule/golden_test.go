package schedule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/train/schedule"
)

// goldenCase is one line of goldens/sched: the rates of transformers.get_scheduler.
type goldenCase struct {
	Name          schedule.Name
	Kwargs        map[string]any
	BaseLR        float64 `json:"base_lr"`
	WarmupSteps   int     `json:"warmup_steps"`
	TrainingSteps int     `json:"training_steps"`
	LR            []float64
}

func TestGoldenSched(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "sched/*.jsonl") {
		cases := readCases(t, path)
		require.NotEmpty(t, cases, path)
		for i, c := range cases {
			t.Run(fmt.Sprintf("%s/%d_%s", filepath.Base(path), i+1, c.Name), func(t *testing.T) {
				s, err := c.config(t).New(c.BaseLR, c.TrainingSteps)
				require.NoError(t, err)
				requireRates(t, c.LR, s)
			})
		}
	}
}

// requireRates prints the worst step. 1e-12 on rates of about 1e-3: float64 throughout; Go's cosine may differ from C's
// in the last digit.
func requireRates(t *testing.T, want []float64, s schedule.Schedule) {
	require.NotEmpty(t, want)
	worst, at := 0.0, 0
	for step, rate := range want {
		if miss := math.Abs(s.At(step) - rate); !(miss <= worst) {
			worst, at = miss, step
		}
	}
	require.LessOrEqual(t, worst, 1e-12, "step %d: got %.17g, want %.17g", at, s.At(at), want[at])
}

func readCases(t *testing.T, path string) (cases []goldenCase) {
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var c goldenCase
			require.NoError(t, json.Unmarshal(line, &c))
			cases = append(cases, c)
		}
		if err != nil {
			return cases
		}
	}
}

// config takes the keyword arguments by their names. Python has None and 0 where a Config has 0 and Off.
func (c goldenCase) config(t *testing.T) schedule.Config {
	for key, value := range c.Kwargs {
		if value == 0.0 {
			c.Kwargs[key] = schedule.Off
		}
	}
	text, err := json.Marshal(c.Kwargs)
	require.NoError(t, err)
	config := schedule.Config{Name: c.Name, WarmupSteps: c.WarmupSteps}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&config))
	return config
}
