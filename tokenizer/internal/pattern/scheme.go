package pattern

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// Cutter is a Finder whose matches leave no gaps: Cut gives the end of the match that begins at i.
type Cutter interface {
	Finder
	Cut(s string, i int) int
}

const (
	letter = unidata.Letter
	mark   = unidata.Mark
	number = unidata.Number
	white  = unidata.White
)

// class is the category of the character at i and its size; past the end 0, 0.
func class(s string, i int) (unidata.Category, int) {
	if i >= len(s) {
		return 0, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return unidata.ASCII[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return unidata.Of(r), n
}

// run is the end of the characters of the categories that begin at i.
func run(s string, i int, in unidata.Category) int {
	for i < len(s) {
		c, n := class(s, i)
		if c&in == 0 {
			break
		}
		i += n
	}
	return i
}

// runOut is the end of the characters of none of the categories.
func runOut(s string, i int, out unidata.Category) int {
	for i < len(s) {
		c, n := class(s, i)
		if c&out != 0 {
			break
		}
		i += n
	}
	return i
}

// count is the end of at most n numbers; n 0 is any number of them.
func count(s string, i, n int) int {
	if n == 0 {
		return run(s, i, number)
	}
	for ; n > 0 && i < len(s); n-- {
		c, size := class(s, i)
		if c&number == 0 {
			break
		}
		i += size
	}
	return i
}

// space is the end of \s+(?!\S)|\s+ at i, where white space begins: a run leaves its last character to the word that
// follows, unless it is the only one.
func space(s string, i int) int {
	end, last := i, i
	for end < len(s) {
		c, n := class(s, end)
		if c&white == 0 {
			break
		}
		last = end
		end += n
	}
	if end == len(s) || last == i {
		return end
	}
	return last
}

// newlines is the end of \s*[\r\n]+ at i: past the last newline of the run of white space. −1 without one.
func newlines(s string, i int) int {
	end := -1
	for i < len(s) {
		c, n := class(s, i)
		if c&white == 0 {
			break
		}
		if i += n; s[i-1] == '\n' || s[i-1] == '\r' {
			end = i
		}
	}
	return end
}

// contraction is the length of 's 't 're 've 'm 'll 'd at i, 0 if there is none. With fold in any case, where a long
// s (U+017F) is an s, too.
func contraction(s string, i int, fold bool) int {
	if i+1 >= len(s) || s[i] != '\'' {
		return 0
	}
	lower := func(c byte) byte {
		if fold && 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	switch lower(s[i+1]) {
	case 's', 't', 'm', 'd':
		return 2
	case 0xC5:
		if fold && i+2 < len(s) && s[i+2] == 0xBF {
			return 3
		}
		return 0
	}
	if i+2 >= len(s) {
		return 0
	}
	switch a, b := lower(s[i+1]), lower(s[i+2]); {
	case (a == 'r' || a == 'v') && b == 'e', a == 'l' && b == 'l':
		return 3
	}
	return 0
}

// gpt2 is the split of GPT-2, and of ByteLevel on its own.
type gpt2 struct{}

func (c gpt2) Find(s string, from int) (start, end int) { return findAll(c, s, from) }

func findAll(c Cutter, s string, from int) (start, end int) {
	if from >= len(s) {
		return -1, -1
	}
	return from, c.Cut(s, from)
}

func (gpt2) Cut(s string, i int) int {
	if n := contraction(s, i, false); n > 0 {
		return i + n
	}
	j := i
	if s[i] == ' ' {
		j++
	}
	c, n := class(s, j)
	switch {
	case n == 0 || c&white != 0:
		return space(s, i)
	case c&letter != 0:
		return run(s, j+n, letter)
	case c&number != 0:
		return run(s, j+n, number)
	}
	return runOut(s, j+n, letter|number|white)
}

// words is the family of splits that began with OpenAI's cl100k: Llama 3, Qwen 2 and 3, GLM 4, Phi 4 and others.
type words struct {
	inner  unidata.Category // what words are made of
	digits int              // most numbers in a piece; 0 is no limit
}

func (c words) Find(s string, from int) (start, end int) { return findAll(c, s, from) }

func (c words) Cut(s string, i int) int {
	if s[i] == '\'' {
		if n := contraction(s, i, true); n > 0 {
			return i + n
		}
	}
	this, n := class(s, i)
	if this&c.inner != 0 {
		return run(s, i+n, c.inner)
	}
	after, size := class(s, i+n)
	if this&(letter|number) == 0 && s[i] != '\r' && s[i] != '\n' && after&c.inner != 0 {
		return run(s, i+n+size, c.inner)
	}
	if this&number != 0 {
		return count(s, i, c.digits)
	}
	return rest(s, i, c.inner|number|white, "\r\n")
}

// rest is the end of " ?[^\s…]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+" at i; out is what the brackets leave out.
func rest(s string, i int, out unidata.Category, tail string) int {
	j := i
	if s[i] == ' ' {
		j++
	}
	if c, n := class(s, j); n > 0 && c&out == 0 {
		j = runOut(s, j+n, out)
		for j < len(s) && within(tail, s[j]) {
			j++
		}
		return j
	}
	if c, n := class(s, i); c&white == 0 { // of a class that only another alternative takes
		return i + n
	}
	if end := newlines(s, i); end >= 0 {
		return end
	}
	return space(s, i)
}

func within(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}
