// Package text holds text that may have been normalized and still knows where each byte came from.
package text

import "unicode/utf8"

// Span is a byte range of the original text.
type Span struct{ Start, End int32 }

// Text is a piece of text on its way through normalization and splitting.
type Text struct {
	S     string
	At    []Span // for each byte of S its origin; nil where offsets are not wanted
	First bool   // begins where the original text begins
}

// New is the piece s of a text, beginning at byte base of it. Every byte of a character has the character's span.
func New(s string, base int, track bool) Text {
	t := Text{S: s, First: base == 0}
	if !track {
		return t
	}
	t.At = make([]Span, 0, len(s))
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		span := Span{int32(base + i), int32(base + i + n)}
		for range n {
			t.At = append(t.At, span)
		}
		i += n
	}
	return t
}

// Slice is the part [i, j).
func (t Text) Slice(i, j int) Text {
	if t.At == nil {
		return Text{S: t.S[i:j], First: t.First && i == 0}
	}
	return Text{S: t.S[i:j], At: t.At[i:j], First: i < j && t.At[i].Start == 0}
}

// Origin is the span of the bytes [i, j).
func (t Text) Origin(i, j int) Span {
	if i >= j || j > len(t.At) {
		return Span{}
	}
	return Span{t.At[i].Start, t.At[j-1].End}
}

// Edit is one character of a text being rewritten. Change is 0 where it stands for one character of the old text, +1
// where it was inserted, −n where n further characters vanished after it.
type Edit struct {
	R      rune
	Change int
}

// Rewrite makes a new text of the edits. The first skip characters of the old text vanish. An inserted character
// takes the origin of the byte before it.
func (t Text) Rewrite(edits []Edit, skip int) Text {
	out := Text{First: t.First}
	buf := make([]byte, 0, len(t.S)+len(t.S)/8)
	if t.At == nil {
		for _, e := range edits {
			buf = utf8.AppendRune(buf, e.R)
		}
		out.S = string(buf)
		return out
	}
	out.At = make([]Span, 0, cap(buf))
	at := forward(t.S, 0, skip)
	for _, e := range edits {
		from := len(buf)
		buf = utf8.AppendRune(buf, e.R)
		origin := t.origin(at, e.Change > 0)
		for range len(buf) - from {
			out.At = append(out.At, origin)
		}
		if e.Change <= 0 {
			at = forward(t.S, at, 1-e.Change)
		}
	}
	out.S = string(buf)
	return out
}

func (t Text) origin(at int, inserted bool) Span {
	switch {
	case inserted && at > 0:
		return t.At[at-1]
	case !inserted && at < len(t.At):
		return t.At[at]
	}
	return Span{}
}

// forward is the place n characters after i.
func forward(s string, i, n int) int {
	for ; n > 0 && i < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return i
}

// Prepend puts a prefix before a text that is not empty; it shares the first character's origin.
func (t Text) Prepend(prefix string) Text {
	if t.S == "" {
		return t
	}
	out := Text{S: prefix + t.S, First: t.First}
	if t.At != nil {
		out.At = make([]Span, 0, len(out.S))
		for range len(prefix) {
			out.At = append(out.At, t.At[0])
		}
		out.At = append(out.At, t.At...)
	}
	return out
}

// Match is a byte range and whether the pattern matched there; a list of them covers a text without gaps.
type Match struct {
	Start, End int
	Hit        bool
}

// Replace puts content in the place of every hit; it takes the origin of the last byte replaced.
func (t Text) Replace(matches []Match, content string) Text {
	out := Text{First: t.First}
	buf := make([]byte, 0, len(t.S)+len(t.S)/4)
	if t.At != nil {
		out.At = make([]Span, 0, cap(buf))
	}
	for _, m := range matches {
		if !m.Hit {
			buf = append(buf, t.S[m.Start:m.End]...)
			if t.At != nil {
				out.At = append(out.At, t.At[m.Start:m.End]...)
			}
			continue
		}
		buf = append(buf, content...)
		if t.At != nil {
			var origin Span
			if m.End > 0 {
				origin = t.At[m.End-1]
			}
			for range len(content) {
				out.At = append(out.At, origin)
			}
		}
	}
	out.S = string(buf)
	return out
}
