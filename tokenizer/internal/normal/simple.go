package normal

import (
	"strings"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

func lowercase(t text.Text) text.Text {
	edits := make([]text.Edit, 0, len(t.S))
	var low []rune
	for _, r := range t.S {
		low = unidata.Lower(low[:0], r)
		for i, l := range low {
			edits = append(edits, text.Edit{R: l, Change: min(i, 1)})
		}
	}
	return t.Rewrite(edits, 0)
}

// filter removes the characters for which drop is true; a removed one counts to the kept one before it.
func filter(t text.Text, drop func(rune) bool) text.Text {
	if strings.IndexFunc(t.S, drop) < 0 {
		return t
	}
	edits := make([]text.Edit, 0, len(t.S))
	skip := 0
	for _, r := range t.S {
		switch {
		case !drop(r):
			edits = append(edits, text.Edit{R: r})
		case len(edits) == 0:
			skip++
		default:
			edits[len(edits)-1].Change--
		}
	}
	return t.Rewrite(edits, skip)
}

func stripAccents(t text.Text) text.Text { return filter(t, unidata.IsAccent) }

func nmt(t text.Text) text.Text {
	return each(filter(t, unidata.NmtDrops), func(r rune) rune {
		if unidata.NmtBlank(r) {
			return ' '
		}
		return r
	})
}

// each replaces characters one by one.
func each(t text.Text, f func(rune) rune) text.Text {
	if strings.IndexFunc(t.S, func(r rune) bool { return f(r) != r }) < 0 {
		return t
	}
	edits := make([]text.Edit, 0, len(t.S))
	for _, r := range t.S {
		edits = append(edits, text.Edit{R: f(r)})
	}
	return t.Rewrite(edits, 0)
}

type strip struct{ left, right bool }

func (s strip) Normalize(t text.Text) text.Text {
	end := len(t.S)
	if s.right {
		end = len(strings.TrimRightFunc(t.S, unidata.IsSpace))
	}
	start := 0
	if s.left {
		start = end - len(strings.TrimLeftFunc(t.S[:end], unidata.IsSpace))
	}
	out := t.Slice(start, end)
	out.First = t.First
	return out
}

// ByteLevel writes each byte as a character of the byte-level alphabet.
type ByteLevel struct{}

// Normalize does it.
func (ByteLevel) Normalize(t text.Text) text.Text { return bytelevel.Map(t) }

func bert(c config) Normalizer {
	strip := c.Lowercase
	if c.StripAccents != nil {
		strip = *c.StripAccents
	}
	var out Sequence
	if c.CleanText {
		out = append(out, Func(cleanText))
	}
	if c.ChineseChars {
		out = append(out, Func(spaceAroundHan))
	}
	if strip {
		out = append(out, form{}, Func(func(t text.Text) text.Text { return filter(t, unidata.IsBertAccent) }))
	}
	if c.Lowercase {
		out = append(out, Func(lowercase))
	}
	return out
}

func cleanText(t text.Text) text.Text {
	return each(filter(t, unidata.IsBertControl), func(r rune) rune {
		if unidata.IsSpace(r) {
			return ' '
		}
		return r
	})
}

func spaceAroundHan(t text.Text) text.Text {
	if strings.IndexFunc(t.S, unidata.IsBertHan) < 0 {
		return t
	}
	edits := make([]text.Edit, 0, len(t.S))
	for _, r := range t.S {
		if unidata.IsBertHan(r) {
			edits = append(edits, text.Edit{R: ' '}, text.Edit{R: r, Change: 1}, text.Edit{R: ' ', Change: 1})
		} else {
			edits = append(edits, text.Edit{R: r})
		}
	}
	return t.Rewrite(edits, 0)
}
