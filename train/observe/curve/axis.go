package curve

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// axis maps values to pixels, and has round numbers to label.
type axis struct {
	low, high  float64
	begin, end float64 // pixels of low and high
	ticks      []float64
	label      func(float64) string
}

// newAxis covers low to high with about n steps of 1, 2 or 5 times a power of ten.
func newAxis(low, high float64, n int, begin, end float64) axis {
	if !(high > low) {
		pad := math.Max(math.Abs(low)*0.1, 1e-9)
		low, high = low-pad, high+pad
	}
	step := roundStep((high - low) / float64(n))
	a := axis{begin: begin, end: end}
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	for i := first; i <= last; i++ {
		a.ticks = append(a.ticks, i*step)
	}
	a.low, a.high = first*step, last*step
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	a.label = func(x float64) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	return a
}

func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	switch m := x / power; {
	case m <= 1.0001:
		return power
	case m <= 2.0001:
		return 2 * power
	case m <= 5.0001:
		return 5 * power
	}
	return 10 * power
}

// stepAxis goes from 0 to the last step, exactly, in whole steps.
func stepAxis(last int, begin, end float64) axis {
	last = max(last, 1)
	a := axis{low: 0, high: float64(last), begin: begin, end: end}
	step := max(1, roundStep(float64(last)/8))
	for x := 0.0; x <= a.high; x += step {
		a.ticks = append(a.ticks, x)
	}
	a.label = func(x float64) string { return grouped(int(x)) }
	return a
}

// rateAxis labels learning rates as 2e-5.
func rateAxis(high float64, begin, end float64) axis {
	if high <= 0 {
		high = 1
	}
	a := newAxis(0, high*1.02, 5, begin, end)
	a.label = func(x float64) string {
		if x == 0 {
			return "0"
		}
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', 3, 64), "e")
		power, _ := strconv.Atoi(exponent)
		return fmt.Sprintf("%se%d", strings.TrimRight(strings.TrimRight(mantissa, "0"), "."), power)
	}
	return a
}

// at is the pixel of a value; what lies outside is put on the edge.
func (a axis) at(x float64) int {
	share := math.Min(math.Max((x-a.low)/(a.high-a.low), 0), 1)
	return int(math.Round(a.begin + share*(a.end-a.begin)))
}

// grouped writes 12,000.
func grouped(n int) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}
