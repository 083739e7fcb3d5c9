package data

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// WriteTo prints the ledger for people: the counts of each source, then each reason with its first places. The whole
// list is in Entries; each of them prints on one line.
func (l *Ledger) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	counts := table{right: 1, rows: [][]string{{"source", "read", "kept", "dropped", "truncated", "repaired", "tokens", "learned"}}}
	for _, s := range l.Sources {
		counts.add(s.Name, s.Counts)
	}
	if len(l.Sources) != 1 {
		counts.add("total", l.Counts)
	}
	counts.write(&b)
	if len(l.Reasons) > 0 {
		b.WriteByte('\n')
		reasons := table{right: -1, rows: [][]string{{"what", "why", "records", "first"}}}
		for _, r := range l.Reasons {
			reasons.rows = append(reasons.rows, []string{string(r.Action), string(r.Class), strconv.Itoa(r.Count), r.places()})
		}
		reasons.write(&b)
	}
	if l.Unlisted > 0 {
		fmt.Fprintf(&b, "\n%d more are counted above but not listed\n", l.Unlisted)
	}
	if fields := l.fieldCounts(); len(fields) > 0 {
		fmt.Fprintf(&b, "\nfields not used: %s\n", strings.Join(fields, ", "))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// places writes the first places, the file's name once.
func (r ReasonCount) places() string {
	var b strings.Builder
	for i, p := range r.First {
		switch {
		case i == 0:
			b.WriteString(p.String())
		case p.File == r.First[i-1].File:
			fmt.Fprintf(&b, ", %d", p.Line)
		default:
			b.WriteString(", " + p.String())
		}
	}
	if r.Count > len(r.First) {
		b.WriteString(", …")
	}
	return b.String()
}

// table prints rows in columns as wide as a terminal shows them: a Chinese character takes two places.
type table struct {
	rows  [][]string
	right int // first of the columns set to the right, all to the last; −1: none
}

func (t *table) add(name string, c Counts) {
	row := []string{name}
	for _, n := range []int64{int64(c.Read), int64(c.Kept), int64(c.Dropped), int64(c.Truncated), int64(c.Repaired), c.Tokens, c.Targets} {
		row = append(row, strconv.FormatInt(n, 10))
	}
	t.rows = append(t.rows, row)
}

func (t *table) write(b *strings.Builder) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], cells(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", widths[i]-cells(cell))
			if t.right >= 0 && i >= t.right {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// cells is how many places of a terminal a text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Cc):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func wide(r rune) bool {
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}
