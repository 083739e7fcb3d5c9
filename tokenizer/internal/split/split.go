// Package split holds the pre-tokenizers of tokenizer.json: they cut a normalized text into the pieces that the model
// then cuts into tokens. No token spans two pieces.
package split

import (
	"strings"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// Splitter cuts a text and appends the pieces, without empty ones.
type Splitter interface {
	Split(dst []text.Text, t text.Text) []text.Text
}

// Sequence cuts the pieces of each splitter with the next.
type Sequence []Splitter

// Split cuts with all.
func (s Sequence) Split(dst []text.Text, t text.Text) []text.Text {
	if len(s) == 1 {
		return s[0].Split(dst, t)
	}
	if len(s) == 0 {
		return append(dst, t)
	}
	pieces := []text.Text{t}
	for _, splitter := range s[:len(s)-1] {
		var next []text.Text
		for _, piece := range pieces {
			next = splitter.Split(next, piece)
		}
		pieces = next
	}
	for _, piece := range pieces {
		dst = s[len(s)-1].Split(dst, piece)
	}
	return dst
}

// NeedsOrigin tells whether a splitter after the first looks at where its piece comes from. It cannot see that from the
// place alone: a normalizer may make several pieces of the text's first character.
func (s Sequence) NeedsOrigin() bool {
	for i, splitter := range s {
		if m, ok := splitter.(Metaspace); ok && i > 0 && m.Scheme == "first" {
			return true
		}
	}
	return false
}

// Regex cuts at the matches of a pattern.
type Regex struct {
	Pattern  pattern.Pattern
	Behavior string // Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous
	Invert   bool   // what does not match is the delimiter
}

// Split cuts the text.
func (r Regex) Split(dst []text.Text, t text.Text) []text.Text {
	if r.Behavior == "Isolated" || r.Behavior == "Removed" { // the common ones need no list of matches
		return r.each(dst, t)
	}
	matches := r.Pattern.Matches(t.S)
	if r.Invert {
		for i := range matches {
			matches[i].Hit = !matches[i].Hit
		}
	}
	for _, m := range merge(matches, r.Behavior) {
		dst = append(dst, t.Slice(m.Start, m.End))
	}
	return dst
}

func (r Regex) each(dst []text.Text, t text.Text) []text.Text {
	keep := func(hit bool) bool { return r.Behavior == "Isolated" || hit == r.Invert }
	r.Pattern.Each(t.S, func(start, end int, hit bool) {
		if keep(hit) {
			dst = append(dst, t.Slice(start, end))
		}
	})
	return dst
}

var behaviors = map[string]bool{"Isolated": true, "Removed": true, "MergedWithPrevious": true, "MergedWithNext": true, "Contiguous": true}

// merge joins or removes delimiters; the ranges left are the pieces.
func merge(in []text.Match, behavior string) []text.Match {
	out := in[:0]
	hit := false // the match before was a delimiter
	switch behavior {
	case "Removed":
		for _, m := range in {
			if !m.Hit {
				out = append(out, m)
			}
		}
	case "Contiguous":
		for i, m := range in {
			if i > 0 && m.Hit == hit {
				out[len(out)-1].End = m.End
			} else {
				out = append(out, m)
			}
			hit = m.Hit
		}
	case "MergedWithPrevious":
		for _, m := range in {
			if m.Hit && !hit && len(out) > 0 {
				out[len(out)-1].End = m.End
			} else {
				out = append(out, m)
			}
			hit = m.Hit
		}
	case "MergedWithNext":
		return mergeNext(in)
	default:
		return in
	}
	return out
}

func mergeNext(in []text.Match) []text.Match {
	var back []text.Match
	hit := false // the match after was a delimiter
	for i := len(in) - 1; i >= 0; i-- {
		if in[i].Hit && !hit && len(back) > 0 {
			back[len(back)-1].Start = in[i].Start
		} else {
			back = append(back, in[i])
		}
		hit = in[i].Hit
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// All cuts by a pattern whose matches leave no gaps.
type All struct{ Cutter pattern.Cutter }

// Split cuts the text.
func (a All) Split(dst []text.Text, t text.Text) []text.Text {
	for i := 0; i < len(t.S); {
		end := a.Cutter.Cut(t.S, i)
		dst = append(dst, t.Slice(i, end))
		i = end
	}
	return dst
}

// Metaspace writes spaces as a visible mark, puts one before the text, and cuts before each mark.
type Metaspace struct {
	Mark   string
	Scheme string // always, first or never: which texts get a mark before them
	Cut    bool
}

// Split cuts the text.
func (m Metaspace) Split(dst []text.Text, t text.Text) []text.Text {
	space := pattern.Pattern{Finder: pattern.Spaces}
	if strings.IndexByte(t.S, ' ') >= 0 {
		if t.At == nil {
			t.S = strings.ReplaceAll(t.S, " ", m.Mark)
		} else {
			t = t.Replace(space.Matches(t.S), m.Mark)
		}
	}
	if (m.Scheme == "always" || m.Scheme == "first" && t.First) && !strings.HasPrefix(t.S, m.Mark) {
		t = t.Prepend(m.Mark)
	}
	if t.S == "" {
		return dst
	}
	if !m.Cut {
		return append(dst, t)
	}
	start := 0
	for start < len(t.S) {
		end := strings.Index(t.S[start+1:], m.Mark)
		if end < 0 {
			break
		}
		dst = append(dst, t.Slice(start, start+1+end))
		start += 1 + end
	}
	return append(dst, t.Slice(start, len(t.S)))
}

// ByteLevel puts a space before the text, cuts it, and writes bytes as characters.
type ByteLevel struct {
	PrefixSpace bool
	Cut         bool
	Raw         bool // leave the bytes as they are: the model reads bytes
}

// Split cuts the text.
func (b ByteLevel) Split(dst []text.Text, t text.Text) []text.Text {
	if b.PrefixSpace && !strings.HasPrefix(t.S, " ") {
		t = t.Prepend(" ")
	}
	from := len(dst)
	if b.Cut {
		dst = All{pattern.ByteLevel}.Split(dst, t)
	} else {
		dst = append(dst, t)
	}
	if !b.Raw {
		for i := from; i < len(dst); i++ {
			dst[i] = bytelevel.Map(dst[i])
		}
	}
	return dst
}

// Unmap turns byte-level characters back into bytes, for a model that reads bytes after splitters that read
// characters.
type Unmap struct{}

// Split does not cut.
func (Unmap) Split(dst []text.Text, t text.Text) []text.Text { return append(dst, bytelevel.Unmap(t)) }

// bert cuts at white space and around punctuation.
var bert = Sequence{whitespace, Regex{pattern.Pattern{Finder: pattern.Class(unidata.IsPunct)}, "Isolated", false}}

var whitespace = Regex{pattern.Pattern{Finder: pattern.Class(unidata.IsSpace)}, "Removed", false}

// fixed cuts into pieces of n characters.
type fixed int

func (n fixed) Split(dst []text.Text, t text.Text) []text.Text {
	start, count := 0, 0
	for i := range t.S {
		if count == int(n) {
			dst = append(dst, t.Slice(start, i))
			start, count = i, 0
		}
		count++
	}
	if start < len(t.S) {
		dst = append(dst, t.Slice(start, len(t.S)))
	}
	return dst
}

func unknown(field, kind string) error {
	return fault.New(fault.BadValue, field+".type", "unknown pre-tokenizer %q", kind)
}
