package unidata

import "unicode"

// Lower appends the lower case of a character as the reference gives it: simple mappings of Unicode 17.0, and two
// characters for the capital I with a dot.
func Lower(dst []rune, r rune) []rune {
	switch {
	case r < 0x80:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(dst, r)
	case r == 0x130:
		return append(dst, 'i', 0x307)
	}
	if low, ok := newerLower[r]; ok {
		return append(dst, low)
	}
	switch { // Garay and Beria Erfe: capitals and small letters at a fixed distance
	case 0x10D50 <= r && r <= 0x10D65:
		return append(dst, r+0x20)
	case 0x16EA0 <= r && r <= 0x16EB8:
		return append(dst, r+0x1B)
	}
	return append(dst, unicode.ToLower(r))
}

// newerLower are mappings newer than the tables of Go 1.26.
var newerLower = map[rune]rune{
	0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7CE: 0xA7CF, 0xA7D2: 0xA7D3, 0xA7D4: 0xA7D5, 0xA7DA: 0xA7DB, 0xA7DC: 0x19B,
}
