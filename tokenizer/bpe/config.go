package bpe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
)

// Patterns that cut texts into pieces, for Config.Pattern.
const (
	// Qwen2 keeps letters together with one character before them, and makes every digit a piece of its own.
	Qwen2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Llama3 does the same with up to three digits.
	Llama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// GPT2 keeps numbers whole.
	GPT2 = pattern.GPT2
)

// ChatML is the chat template that Qwen made common: each message between <|im_start|> and <|im_end|>.
const ChatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// Config describes a tokenizer to train. The zero value makes one of 32,000 tokens with the conventions of Qwen2.
type Config struct {
	VocabSize int    // tokens, of which len(Special)+256 are there from the start; 0 means 32,000
	MinCount  int    // pairs met less often never become tokens; 0 means 2
	Pattern   string // regular expression (Oniguruma) whose matches are the pieces that no token crosses; "" means Qwen2

	Special      []string // control tokens, with the ids from 0; nil means <|endoftext|>, <|im_start|>, <|im_end|>
	EOS, PAD     string   // those of Special that end an answer and fill up; "" means <|im_end|> and <|endoftext|>
	ChatTemplate string   // in Jinja; "" means ChatML
}

const alphabet = 256 // one token for each byte

// Validate reports every problem at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	least := len(c.Special) + alphabet
	want(c.VocabSize >= least, "VocabSize: is %d; want %d or more: %d control tokens and %d bytes", c.VocabSize, least, len(c.Special), alphabet)
	want(c.MinCount > 0, "MinCount: is %d; want 0 (default 2) or more", c.MinCount)
	for i, s := range c.Special {
		want(s != "", "Special[%d]: is empty", i)
		want(slices.Index(c.Special, s) == i, "Special[%d]: %q is listed twice", i, s)
	}
	want(slices.Contains(c.Special, c.EOS), "EOS: %q is not in Special", c.EOS)
	want(slices.Contains(c.Special, c.PAD), "PAD: %q is not in Special", c.PAD)
	if _, err := pattern.Parse(c.Pattern); err != nil {
		problems = append(problems, fmt.Errorf("Pattern: %w", err))
	}
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	if c.VocabSize == 0 {
		c.VocabSize = 32000
	}
	if c.MinCount == 0 {
		c.MinCount = 2
	}
	if c.Special == nil {
		c.Special = []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
	}
	for _, f := range []struct {
		field *string
		value string
	}{{&c.Pattern, Qwen2}, {&c.EOS, "<|im_end|>"}, {&c.PAD, "<|endoftext|>"}, {&c.ChatTemplate, ChatML}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return c
}
