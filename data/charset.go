package data

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

var bom = []byte("\xef\xbb\xbf")

// wideText recognises the beginning of a file in UTF-16 or UTF-32; it returns "" for anything else.
func wideText(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}):
		return "UTF-32LE"
	case bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return "UTF-32BE"
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return "UTF-16LE"
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return "UTF-16BE"
	case len(head) < 4:
		return ""
	// Without a mark: JSON begins with ASCII characters, of which every other byte is then zero.
	case head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return "UTF-16LE"
	case head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return "UTF-16BE"
	}
	return ""
}

// badUTF8 says where a text stops being UTF-8 and what it looks like instead. It returns nil for UTF-8.
func badUTF8(text []byte) (*RecordError, int) {
	if utf8.Valid(text) {
		return nil, 0
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	hint := ""
	if name := looksLike(text); name != "" {
		hint = fmt.Sprintf("; it looks like %s: convert the file, for example with iconv -f %s -t UTF-8", name, name)
	}
	return fault(ErrInvalidUTF8, "", "invalid UTF-8 at byte %d of the record: 0x%02X after %s%s",
		at, text[at], tail(text[:at]), hint), at
}

// tail quotes the end of a text.
func tail(text []byte) string {
	const keep = 24
	cut := max(0, len(text)-keep)
	for cut < len(text) && !utf8.RuneStart(text[cut]) {
		cut++
	}
	return excerpt(text[cut:])
}

// looksLike guesses the encoding of text that is not UTF-8; it returns "" when it is rather damaged UTF-8.
func looksLike(text []byte) string {
	switch {
	case holdsUTF8(text):
		return ""
	case isGBK(text):
		return "GBK"
	case isLatin1(text):
		return "WINDOWS-1252"
	}
	return ""
}

// holdsUTF8 tells whether a character of two bytes or more is written as UTF-8 and most others are: such text is
// UTF-8 with a damaged place, whatever its other bytes look like.
func holdsUTF8(text []byte) bool {
	good, bad := 0, 0
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			bad++
		case size > 1:
			good++
		}
		text = text[size:]
	}
	return good > bad
}

// isGBK tells whether every byte above ASCII is part of a pair in the GBK range, and most pairs are in the rows of
// the common characters and punctuation (GB 2312: lead and trail bytes from A1).
func isGBK(text []byte) bool {
	pairs, common := 0, 0
	for i := 0; i < len(text); i++ {
		lead := text[i]
		if lead < 0x80 {
			continue
		}
		i++
		if lead < 0x81 || lead == 0xff || i == len(text) {
			return false
		}
		trail := text[i]
		if trail < 0x40 || trail == 0x7f || trail == 0xff {
			return false
		}
		pairs++
		if lead >= 0xa1 && lead <= 0xf7 && trail >= 0xa1 {
			common++
		}
	}
	return pairs > 1 && 2*common > pairs
}

// isLatin1 tells whether the bytes above ASCII stand alone between ASCII letters, as accents do in Western text.
func isLatin1(text []byte) bool {
	found := 0
	for i, c := range text {
		if c < 0x80 {
			continue
		}
		alone := (i == 0 || text[i-1] < 0x80) && (i+1 == len(text) || text[i+1] < 0x80)
		if c < 0xc0 || !alone {
			return false
		}
		found++
	}
	return found > 1
}
