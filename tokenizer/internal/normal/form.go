package normal

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gofinetune/finetune/tokenizer/internal/text"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// form is a Unicode normalization form. The library x/text tells whether there is anything to do; the work is done
// here, because origins must follow each character, because x/text puts a joiner into long runs of marks, and
// because the reference's tables are older.
type form struct{ compose, compat bool }

func (f form) library() norm.Form {
	switch {
	case f.compose && f.compat:
		return norm.NFKC
	case f.compat:
		return norm.NFKD
	case f.compose:
		return norm.NFC
	}
	return norm.NFD
}

func (f form) Normalize(t text.Text) text.Text {
	if f.library().IsNormalString(t.S) {
		return t
	}
	edits := f.decompose(t.S)
	if f.compose {
		edits = compose(edits)
	}
	return t.Rewrite(edits, 0)
}

// decompose gives the characters in canonical order.
func (f form) decompose(s string) []text.Edit {
	out := make([]text.Edit, 0, len(s)+8)
	var classes []uint8 // of out
	run := 0            // where the present run of marks begins
	for i := 0; i < len(s); {
		properties, size := f.properties(s[i:])
		whole := s[i : i+size]
		parts := string(properties.Decomposition())
		if parts == "" {
			parts = jamo(whole)
		}
		if parts == "" || whole == "\U00011938" { // the reference's table lacks that one
			parts = whole
		}
		i += size
		change := 0
		for _, r := range parts {
			class := classOf(r)
			out, classes = append(out, text.Edit{R: r, Change: change}), append(classes, class)
			change = 1
			if class == 0 {
				order(out[run:len(out)-1], classes[run:len(out)-1])
				run = len(out)
			}
		}
	}
	order(out[run:], classes[run:])
	return out
}

// jamo takes a Hangul syllable apart; the library's tables leave that to arithmetic. "" for anything else.
func jamo(s string) string {
	const first, leads, vowels, tails, count = 0xAC00, 0x1100, 0x1161, 0x11A7, 11172
	r, _ := utf8.DecodeRuneInString(s)
	n := r - first
	if n < 0 || n >= count {
		return ""
	}
	parts := []rune{leads + n/588, vowels + n%588/28}
	if tail := n % 28; tail > 0 {
		parts = append(parts, tails+tail)
	}
	return string(parts)
}

func (f form) properties(s string) (norm.Properties, int) {
	properties := norm.NFD.PropertiesString(s)
	size := max(properties.Size(), 1)
	if f.compat {
		r := []rune(s[:size])
		if len(r) == 1 && !unidata.NoCompat(r[0]) {
			properties = norm.NFKD.PropertiesString(s)
		}
	}
	return properties, size
}

func classOf(r rune) uint8 {
	if r < 0x300 || unidata.NoClass(r) {
		return 0
	}
	var buf [4]byte
	return norm.NFD.Properties(append(buf[:0], string(r)...)).CCC()
}

// order sorts a run of marks by class, stably.
func order(edits []text.Edit, classes []uint8) {
	if slices.IsSorted(classes) {
		return
	}
	for i := 1; i < len(edits); i++ { // insertion: runs are short
		for j := i; j > 0 && classes[j-1] > classes[j]; j-- {
			edits[j-1], edits[j] = edits[j], edits[j-1]
			classes[j-1], classes[j] = classes[j], classes[j-1]
		}
	}
}

// compose joins marks to the base before them wherever a single character exists for both.
func compose(in []text.Edit) []text.Edit {
	out := make([]text.Edit, 0, len(in))
	base := -1             // place in out of the character that marks may join
	last, some := 0, false // class of the last mark that stayed between
	for _, e := range in {
		class := int(classOf(e.R))
		if base < 0 {
			out = append(out, e)
			if class == 0 {
				base, some = len(out)-1, false
			}
			continue
		}
		if !some || last < class { // not blocked
			if joined, ok := pair(out[base].R, e.R); ok {
				out[base] = text.Edit{R: joined, Change: out[base].Change + e.Change - 1}
				continue
			}
		}
		out = append(out, e)
		if class == 0 {
			base, some = len(out)-1, false
		} else {
			last, some = class, true
		}
	}
	return out
}

// pair is the canonical composition of two characters.
func pair(a, b rune) (rune, bool) {
	if a < 0x80 && b < 0x300 || b < 0x80 {
		return 0, false
	}
	var buf [16]byte
	both := append(append(buf[:0], string(a)...), string(b)...)
	if a == 0x11935 && b == 0x11930 {
		return 0, false
	}
	got := []rune(string(norm.NFC.Bytes(both)))
	if len(got) != 1 {
		return 0, false
	}
	return got[0], true
}
