// Package unidata classifies characters as the reference tokenizer library does.
//
// A tokenizer cuts text by character class, so a class that changes with the Go release would change token ids. The
// tables here are those of Unicode 16.0 whatever the version of Go. The sets in older.go are smaller: the reference
// draws them from older tables, and a character unknown there is cut differently.
package unidata

import (
	_ "embed"
	"strconv"
	"strings"
)

// Category is a set of general categories: every character has exactly one bit, an unassigned one has none.
type Category uint32

// The general categories, and the groups of them that patterns name by one letter.
const (
	Lu Category = 1 << iota
	Ll
	Lt
	Lm
	Lo
	Mn
	Mc
	Me
	Nd
	Nl
	No
	Pc
	Pd
	Ps
	Pe
	Pi
	Pf
	Po
	Sm
	Sc
	Sk
	So
	Zs
	Zl
	Zp
	Cc
	Cf
	Co
	White // White_Space: the separators and the control characters that are blank

	Letter = Lu | Ll | Lt | Lm | Lo
	Mark   = Mn | Mc | Me
	Number = Nd | Nl | No
	Punct  = Pc | Pd | Ps | Pe | Pi | Pf | Po
	Symbol = Sm | Sc | Sk | So
)

var names = map[string]Category{
	"Lu": Lu, "Ll": Ll, "Lt": Lt, "Lm": Lm, "Lo": Lo, "Mn": Mn, "Mc": Mc, "Me": Me, "Nd": Nd, "Nl": Nl, "No": No,
	"Pc": Pc, "Pd": Pd, "Ps": Ps, "Pe": Pe, "Pi": Pi, "Pf": Pf, "Po": Po, "Sm": Sm, "Sc": Sc, "Sk": Sk, "So": So,
	"Zs": Zs | White, "Zl": Zl | White, "Zp": Zp | White, "Cc": Cc, "Cf": Cf, "Co": Co,
}

//go:embed categories.txt
var categories string

// pages holds the category of every code point; equal pages are shared.
var pages [0x110000 >> 8]*[256]Category

// ASCII is the first half page, for loops that look at single bytes first.
var ASCII [128]Category

func init() {
	var empty [256]Category
	full := map[Category]*[256]Category{} // pages of one category, such as those of Chinese characters
	own := map[int]bool{}
	for i := range pages {
		pages[i] = &empty
	}
	for line := range strings.Lines(categories) {
		if line[0] == '#' {
			continue
		}
		first, rest, _ := strings.Cut(line, " ")
		last, name, _ := strings.Cut(strings.TrimSpace(rest), " ")
		fill(hex(first), hex(last), names[name], full, own)
	}
	for _, r := range []rune{'\t', '\n', '\v', '\f', '\r', 0x85} {
		pages[r>>8][r&255] |= White
	}
	copy(ASCII[:], pages[0][:128])
}

func hex(s string) int {
	n, err := strconv.ParseUint(s, 16, 21)
	if err != nil {
		panic("unidata: " + err.Error()) // embedded: cannot happen in a built program
	}
	return int(n)
}

func fill(first, last int, c Category, full map[Category]*[256]Category, own map[int]bool) {
	for r := first; r <= last; {
		page, end := r>>8, r|255
		if r&255 == 0 && end <= last {
			if full[c] == nil {
				full[c] = new([256]Category)
				for i := range full[c] {
					full[c][i] = c
				}
			}
			pages[page] = full[c]
			r = end + 1
			continue
		}
		if !own[page] {
			own[page], pages[page] = true, new([256]Category)
		}
		for ; r <= min(end, last); r++ {
			pages[page][r&255] = c
		}
	}
}

// Of gives the category of a character, 0 when it has none.
func Of(r rune) Category {
	if uint32(r) >= 0x110000 {
		return 0
	}
	return pages[r>>8][r&255]
}

// Is tells whether a character is in one of the categories.
func Is(r rune, c Category) bool { return Of(r)&c != 0 }

// IsSpace is White_Space.
func IsSpace(r rune) bool { return Of(r)&White != 0 }
