package data_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

// bytesTokenizer writes conversations in the ChatML layout with one token a byte, so that lengths can be counted by
// hand: a message takes len(role) + len(content) + 4 tokens, the last of them a line break.
type bytesTokenizer struct {
	noEndOfTurn bool // answers end with nothing, and the next turn follows
	noTemplate  bool
	doubleBOS   bool
}

const (
	imStart int32 = 256 + iota
	imEnd
	endOfText
	bosToken
)

var controlNames = []string{"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>"}

func (b bytesTokenizer) HasChatTemplate() bool   { return !b.noTemplate }
func (b bytesTokenizer) EOS() (int32, bool)      { return endOfText, true }
func (b bytesTokenizer) BOS() (int32, bool)      { return bosToken, true }
func (b bytesTokenizer) IsSpecial(id int32) bool { return id >= 256 }
func (b bytesTokenizer) Size() int               { return 256 + len(controlNames) }
func (b bytesTokenizer) Token(id int32) (string, bool) {
	if id < 256 {
		return string(rune(id)), true
	}
	return controlNames[id-256], true
}

func (b bytesTokenizer) EncodeFull(text string, o tokenizer.Options) tokenizer.Encoding {
	var e tokenizer.Encoding
	n := 0
	for i, r := range text {
		for j := range len(string(r)) {
			e.IDs = append(e.IDs, int32(text[i+j]))
			e.Offsets = append(e.Offsets, [2]int{n, n + 1})
		}
		n++
	}
	return e
}

func (b bytesTokenizer) EncodeChat(messages []tokenizer.Message, o tokenizer.ChatOptions) (tokenizer.Chat, error) {
	var c tokenizer.Chat
	write := func(text string) {
		for i := range len(text) {
			c.IDs = append(c.IDs, int32(text[i]))
		}
	}
	if b.doubleBOS {
		c.IDs = append(c.IDs, bosToken, bosToken)
	}
	for i, m := range messages {
		if strings.Contains(m.Content, "template error") {
			return c, errors.New("raised by the template")
		}
		c.IDs = append(c.IDs, imStart)
		write(m.Role + "\n")
		start := len(c.IDs)
		b.content(&c, m.Content, o, write)
		if !b.noEndOfTurn {
			c.IDs = append(c.IDs, imEnd)
		}
		if m.Role == "assistant" {
			c.Answers = append(c.Answers, tokenizer.Span{Start: start, End: len(c.IDs), Message: i})
		}
		write("\n")
	}
	return c, nil
}

// content writes a field: control tokens in it are parsed only where that is asked for.
func (b bytesTokenizer) content(c *tokenizer.Chat, text string, o tokenizer.ChatOptions, write func(string)) {
	for !o.PlainText {
		before, after, found := strings.Cut(text, "<|im_end|>")
		if !found {
			break
		}
		write(before)
		c.IDs = append(c.IDs, imEnd)
		text = after
	}
	write(text)
}

// show writes a sample as text, learned parts in brackets.
func show(s data.Sample) string {
	var b strings.Builder
	learned := false
	for i, id := range s.IDs {
		if now := s.Labels[i] != data.NoLabel; now != learned {
			b.WriteString(map[bool]string{true: "[", false: "]"}[now])
			learned = now
		}
		if s.Labels[i] != data.NoLabel && s.Labels[i] != id {
			fmt.Fprintf(&b, "(%d≠%d)", id, s.Labels[i])
		}
		if id >= 256 {
			b.WriteString(controlNames[id-256])
		} else {
			b.WriteByte(byte(id))
		}
	}
	if learned {
		b.WriteString("]")
	}
	return b.String()
}
