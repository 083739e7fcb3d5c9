// Package bytelevel is the alphabet in which byte-level vocabularies write bytes: each of the 256 bytes is one
// printable character, so that any text is a string of known symbols (Radford et al. 2019).
package bytelevel

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// Runes is the character of each byte.
var Runes [256]rune

// bytes is the byte of each character below 0x200, −1 where there is none.
var bytes [0x200]int16

func init() {
	for i := range bytes {
		bytes[i] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		printable := '!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r && r <= 'ÿ'
		if !printable {
			r = next
			next++
		}
		Runes[b], bytes[r] = r, int16(b)
	}
}

// Byte is the byte that a character stands for.
func Byte(r rune) (byte, bool) {
	if r < 0 || r >= rune(len(bytes)) || bytes[r] < 0 {
		return 0, false
	}
	return byte(bytes[r]), true
}

// Raw appends the bytes that a string of the alphabet stands for; false where a character is not of the alphabet.
func Raw(dst []byte, s string) ([]byte, bool) {
	from := len(dst)
	for _, r := range s {
		b, ok := Byte(r)
		if !ok {
			return dst[:from], false
		}
		dst = append(dst, b)
	}
	return dst, true
}

// Map writes each byte as its character, with the byte's origin.
func Map(t text.Text) text.Text {
	out := text.Text{First: t.First}
	buf := make([]byte, 0, 2*len(t.S))
	for i := range len(t.S) {
		from := len(buf)
		buf = utf8.AppendRune(buf, Runes[t.S[i]])
		if t.At != nil {
			for range len(buf) - from {
				out.At = append(out.At, t.At[i])
			}
		}
	}
	out.S = string(buf)
	return out
}

// Unmap is the reverse of Map; a character that is not of the alphabet stays as it is.
func Unmap(t text.Text) text.Text {
	out := text.Text{First: t.First}
	buf := make([]byte, 0, len(t.S))
	for i, r := range t.S {
		if b, ok := Byte(r); ok {
			buf = append(buf, b)
		} else {
			buf = utf8.AppendRune(buf, r)
		}
		if t.At != nil {
			for len(out.At) < len(buf) {
				out.At = append(out.At, t.At[i])
			}
		}
	}
	out.S = string(buf)
	return out
}
