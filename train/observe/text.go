package observe

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	eastasian "golang.org/x/text/width"
)

// stepFields lists a step's figures, the most wanted first.
func stepFields(s Step) []string {
	fields := []string{"loss " + number(s.Loss)}
	add := func(say bool, format string, args ...any) {
		if say {
			fields = append(fields, fmt.Sprintf(format, args...))
		}
	}
	add(s.Remaining > 0, "eta %s", short(s.Remaining))
	add(s.TokensPerSecond > 0, "%s tok/s", amount(s.TokensPerSecond))
	add(true, "lr %.2g", s.LearningRate)
	add(true, "grad %s", number(s.GradNorm))
	add(s.AllocatedBytes > 0, "mem %s", humanize.IBytes(uint64(max(0, s.AllocatedBytes))))
	add(s.PeakBytes > 0, "peak %s", humanize.IBytes(uint64(max(0, s.PeakBytes))))
	return append(fields, metricFields(s.Metrics)...)
}

func metricFields(metrics map[string]float64) (fields []string) {
	for _, key := range slices.Sorted(maps.Keys(metrics)) {
		fields = append(fields, clean(key)+" "+number(metrics[key]))
	}
	return fields
}

// plainStep is a step as a line of a log.
func plainStep(e Event, steps int) string {
	s, _ := e.Data.(Step)
	head := fmt.Sprintf("step %d", e.Step)
	if steps > 0 {
		head = fmt.Sprintf("step %d/%d (%.0f%%)", e.Step, steps, 100*float64(e.Step)/float64(steps))
	}
	if s.Epoch > 0 {
		head += fmt.Sprintf("  epoch %.2f", s.Epoch)
	}
	return head + "  " + strings.Join(stepFields(s), "  ")
}

func startLines(step int, s Start) []string {
	head := "training"
	if s.Name != "" {
		head += " " + clean(s.Name)
	}
	if s.Parameters > 0 {
		head += fmt.Sprintf(": %s of %s parameters (%.3g%%)", amount(float64(s.Trainable)), amount(float64(s.Parameters)),
			100*float64(s.Trainable)/float64(s.Parameters))
	}
	if s.Device != "" {
		head += " on " + s.Device
	}
	var plan []string
	if s.Steps > 0 {
		plan = append(plan, fmt.Sprintf("%d steps", s.Steps))
	}
	if s.Epochs > 0 {
		plan = append(plan, fmt.Sprintf("%.3g epochs", s.Epochs))
	}
	if s.Samples > 0 {
		plan = append(plan, fmt.Sprintf("%d samples", s.Samples))
	}
	if step > 0 {
		plan = append(plan, fmt.Sprintf("resuming after step %d", step))
	}
	if len(plan) == 0 {
		return []string{head}
	}
	return []string{head, strings.Join(plan, ", ")}
}

func evaluationLine(step int, e Evaluation) string {
	name := "evaluation"
	if e.Name != "" {
		name += " " + clean(e.Name)
	}
	line := fmt.Sprintf("%s after step %d: loss %s", name, step, number(e.Loss))
	if e.Best {
		line += " (best so far)"
	}
	return strings.Join(append([]string{line}, metricFields(e.Metrics)...), "  ")
}

func checkpointLine(step int, c Checkpoint) string {
	line := fmt.Sprintf("checkpoint after step %d: %s", step, clean(c.Path))
	var facts []string
	if c.Bytes > 0 {
		facts = append(facts, humanize.IBytes(uint64(c.Bytes)))
	}
	if c.Duration > 0 {
		facts = append(facts, short(c.Duration))
	}
	if c.Reason != "" {
		facts = append(facts, clean(c.Reason))
	}
	if len(facts) > 0 {
		line += " (" + strings.Join(facts, ", ") + ")"
	}
	return line
}

func ledgerLine(l Ledger) string {
	name := "data"
	if l.Source != "" {
		name += " " + clean(l.Source)
	}
	line := fmt.Sprintf("%s: %d records read, %d kept, %d dropped, %d truncated, %d repaired", name, l.Read, l.Kept, l.Dropped, l.Truncated, l.Repaired)
	if l.Path != "" {
		line += ", listed in " + clean(l.Path)
	}
	return line
}

func endLine(step int, e End) string {
	line := fmt.Sprintf("%s after step %d", clean(e.Reason), step)
	if e.Duration > 0 {
		line += " in " + short(e.Duration)
	}
	if e.Loss != 0 {
		line += ", loss " + number(e.Loss)
	}
	if e.TokensPerSecond > 0 {
		line += fmt.Sprintf(", %s tokens/s", amount(e.TokensPerSecond))
	}
	if e.PeakBytes > 0 {
		line += fmt.Sprintf(", peak memory %s", humanize.IBytes(uint64(e.PeakBytes)))
	}
	return line
}

// number keeps four digits that matter, and is short.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return fmt.Sprint(x)
	case a == 0 || a >= 0.01 && a < 1000:
		return fmt.Sprintf("%.4f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// amount is a count with three digits: 417, 4.18k, 13.2M.
func amount(x float64) string {
	for _, unit := range []string{"", "k", "M", "B"} {
		if x < 999.5 || unit == "B" {
			if unit == "" {
				return fmt.Sprintf("%.0f", x)
			}
			return fmt.Sprintf("%.3g%s", x, unit)
		}
		x /= 1000
	}
	return ""
}

// short is a duration with two units at most: 12s, 3m05s, 4h20m, 2d07h.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// clean makes text from data or a model safe to print: an escape sequence could do anything to a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // and reversed text
			return '\ufffd'
		}
		return r
	}, s)
}

// width is how many terminal cells a string takes: two for each East Asian wide character, none for combining marks.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += cells(r)
	}
	return n
}

func cells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch eastasian.LookupRune(r).Kind() {
	case eastasian.EastAsianWide, eastasian.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens a string to a number of cells.
func cut(s string, columns int) string {
	n := 0
	for i, r := range s {
		if n += cells(r); n > columns {
			return s[:i]
		}
	}
	return s
}
