package quality

import (
	"compress/flate"
	"math"
	"sync"
)

// running is the size of compressed running text as a share of its own, by its length: manuals and books in Chinese, where a
// character has three bytes, and in English. Short texts compress badly, as little of them has been seen before.
var running = []struct{ size, wide, narrow float64 }{
	{150, 0.95, 0.80}, {300, 0.85, 0.68}, {600, 0.73, 0.61}, {1000, 0.68, 0.58}, {2000, 0.58, 0.54}, {4000, 0.54, 0.49},
	{8000, 0.52, 0.46}, {16000, 0.50, 0.43}, {32000, 0.49, 0.41}, {96000, 0.48, 0.40},
}

// information compares the compressed size of a text with that of running text: 1 from 0.9 times to 1.25 times as much, 0
// at 0.35 times and at 1.6 times.
func information(text string, c *measures) float64 {
	wide := 3 * c.wide / math.Max(float64(len(text)), 1)
	ratio := float64(compressed(text)) / float64(len(text)) / expected(float64(len(text)), wide)
	return ramp(ratio, 0.35, 0.9) * (1 - ramp(ratio, 1.25, 1.6))
}

// expected interpolates the table over the logarithm of the length.
func expected(size, wide float64) float64 {
	at := func(i int) float64 { return wide*running[i].wide + (1-wide)*running[i].narrow }
	last := len(running) - 1
	switch {
	case size <= running[0].size:
		return at(0)
	case size >= running[last].size:
		return at(last)
	}
	i := 1
	for size > running[i].size {
		i++
	}
	t := math.Log(size/running[i-1].size) / math.Log(running[i].size/running[i-1].size)
	return (1-t)*at(i-1) + t*at(i)
}

// counter counts the bytes that are written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var compressors = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, 6) // the level is valid
	return w
}}

// compressed is the size of a text under DEFLATE.
func compressed(text string) int {
	var n counter
	w := compressors.Get().(*flate.Writer)
	defer compressors.Put(w)
	w.Reset(&n)
	_, _ = w.Write([]byte(text)) // a counter takes everything
	_ = w.Close()
	return int(n)
}
