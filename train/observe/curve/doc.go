// Package curve draws a run's loss curve as a PNG: training loss raw and smoothed, evaluation loss, learning rate.
//
//	sinks = append(sinks, curve.New("out/loss.png", "out/metrics.jsonl"))
//
//	events, err := observe.ReadJSONL("out/metrics.jsonl") // or later, from the metrics file
//	err = curve.Render(file, events)
//
// The fonts are part of the program; letters that they lack, Chinese ones among them, are left out of the title.
package curve
