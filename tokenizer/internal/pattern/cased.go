package pattern

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// cased is the family that began with OpenAI's o200k: a word is capitals and then small letters, so that camelCase
// is cut. GPT-OSS, Llama 4 and Mistral's Tekken use it.
type cased struct {
	contractions bool // a contraction stays with its word
	digits       int
	tail         string // what may follow punctuation
}

const (
	upper = unidata.Lu | unidata.Lt | unidata.Lm | unidata.Lo | mark
	lower = unidata.Ll | unidata.Lm | unidata.Lo | mark
)

func (c cased) Find(s string, from int) (start, end int) { return findAll(c, s, from) }

func (c cased) Cut(s string, i int) int {
	if end := c.word(s, i); end > 0 {
		if c.contractions {
			end += contraction(s, end, true)
		}
		return end
	}
	if this, _ := class(s, i); this&number != 0 {
		return count(s, i, c.digits)
	}
	return rest(s, i, letter|number|white, c.tail)
}

// word tries a word of small letters after capitals, with one other character before it and then without, and after
// that the same for a word of capitals. 0 is no word.
func (c cased) word(s string, i int) int {
	this, n := class(s, i)
	prefix := this&(letter|number) == 0 && s[i] != '\r' && s[i] != '\n'
	for _, f := range []func(string, int) int{small, capital} {
		if prefix {
			if end := f(s, i+n); end > 0 {
				return end
			}
		}
		if this&(letter|mark) != 0 {
			if end := f(s, i); end > 0 {
				return end
			}
		}
	}
	return 0
}

// small is the end of [upper]*[lower]+ at i, 0 if it does not match.
func small(s string, i int) int {
	end := run(s, i, upper)
	if c, n := class(s, end); n > 0 && c&lower != 0 {
		return run(s, end+n, lower)
	}
	for end > i { // give capitals back until one can be a small letter as well
		r, n := utf8.DecodeLastRuneInString(s[:end])
		if unidata.Is(r, lower) {
			return end
		}
		end -= n
	}
	return 0
}

// capital is the end of [upper]+[lower]* at i, 0 if it does not match.
func capital(s string, i int) int {
	end := run(s, i, upper)
	if end == i {
		return 0
	}
	return run(s, end, lower)
}
