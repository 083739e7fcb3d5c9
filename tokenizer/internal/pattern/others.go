package pattern

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// numbers is \p{N}{1,n}.
type numbers int

func (n numbers) Find(s string, from int) (start, end int) {
	for i := from; i < len(s); {
		c, size := class(s, i)
		if c&number != 0 {
			return i, count(s, i, int(n))
		}
		i += size
	}
	return -1, -1
}

// runes is a run of characters of given ranges.
type runes [][2]rune

func (set runes) has(r rune) bool {
	for _, x := range set {
		if x[0] <= r && r <= x[1] {
			return true
		}
	}
	return false
}

func (set runes) Find(s string, from int) (start, end int) {
	start = -1
	for i := from; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch in := set.has(r); {
		case in && start < 0:
			start = i
		case !in && start >= 0:
			return start, i
		}
		i += n
	}
	if start < 0 {
		return -1, -1
	}
	return start, len(s)
}

// deepseek is the third of the splits of DeepSeek V2 and V3, after numbers and Chinese runs were cut out.
type deepseek struct{}

const (
	inWord  = letter | mark
	inPunct = unidata.Punct | unidata.Symbol
)

func (c deepseek) Find(s string, from int) (start, end int) {
	for i := from; i < len(s); {
		if end := c.at(s, i); end > 0 {
			return i, end
		}
		_, n := class(s, i)
		i += n
	}
	return -1, -1
}

// at is the end of the match at i, 0 if there is none.
func (deepseek) at(s string, i int) int {
	this, n := class(s, i)
	after, size := class(s, i+n)
	ascii := s[i] < utf8.RuneSelf
	if ascii && this&inPunct != 0 && i+1 < len(s) && isASCIILetter(s[i+1]) {
		return asciiLetters(s, i+1)
	}
	if s[i] != '\r' && s[i] != '\n' && this&(letter|inPunct) == 0 && after&inWord != 0 {
		return run(s, i+n+size, inWord)
	}
	if this&inWord != 0 {
		return run(s, i+n, inWord)
	}
	j := i
	if s[i] == ' ' {
		j++
	}
	if end := run(s, j, inPunct); end > j {
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	if this&white == 0 {
		return 0
	}
	if end := newlines(s, i); end >= 0 {
		return end
	}
	return space(s, i)
}

func isASCIILetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func asciiLetters(s string, i int) int {
	for i < len(s) && isASCIILetter(s[i]) {
		i++
	}
	return i
}

// known are the patterns of published checkpoints.
var known = map[string]Finder{
	// GPT-2, and ByteLevel with use_regex.
	GPT2: gpt2{},
	// Llama 3, GLM 4, DeepSeek's distillations of Llama.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words{letter, 3},
	// Qwen 2, 2.5 and 3.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words{letter, 1},
	// Qwen 3.5 and its like: marks belong to words.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words{letter | mark, 1},
	// cl100k as converted from tiktoken, in several spellings.
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:     words{letter, 0},
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: words{letter, 2},
	`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`:       words{letter, 3},
	`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:        words{letter, 3},
	// o200k: GPT-OSS, Llama 4, Phi 4 mini.
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cased{true, 3, "\r\n/"},
	// Tekken: Mistral Nemo and later.
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cased{false, 1, "\r\n/"},
	// DeepSeek V2 and V3, three splits one after the other.
	`\p{N}{1,3}`:   numbers(3),
	`[一-龥぀-ゟ゠-ヿ]+`: runes{{'一', '龥'}, {0x3040, 0x309F}, {0x30A0, 0x30FF}},
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+": deepseek{},
}

// GPT2 is the pattern that ByteLevel splits by.
const GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// ByteLevel is the cutter of the GPT2 pattern.
var ByteLevel Cutter = gpt2{}

// Spaces matches one space.
var Spaces Finder = literal(" ")

// Words matches \w+|[^\w\s]+.
var Words Finder = wordRuns{}

type wordRuns struct{}

func (wordRuns) Find(s string, from int) (start, end int) {
	kind := func(r rune) int {
		switch {
		case unidata.IsSpace(r):
			return 0
		case unidata.IsWordStrict(r):
			return 1
		}
		return 2
	}
	start = -1
	first := 0
	for i, r := range s[from:] {
		k := kind(r)
		switch {
		case start < 0 && k != 0:
			start, first = from+i, k
		case start >= 0 && k != first:
			return start, from + i
		}
	}
	if start < 0 {
		return -1, -1
	}
	return start, len(s)
}
