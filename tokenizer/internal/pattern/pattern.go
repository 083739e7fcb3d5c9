// Package pattern finds the places where a text is cut.
//
// The patterns of published checkpoints are recognised by their text and matched by hand-written code (scheme.go).
// Any other is compiled by a small engine of our own: Go's regexp lacks look-ahead, and the dialect in which
// tokenizer.json is written (Oniguruma) reads nested brackets, possessive quantifiers and \s in its own way.
package pattern

import (
	"strings"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// Finder gives the first non-empty match at or after a place; −1, −1 if there is none.
type Finder interface {
	Find(s string, from int) (start, end int)
}

// Config is a pattern in tokenizer.json.
type Config struct {
	String string `json:"String"`
	Regex  string `json:"Regex"`
}

// Pattern cuts a text into matches and what lies between them.
type Pattern struct{ Finder }

// Compile builds the pattern; field is its place in the file.
func (c Config) Compile(field string) (Pattern, error) {
	if c.Regex == "" {
		return Pattern{literal(c.String)}, nil
	}
	finder, err := Parse(c.Regex)
	if err != nil {
		return Pattern{}, fault.New(fault.BadValue, field+".Regex", "%q: %v", c.Regex, err)
	}
	return Pattern{finder}, nil
}

// Parse gives the matcher of a regular expression: hand-written for those that published checkpoints use.
func Parse(regex string) (Finder, error) {
	if finder, ok := known[regex]; ok {
		return finder, nil
	}
	return Compile(regex)
}

// Matches covers the whole text with hits and gaps, without empty ones.
func (p Pattern) Matches(s string) []text.Match {
	var out []text.Match
	p.Each(s, func(start, end int, hit bool) { out = append(out, text.Match{Start: start, End: end, Hit: hit}) })
	return out
}

// Each calls f for every hit and gap, in order.
func (p Pattern) Each(s string, f func(start, end int, hit bool)) {
	at := 0
	for from := 0; from <= len(s); {
		start, end := p.Find(s, from)
		if start < 0 {
			break
		}
		if end == start { // a pattern may match nothing: go on at the next character
			from = next(s, end)
			continue
		}
		if at < start {
			f(at, start, false)
		}
		f(start, end, true)
		at, from = end, end
	}
	if at < len(s) {
		f(at, len(s), false)
	}
}

func next(s string, i int) int {
	for i++; i < len(s) && s[i]&0xC0 == 0x80; i++ {
	}
	return i
}

// literal is a pattern without operators. An empty one never matches.
type literal string

func (l literal) Find(s string, from int) (start, end int) {
	if l == "" || from > len(s) {
		return -1, -1
	}
	i := strings.Index(s[from:], string(l))
	if i < 0 {
		return -1, -1
	}
	return from + i, from + i + len(l)
}

// Class matches single characters.
type Class func(rune) bool

// Find gives the next character of the class.
func (c Class) Find(s string, from int) (start, end int) {
	i := strings.IndexFunc(s[from:], c)
	if i < 0 {
		return -1, -1
	}
	return from + i, next(s, from+i)
}
