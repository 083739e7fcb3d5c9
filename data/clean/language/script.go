package language

import (
	"sync"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Script is a script, or a group of scripts that are counted together.
type Script uint8

// The scripts that are counted.
const (
	None Script = iota // no letter: digits, punctuation, spaces, signs
	Han
	hans // a simplified character that is no traditional one; counts as Han
	hant // a traditional character that is no simplified one; counts as Han
	Kana // Hiragana and Katakana
	Hangul
	Latin
	Cyrillic
	Arabic
	Devanagari
	Greek
	Hebrew
	Thai
	Bengali
	Tamil
	Telugu
	Georgian
	Armenian
	Khmer
	Lao
	Myanmar
	Other // letters of any other script
	scripts
)

// scriptTables gives each script its characters and its language, where it has one alone.
var scriptTables = [scripts]struct {
	name   string
	table  *unicode.RangeTable
	lang   string
	weight int // of one letter
}{
	Han:        {"Han", unicode.Han, "zh", 3},
	Kana:       {"Kana", unicode.Hiragana, "ja", 3}, // Katakana is added
	Hangul:     {"Hangul", unicode.Hangul, "ko", 3},
	Latin:      {"Latin", unicode.Latin, "", 1},
	Cyrillic:   {"Cyrillic", unicode.Cyrillic, "", 1},
	Arabic:     {"Arabic", unicode.Arabic, "", 1},
	Devanagari: {"Devanagari", unicode.Devanagari, "", 1},
	Greek:      {"Greek", unicode.Greek, "el", 1},
	Hebrew:     {"Hebrew", unicode.Hebrew, "he", 1},
	Thai:       {"Thai", unicode.Thai, "th", 1},
	Bengali:    {"Bengali", unicode.Bengali, "bn", 1},
	Tamil:      {"Tamil", unicode.Tamil, "ta", 1},
	Telugu:     {"Telugu", unicode.Telugu, "te", 1},
	Georgian:   {"Georgian", unicode.Georgian, "ka", 1},
	Armenian:   {"Armenian", unicode.Armenian, "hy", 1},
	Khmer:      {"Khmer", unicode.Khmer, "km", 1},
	Lao:        {"Lao", unicode.Lao, "lo", 1},
	Myanmar:    {"Myanmar", unicode.Myanmar, "my", 1},
	Other:      {"Other", nil, Undetermined, 1},
}

// String is the script's name.
func (s Script) String() string {
	if s >= scripts || scriptTables[s].name == "" {
		return "None"
	}
	return scriptTables[s].name
}

// scriptOf has the script of every character of the basic plane.
var scriptOf = sync.OnceValue(func() *[1 << 16]Script {
	var of [1 << 16]Script
	fill := func(table *unicode.RangeTable, s Script) {
		for _, r := range table.R16 {
			for c := uint32(r.Lo); c <= uint32(r.Hi); c += uint32(r.Stride) {
				of[c] = s
			}
		}
	}
	fill(unicode.L, Other)
	for s, script := range scriptTables {
		if script.table != nil {
			fill(script.table, Script(s))
		}
	}
	fill(unicode.Katakana, Kana)
	of['ー'] = Kana              // shared by both kana, so of no script in Unicode
	fill(unicode.N, None)       // 〇 is Han and a letter of numbers
	fill(unicode.P, None)       // 〻
	fill(unicode.S, None)       // ⺀ radicals
	fill(unicode.Mn, None)      // marks go with their letter
	of['々'], of['〇'] = Han, Han // repetition, and the zero of dates
	markVariants(&of)
	return &of
})

// markVariants tells simplified characters from traditional ones by the two standards of encoding: what GB 2312 has
// and Big5 has not is simplified; what the frequent level of Big5 has and GB 2312 has not is traditional.
func markVariants(of *[1 << 16]Script) {
	gbk, big5 := simplifiedchinese.GBK.NewEncoder(), traditionalchinese.Big5.NewEncoder()
	var utf8 [3]byte
	var inGBK, inBig5 [2]byte
	for c := rune(0x4e00); c <= 0x9fff; c++ {
		from := append(utf8[:0], string(c)...)
		gbk.Reset()
		big5.Reset()
		n, _, err := gbk.Transform(inGBK[:], from, true)
		gb2312 := err == nil && n == 2 && inGBK[0] >= 0xb0 && inGBK[0] <= 0xf7 && inGBK[1] >= 0xa1
		n, _, err = big5.Transform(inBig5[:], from, true)
		code := int(inBig5[0])<<8 | int(inBig5[1]) // the levels of Big5 itself, without the additions for Hong Kong
		frequent := err == nil && n == 2 && code >= 0xa440 && code <= 0xc67e
		traditional := frequent || err == nil && n == 2 && code >= 0xc940 && code <= 0xf9d5
		switch {
		case gb2312 && !traditional:
			of[c] = hans
		case frequent && !gb2312:
			of[c] = hant
		}
	}
}

// counts are letters by script.
type counts [scripts]int

func count(text string) (n counts) {
	of := scriptOf()
	for _, r := range text {
		n[lookup(of, r)]++
	}
	n[None] = 0
	return n
}

func lookup(of *[1 << 16]Script, r rune) Script {
	switch {
	case r < 1<<16:
		return of[r]
	case unicode.Is(unicode.Han, r):
		return Han
	case unicode.IsLetter(r):
		return Other
	}
	return None
}
