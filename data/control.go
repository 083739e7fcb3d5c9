package data

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer"
)

// controlTokens finds control tokens written in a text, by their first character.
type controlTokens struct {
	starts string            // the first characters of all tokens
	tokens map[rune][]string // longest first
}

func newControlTokens(tok Tokenizer) controlTokens {
	c := controlTokens{tokens: map[rune][]string{}}
	for id := range int32(tok.Size()) {
		if !tok.IsSpecial(id) {
			continue
		}
		if token, ok := tok.Token(id); ok && token != "" {
			first, _ := utf8.DecodeRuneInString(token)
			c.tokens[first] = append(c.tokens[first], token)
		}
	}
	for first, list := range c.tokens {
		c.starts += string(first)
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return c
}

// find returns a control token written in a message, or "".
func (c controlTokens) find(messages []tokenizer.Message) string {
	for _, m := range messages {
		if token := c.in(m.Content); token != "" {
			return token
		}
	}
	return ""
}

func (c controlTokens) in(text string) string {
	for {
		i := strings.IndexAny(text, c.starts)
		if i < 0 {
			return ""
		}
		first, size := utf8.DecodeRuneInString(text[i:])
		for _, token := range c.tokens[first] {
			if strings.HasPrefix(text[i:], token) {
				return token
			}
		}
		text = text[i+size:]
	}
}
