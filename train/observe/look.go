package observe

import (
	"fmt"
	"strings"
)

// look is what a terminal can show. The zero value is plain ASCII.
type look struct {
	colour bool
	blocks bool // block characters: the locale is UTF-8, or does not say
}

func newLook(env func(string) string) look {
	locale := env("LC_ALL")
	if locale == "" {
		locale = env("LC_CTYPE")
	}
	if locale == "" {
		locale = env("LANG")
	}
	locale = strings.ToUpper(locale)
	utf8 := locale == "" || strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
	return look{colour: env("NO_COLOR") == "", blocks: utf8}
}

func (l look) bold(s string) string { return l.paint("1", s) }
func (l look) dim(s string) string  { return l.paint("2", s) }
func (l look) warn(s string) string { return l.paint("33", s) } // yellow

func (l look) paint(code, s string) string {
	if !l.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// progress is the redrawn line, at most columns wide: what matters least is left out first.
func (l look) progress(e Event, steps, columns int) string {
	s, _ := e.Data.(Step)
	head := fmt.Sprintf("step %d", e.Step)
	if steps > 0 {
		head = fmt.Sprintf("step %d/%d", e.Step, steps)
	}
	bar := 0
	if steps > 0 && columns >= 60 {
		bar = 17 // "  ", ten cells, " 100%": worth more than the last figures
	}
	fields := stepFields(s)
	for len(fields) > 0 && width(head+"  "+strings.Join(fields, "  "))+bar > columns {
		fields = fields[:len(fields)-1]
	}
	tail := strings.Join(fields, "  ")
	if tail != "" {
		tail = "  " + tail
	}
	room := min(columns-width(head)-width(tail)-7, 30)
	room -= room % 5 // or the bar would twitch with every digit
	switch {
	case steps > 0 && room >= 5:
		done := min(float64(e.Step)/float64(steps), 1)
		return head + "  " + l.paint("36", l.bar(done, room)) + fmt.Sprintf(" %3.0f%%", 100*done) + tail
	case width(head) > columns:
		return cut(head, columns)
	}
	return head + tail
}

// bar fills a share of n cells, in eighths of a cell where it can.
func (l look) bar(share float64, n int) string {
	if !l.blocks {
		full := int(share * float64(n))
		return strings.Repeat("#", full) + strings.Repeat("-", n-full)
	}
	eighths := int(share * float64(n) * 8)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return bar + strings.Repeat("░", n-width(bar))
}
