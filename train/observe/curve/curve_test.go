package curve

import (
	"bytes"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/train/observe"
)

// events is a run of n steps with an evaluation at every tenth.
func events(n int) []observe.Event {
	list := []observe.Event{{Data: observe.Start{Name: "sft 领域 r=16", Steps: n}}}
	for i := 1; i <= n; i++ {
		x := float64(i) / float64(n)
		list = append(list, observe.Event{Step: i, Data: observe.Step{Loss: 1 + 3*math.Exp(-5*x), LearningRate: 1e-4 * (1 - x)}})
		if i%10 == 0 {
			list = append(list, observe.Event{Step: i, Data: observe.Evaluation{Loss: 1.2 + 3*math.Exp(-5*x)}})
		}
	}
	return list
}

func TestThePictureShowsBothLosses(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, Render(&out, events(60)))
	picture, err := png.Decode(&out)
	require.NoError(t, err)
	assert.Equal(t, pictureWidth, picture.Bounds().Dx())
	assert.Equal(t, pictureHeight, picture.Bounds().Dy())
	seen := map[color.RGBA]int{}
	for x := left; x < right; x++ {
		for y := top; y < bottom; y++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			seen[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	assert.Greater(t, seen[color.RGBA(blue)], 1000, "training loss")
	assert.Greater(t, seen[color.RGBA(orange[0])], 1000, "evaluation loss")
}

func TestOddRunsAreDrawn(t *testing.T) {
	nan := math.NaN()
	for name, list := range map[string][]observe.Event{
		"one step":                {{Step: 1, Data: observe.Step{Loss: 2}}},
		"the same loss always":    {{Step: 1, Data: observe.Step{Loss: 2}}, {Step: 2, Data: observe.Step{Loss: 2}}},
		"losses that are not":     {{Step: 1, Data: observe.Step{Loss: nan}}, {Step: 2, Data: observe.Step{Loss: math.Inf(1)}}, {Step: 3, Data: observe.Step{Loss: 1}}},
		"rates that are not":      {{Step: 1, Data: observe.Step{Loss: 1, LearningRate: nan}}},
		"huge":                    {{Step: 1, Data: observe.Step{Loss: 1e300}}, {Step: 2, Data: observe.Step{Loss: -1e300}}},
		"evaluation before steps": {{Data: observe.Evaluation{Loss: 9}}, {Step: 1, Data: observe.Step{Loss: 1}}},
		"evaluation that is not":  {{Data: observe.Evaluation{Name: "领域", Loss: nan}}, {Step: 1, Data: observe.Step{Loss: 1}}},
		"a step twice":            {{Step: 1, Data: observe.Step{Loss: 2}}, {Step: 1, Data: observe.Step{Loss: 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, Render(&out, list))
			_, err := png.Decode(&out)
			assert.NoError(t, err)
		})
	}
	assert.ErrorIs(t, Render(&bytes.Buffer{}, nil), ErrNoSteps)
	assert.ErrorIs(t, Render(&bytes.Buffer{}, []observe.Event{{Step: 1, Data: observe.Step{Loss: nan}}}), ErrNoSteps)
}

func TestAxes(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		want      []string
	}{
		{1.03, 4.21, []string{"1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5"}},
		{0, 14, []string{"0", "2", "4", "6", "8", "10", "12", "14"}},
		{0.012, 0.013, []string{"0.0120", "0.0122", "0.0124", "0.0126", "0.0128", "0.0130"}},
	} {
		a := newAxis(tt.low, tt.high, 7, 100, 0)
		var labels []string
		for _, tick := range a.ticks {
			labels = append(labels, a.label(tick))
		}
		assert.Equal(t, tt.want, labels)
		assert.Equal(t, 100, a.at(a.low))
		assert.Equal(t, 0, a.at(a.high))
		assert.Equal(t, 0, a.at(math.Inf(1)), "what lies outside is on the edge")
	}
	steps := stepAxis(12_000, 0, 100)
	assert.Equal(t, "2,000", steps.label(steps.ticks[1]))
	rates := rateAxis(2e-5, 0, 100)
	assert.Equal(t, "5e-6", rates.label(rates.ticks[1]))
}

func TestSmoothingKeepsALine(t *testing.T) {
	var points []point
	for i := range 5000 {
		points = append(points, point{float64(i), 3 - 0.0005*float64(i) + 0.1*float64(i%2*2-1)}) // ±0.1 by turns
	}
	smooth := smoothed(points)
	assert.Len(t, smooth, 1000)
	for _, p := range smooth {
		assert.InDelta(t, 3-0.0005*p.x, p.y, 0.005) // at the ends too
	}
	assert.Equal(t, 4999.0, smooth[999].x)
}

func TestThinningKeepsSpikes(t *testing.T) {
	points := make([]point, 10_000)
	points[4321].y, points[6543].y = 9, -9
	thin := thinned(points, 100)
	assert.LessOrEqual(t, len(thin), 200)
	assert.Contains(t, thin, points[4321])
	assert.Contains(t, thin, points[6543])
}

func TestAResumedRunShowsItsWholeCurve(t *testing.T) {
	dir := t.TempDir()
	metrics, path := filepath.Join(dir, "metrics.jsonl"), filepath.Join(dir, "out", "loss.png")
	kept := observe.NewJSONL(metrics)
	for _, e := range events(40) {
		kept.Observe(e)
	}
	require.NoError(t, kept.Close())

	s := New(path, metrics)
	s.Observe(observe.Event{Step: 20, Data: observe.Start{Steps: 40}})
	assert.Len(t, s.run.loss, 20, "later steps will be done again")
	s.Observe(observe.Event{Step: 21, Data: observe.Step{Loss: 1}})
	s.Observe(observe.Event{Step: 21, Time: time.Unix(1e9, 0), Data: observe.Checkpoint{}})
	assert.FileExists(t, path)
	require.NoError(t, s.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestARunWithoutStepsHasNoPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loss.png")
	s := New(path, "")
	s.Observe(observe.Event{Data: observe.Start{}})
	require.NoError(t, s.Close())
	assert.NoFileExists(t, path)
}

func BenchmarkRender(b *testing.B) {
	list := events(10_000)
	for b.Loop() {
		require.NoError(b, Render(&bytes.Buffer{}, list))
	}
}
