package unidata

import (
	"sort"
	"strings"
	"unicode"
)

// ranges is a sorted list of code point ranges.
type ranges [][2]rune

// set reads ranges written as "first-last first …" in hexadecimal.
func set(text string) ranges {
	var out ranges
	for _, field := range strings.Fields(text) {
		first, last, found := strings.Cut(field, "-")
		if !found {
			last = first
		}
		out = append(out, [2]rune{rune(hex(first)), rune(hex(last))})
	}
	return out
}

func (s ranges) has(r rune) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i][1] >= r })
	return i < len(s) && s[i][0] <= r
}

// IsWord is \w of the reference's patterns.
func IsWord(r rune) bool {
	return Of(r)&(Letter|Mark|Nd|Nl|Pc) != 0 || r > 0x7F && (circledLetters.has(r) || wordDigits.has(r))
}

// IsWordStrict is \w where the reference looks around an added token: with the joiners, without superscript digits.
func IsWordStrict(r rune) bool {
	return Of(r)&(Letter|Mark|Nd|Nl|Pc) != 0 || r > 0x7F && (circledLetters.has(r) || r == 0x200C || r == 0x200D)
}

var (
	circledLetters = set("24b6-24e9 1f130-1f149 1f150-1f169 1f170-1f189") // symbols that count as alphabetic
	wordDigits     = set("b2-b3 b9 bc-be")                                // superscripts and fractions of Latin-1
)

// IsPunct is punctuation as the Punctuation and Bert pre-tokenizers know it: ASCII symbols and, from older tables,
// the P categories.
func IsPunct(r rune) bool {
	if r < 0x80 {
		return Of(r)&(Punct|Symbol) != 0
	}
	if Of(r)&Punct == 0 {
		return r == 0x166D || r == 0x111C9
	}
	return !newerPunct.has(r)
}

var newerPunct = set(`61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10f55-10f59 10f86-10f89
	113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2 11a3f-11a46
	11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2
	16d6d-16d6f 16e97-16e9a 16fe2 1e5ff 1e95e-1e95f`)

// IsNumeric is what the Digits pre-tokenizer cuts out.
func IsNumeric(r rune) bool {
	return Of(r)&Number != 0 || 0x11DE0 <= r && r <= 0x11DE9 || 0x16FF4 <= r && r <= 0x16FF6
}

// IsAccent is what StripAccents removes: marks, without those of newer tables.
func IsAccent(r rune) bool {
	return Of(r)&Mark != 0 && !newerMarks.has(r) || r == 0x1CF2 || r == 0x1CF3
}

var newerMarks = set(`7fd 897-89f 8ca-8d3 9fe afa-aff b55 c04 c3c cf3 d00 d3b-d3c d81 eba ece 1715 180f 1abf-1ace 1cf7
	1df6-1dfa a82c a8ff 10d24-10d27 10d69-10d6d 10eab-10eac 10efc-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2
	11145-11146 111c9 111ce-111cf 11241 1133b 113b8-113c0 113c2 113c5 113c7-113ca 113cc-113d0 113d2 113e1-113e2 1145e
	1182c-1183a 11930-11935 11937-11938 1193b-1193e 11940 11942-11943 119d1-119d7 119da-119e0 119e4 11a01-11a0a
	11a33-11a39 11a3b-11a3e 11a47 11a51-11a5b 11a8a-11a99 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d8a-11d8e
	11d90-11d91 11d93-11d97 11ef3-11ef6 11f00-11f01 11f03 11f34-11f3a 11f3e-11f42 11f5a 13440 13447-13455 1611e-1612f
	16f4f 16f7f-16f87 16fe4 16ff0-16ff1 1cf00-1cf2d 1cf30-1cf46 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef
	1e5ee-1e5ef`)

// IsBertAccent is what BertNormalizer removes: nonspacing marks, without those of newer tables.
func IsBertAccent(r rune) bool {
	return Of(r)&Mn != 0 && !newerNonspacing.has(r) || r == 0x1734 || r == 0x1171E
}

var newerNonspacing = set(`7fd 897-89f 8ca-8e1 9fe afa-aff b55 c04 c3c d00 d3b-d3c d81 eba ece 180f 1885-1886
	1abf-1ace 1df6-1dfb a82c a8c5 a8ff a9bd 10d24-10d27 10d69-10d6d 10eab-10eac 10efc-10eff 10f46-10f50 10f82-10f85 11070
	11073-11074 110c2 111c9 111cf 1123e 11241 1133b 113bb-113c0 113ce 113d0 113d2 113e1-113e2 11438-1143f 11442-11444
	11446 1145e 1182f-11837 11839-1183a 1193b-1193c 1193e 11943 119d4-119d7 119da-119db 119e0 11a01-11a0a 11a33-11a38
	11a3b-11a3e 11a47 11a51-11a56 11a59-11a5b 11a8a-11a96 11a98-11a99 11c30-11c36 11c38-11c3d 11c3f 11c92-11ca7
	11caa-11cb0 11cb2-11cb3 11cb5-11cb6 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d90-11d91 11d95 11d97
	11ef3-11ef4 11f00-11f01 11f36-11f3a 11f40 11f42 11f5a 13440 13447-13455 1611e-16129 1612d-1612f 16f4f 16fe4
	1cf00-1cf2d 1cf30-1cf46 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e08f 1e130-1e136 1e2ae
	1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e944-1e94a`)

// IsBertControl is what BertNormalizer's clean_text removes.
func IsBertControl(r rune) bool { return bertControl.has(r) }

var bertControl = set(`0-8 b-c e-1f 7f-9f ad 600-605 61c 6dd 70f 180e 200b-200f 202a-202e 2060-2064 2066-206f e000-f8ff
	feff fff9-fffb fffd 110bd 1bca0-1bca3 1d173-1d17a e0001 e0020-e007f f0000-ffffd 100000-10fffd`)

// IsBertHan is what BertNormalizer surrounds with spaces.
func IsBertHan(r rune) bool { return r >= 0x3400 && bertHan.has(r) }

var bertHan = set("3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f")

// NmtDrops and NmtBlank are what the Nmt normalizer removes and turns into a space.
func NmtDrops(r rune) bool { return nmtDrops.has(r) }

// NmtBlank is described at NmtDrops.
func NmtBlank(r rune) bool { return nmtBlank.has(r) }

var (
	nmtDrops = set("1-8 b e-1f 7f 8f 9f")
	nmtBlank = set("9-a c-d 1680 200b-200f 2028-2029 2581 feff fffd")
)

// NoCompat are characters whose compatibility decomposition the reference does not know yet.
func NoCompat(r rune) bool { return r > 0x7F && noCompat.has(r) }

var noCompat = set("32ff a7f2-a7f4 ab69 10781-10785 10787-107b0 107b2-107ba 1e030-1e06d 1f16c 1fbf0-1fbf9")

// NoClass are marks whose combining class the reference does not know yet: it takes them for base characters.
func NoClass(r rune) bool { return r > 0x7F && noClass.has(r) }

var noClass = set(`7fd 898-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1ace 1df6-1dfa a82c 10d24-10d27 10eab-10eac
	10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 1145e 11839-1183a 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42
	11d44-11d45 11d97 11f41-11f42 16ff0-16ff1 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef`)

// IsAlphabetic is the property Alphabetic of Unicode 16.0.
func IsAlphabetic(r rune) bool {
	return Is(r, Letter|Nl) || r > 0x7F && (unicode.Is(unicode.Other_Alphabetic, r) || newerAlphabetic.has(r))
}

var newerAlphabetic = set("363-36f 897 1dd3-1de6 10d69 10efc 113b8-113c0 113c2 113c5 113c7-113ca 113cc-113cd 1611e-1612e")
