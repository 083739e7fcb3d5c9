package curve

import (
	"math"
	"slices"

	"github.com/gofinetune/finetune/train/observe"
)

// point is a value at an optimizer step.
type point struct{ x, y float64 }

// run is what a picture shows.
type run struct {
	name   string
	loss   []point            // of each step
	smooth []point            // the same, averaged; made when it is drawn
	rate   []point            // learning rate
	evals  map[string][]point // loss by the name of the data set
	last   int                // the last step on the axis
}

func collect(events []observe.Event) run {
	var r run
	for _, e := range events {
		r.add(e)
	}
	return r
}

// add takes the finite values out of an event.
func (r *run) add(e observe.Event) {
	x := float64(e.Step)
	switch d := e.Data.(type) {
	case observe.Start:
		r.name = d.Name
	case observe.Step:
		r.last = max(r.last, e.Step)
		r.loss = appendFinite(r.loss, x, d.Loss)
		r.rate = appendFinite(r.rate, x, d.LearningRate)
	case observe.Evaluation:
		r.last = max(r.last, e.Step)
		if r.evals == nil {
			r.evals = map[string][]point{}
		}
		r.evals[d.Name] = appendFinite(r.evals[d.Name], x, d.Loss)
	}
}

func appendFinite(points []point, x, y float64) []point {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return points
	}
	return append(points, point{x, y})
}

// smoothed fits a straight line around each of at most 1,000 steps, over a twentieth of the run to each side and with
// weights that fall to 0 there. Unlike a running average of the past it does not lag behind, and the ends are not bent.
func smoothed(points []point) []point {
	reach := len(points) / 20
	n := min(len(points), 1000)
	out := make([]point, n)
	for i := range out {
		at := i * (len(points) - 1) / max(1, n-1)
		out[i] = point{points[at].x, localFit(points[max(0, at-reach):min(len(points), at+reach+1)], points[at].x)}
	}
	return out
}

// localFit is the value at x of the line of least weighted squares.
func localFit(points []point, x float64) float64 {
	reach := max(points[len(points)-1].x-x, x-points[0].x) + 1
	var w, wx, wy, wxx, wxy float64
	for _, p := range points {
		d := p.x - x
		k := 1 - math.Abs(d)/reach
		w, wx, wy, wxx, wxy = w+k, wx+k*d, wy+k*p.y, wxx+k*d*d, wxy+k*d*p.y
	}
	if det := w*wxx - wx*wx; det > 1e-9*w*wxx {
		return (wxx*wy - wx*wxy) / det
	}
	return wy / w
}

// thinned keeps the lowest and the highest point of each of n stretches: no spike is lost.
func thinned(points []point, n int) []point {
	if len(points) <= 2*n {
		return points
	}
	var out []point
	for i := range n {
		part := points[i*len(points)/n : (i+1)*len(points)/n]
		low, high := 0, 0
		for j, p := range part {
			if p.y < part[low].y {
				low = j
			}
			if p.y > part[high].y {
				high = j
			}
		}
		out = append(out, part[min(low, high)])
		if low != high {
			out = append(out, part[max(low, high)])
		}
	}
	return out
}

// lossRange is the range of the loss axis: all of the averaged and the evaluation loss, and of the raw loss all but the
// highest percent, so that one spike does not flatten the curve.
func (r run) lossRange() (low, high float64) {
	var lows, highs []float64
	raw := values(r.loss)
	slices.Sort(raw)
	if len(raw) > 0 {
		lows, highs = append(lows, raw[0]), append(highs, raw[(len(raw)-1)*99/100])
	}
	for _, points := range r.evals {
		lows, highs = append(lows, values(points)...), append(highs, values(points)...)
	}
	highs = append(highs, values(r.smooth)...)
	if len(lows) == 0 {
		return 0, 1
	}
	return slices.Min(lows), slices.Max(highs)
}

func values(points []point) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = p.y
	}
	return out
}
