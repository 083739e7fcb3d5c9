package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decode turns ids back into text. With skipSpecial control tokens are left out; ids without a token always are.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	if t.bytes != nil {
		return lossy(t.appendBytes(nil, ids, skipSpecial))
	}
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		if token, ok := t.Token(id); ok && !(skipSpecial && t.special[id]) {
			if shown, ok := t.shown[id]; ok {
				token = shown
			}
			tokens = append(tokens, token)
		}
	}
	if t.decoder == nil {
		return strings.Join(tokens, " ")
	}
	text := strings.Join(t.decoder.decode(tokens), "")
	if t.config.cleanUp {
		text = cleanUp(text)
	}
	return text
}

func (t *Tokenizer) appendBytes(dst []byte, ids []int32, skipSpecial bool) []byte {
	for _, id := range ids {
		if id >= 0 && int(id) < len(t.bytes) && !(skipSpecial && t.special[id]) {
			dst = append(dst, t.bytes[id]...)
		}
	}
	return dst
}

// NewDecoder returns a decoder for a stream of ids.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *StreamDecoder {
	return &StreamDecoder{t: t, skip: skipSpecial}
}

// StreamDecoder turns ids into text as they come, and never gives out half a character. What it gives out, joined, is
// what [Tokenizer.Decode] gives for all ids; only where byte tokens make no text may the number of U+FFFD differ, as
// Decode then gives up the good characters of the same run, too.
type StreamDecoder struct {
	t    *Tokenizer
	skip bool

	bytes []byte // byte level: the start of a character

	ids  []int32 // otherwise: the ids since the last place where text was given out, with what stands before them
	done int     // of these, the ids whose text is out
}

// Push takes the next id and returns the text that is certain by now; it may be empty.
func (d *StreamDecoder) Push(id int32) string {
	if d.t.bytes == nil {
		return d.pushTokens(id)
	}
	one := [1]int32{id}
	d.bytes = d.t.appendBytes(d.bytes, one[:], d.skip)
	whole := len(d.bytes) - unfinished(d.bytes)
	text := lossy(d.bytes[:whole])
	d.bytes = append(d.bytes[:0], d.bytes[whole:]...)
	return text
}

// unfinished is the number of bytes at the end of b that may be the start of a character.
func unfinished(b []byte) int {
	for n := 1; n <= min(len(b), 3); n++ {
		tail := b[len(b)-n:]
		if utf8.RuneStart(tail[0]) {
			if tail[0] >= 0xC2 && tail[0] <= 0xF4 && (n == 1 || startsRune(tail)) {
				return n
			}
			return 0
		}
	}
	return 0
}

// maxHeld is how many ids may be held back: a character has at most four bytes, and some ids make no text.
const maxHeld = 16

// pushTokens decodes the last few ids with and without the new one. Some text before is kept, because decoders treat
// the first token otherwise.
func (d *StreamDecoder) pushTokens(id int32) string {
	d.ids = append(d.ids, id)
	before := d.t.Decode(d.ids[:d.done], d.skip)
	after := d.t.Decode(d.ids, d.skip)
	if strings.HasSuffix(after, "\uFFFD") || !strings.HasPrefix(after, before) || len(after) <= len(before) {
		if len(d.ids)-d.done < maxHeld {
			return ""
		}
		held := d.t.Decode(d.ids[d.done:], d.skip)
		if held == "" { // ids without text: what stands before them stays the context
			d.ids = d.ids[:d.done]
			return ""
		}
		after = before + held // it will not become a character any more
	}
	// Keep the ids whose text just came out as the context of the next.
	d.ids = append(d.ids[:0], d.ids[d.done:]...)
	d.done = len(d.ids)
	return after[len(before):]
}

// Flush returns what was held back and starts over.
func (d *StreamDecoder) Flush() string {
	var text string
	if d.t.bytes != nil {
		text = lossy(d.bytes)
	} else {
		before := d.t.Decode(d.ids[:d.done], d.skip)
		text = strings.TrimPrefix(d.t.Decode(d.ids, d.skip), before)
	}
	d.bytes, d.ids, d.done = d.bytes[:0], d.ids[:0], 0
	return text
}
