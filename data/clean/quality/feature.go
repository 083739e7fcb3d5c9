package quality

import (
	"math"
	"slices"
	"sync"
	"unicode"
)

// feature is one entry of a sparse vector.
type feature struct {
	index uint32
	value float32
}

// scratch counts n-grams of one text.
type scratch struct {
	counts []uint32
	seen   []uint32 // indices with a count
	out    []feature
}

// extractor turns texts into sparse vectors of 2^bits dimensions. It is for concurrent use.
type extractor struct {
	mask uint64
	pool sync.Pool
}

func newExtractor(bits int) *extractor {
	x := &extractor{mask: 1<<bits - 1}
	x.pool.New = func() any { return &scratch{counts: make([]uint32, 1<<bits)} }
	return x
}

// with calls f with the vector of a text, of unit length and in the order of its indices; it is valid until f returns.
func (x *extractor) with(text string, f func([]feature)) {
	s := x.pool.Get().(*scratch)
	defer x.pool.Put(s)
	s.seen, s.out = s.seen[:0], s.out[:0]
	grams(text, func(hash uint64) {
		i := uint32(hash & x.mask)
		if s.counts[i] == 0 {
			s.seen = append(s.seen, i)
		}
		s.counts[i]++
	})
	slices.Sort(s.seen) // sums in floating point depend on their order
	norm := 0.0
	for _, i := range s.seen {
		v := math.Log1p(float64(s.counts[i]))
		norm += v * v
		s.out = append(s.out, feature{i, float32(v)})
		s.counts[i] = 0
	}
	scale := float32(1 / math.Sqrt(max(norm, 1e-12)))
	for i := range s.out {
		s.out[i].value *= scale
	}
	f(s.out)
}

// grams calls f with the hash of every n-gram of a text. Tokens are characters of CJK scripts, words of other letters in
// lower case, runs of digits (all alike, since a number says little) and marks; a space is one where it stands between
// characters. A character ends n-grams of up to three tokens, anything else of up to two.
func grams(text string, f func(uint64)) {
	var last [2]uint64 // hashes of the tokens before this one, 0 for none
	var word uint64
	wasChar, wasDigit := false, false
	emit := func(token uint64, char bool) {
		f(finish(token))
		if last[1] != 0 {
			f(finish(combine(last[1], token)))
			if char && last[0] != 0 {
				f(finish(combine(combine(last[0], last[1]), token)))
			}
		}
		last[0], last[1], wasChar = last[1], token, char
	}
	flush := func() {
		if word != 0 {
			emit(word, false)
			word = 0
		}
	}
	for _, r := range text {
		kind := kindOf(r)
		if kind == letter {
			word = combine(word|1<<63, uint64(unicode.ToLower(r)))
			wasDigit = false
			continue
		}
		flush()
		switch {
		case kind == digit && !wasDigit:
			emit(combine(1, '0'), wasChar)
		case kind == space && wasChar:
			emit(combine(1, ' '), false)
		case kind == char || kind == mark:
			emit(combine(1, uint64(r)), kind == char || wasChar)
		}
		wasDigit = kind == digit
	}
	flush()
}

// combine hashes a token, or a letter, onto what precedes it (FNV-1a with a wider input).
func combine(before, next uint64) uint64 {
	return (before*0x9e3779b97f4a7c15 ^ next) * 0x100000001b3
}

// finish spreads a hash over all its bits (the finalizer of SplitMix64).
func finish(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// kind is what a character is as part of a token.
type kind uint8

const (
	mark   kind = iota // punctuation, signs, everything else
	char               // of a script without spaces between words, or of Korean
	letter             // of a word
	digit
	space
)

func kindOf(r rune) kind {
	switch {
	case r < 0x80:
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return letter
		case r >= '0' && r <= '9':
			return digit
		case r <= ' ':
			return space
		}
		return mark
	case r >= 0x4e00 && r <= 0x9fff || r >= 0x3041 && r <= 0x30ff || r >= 0xac00 && r <= 0xd7a3 || unicode.Is(unicode.Han, r):
		return char
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return letter
	case unicode.IsDigit(r):
		return digit
	case unicode.IsSpace(r):
		return space
	}
	return mark
}
