// Package normal holds the normalizers of tokenizer.json: what is done to a text before it is split.
package normal

import (
	"encoding/base64"
	"strings"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// Normalizer rewrites a text.
type Normalizer interface {
	Normalize(text.Text) text.Text
}

// Func is a Normalizer made of a function.
type Func func(text.Text) text.Text

// Normalize calls the function.
func (f Func) Normalize(t text.Text) text.Text { return f(t) }

// Sequence applies normalizers one after the other.
type Sequence []Normalizer

// Normalize applies all.
func (s Sequence) Normalize(t text.Text) text.Text {
	for _, n := range s {
		t = n.Normalize(t)
	}
	return t
}

type config struct {
	Normalizers []spec.Raw      `json:"normalizers"`
	Prepend     string          `json:"prepend"`
	Pattern     *pattern.Config `json:"pattern"`
	Content     string          `json:"content"`
	StripLeft   bool            `json:"strip_left"`
	StripRight  bool            `json:"strip_right"`
	Charsmap    *string         `json:"precompiled_charsmap"`

	CleanText    bool  `json:"clean_text"`
	ChineseChars bool  `json:"handle_chinese_chars"`
	StripAccents *bool `json:"strip_accents"`
	Lowercase    bool  `json:"lowercase"`
}

// Parse reads a normalizer; null gives nil. An unknown one is an error: leaving it out would change the ids.
func Parse(raw spec.Raw, field string) (Normalizer, error) {
	if spec.IsNull(raw) {
		return nil, nil
	}
	kind, err := spec.Kind(raw, field)
	if err != nil {
		return nil, err
	}
	c := config{CleanText: true, ChineseChars: true, Lowercase: true}
	if err := spec.Decode(raw, field, &c); err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return parseSequence(c.Normalizers, field)
	case "Replace":
		return parseReplace(c, field)
	case "Precompiled":
		return parsePrecompiled(c, field)
	case "Prepend":
		return Func(func(t text.Text) text.Text { return t.Prepend(c.Prepend) }), nil
	case "BertNormalizer":
		return bert(c), nil
	}
	if n, ok := plain[kind]; ok {
		return n(c), nil
	}
	return nil, fault.New(fault.BadValue, field+".type", "unknown normalizer %q", kind)
}

var plain = map[string]func(config) Normalizer{
	"NFC":          func(config) Normalizer { return form{compose: true} },
	"NFD":          func(config) Normalizer { return form{} },
	"NFKC":         func(config) Normalizer { return form{compose: true, compat: true} },
	"NFKD":         func(config) Normalizer { return form{compat: true} },
	"Lowercase":    func(config) Normalizer { return Func(lowercase) },
	"StripAccents": func(config) Normalizer { return Func(stripAccents) },
	"Nmt":          func(config) Normalizer { return Func(nmt) },
	"ByteLevel":    func(config) Normalizer { return ByteLevel{} },
	"Strip":        func(c config) Normalizer { return strip{c.StripLeft, c.StripRight} },
}

func parseSequence(raws []spec.Raw, field string) (Normalizer, error) {
	var out Sequence
	for i, raw := range raws {
		n, err := Parse(raw, spec.Index(field+".normalizers", i))
		if err != nil {
			return nil, err
		}
		if n != nil {
			out = append(out, n)
		}
	}
	return out, nil
}

type replace struct {
	pattern pattern.Pattern
	plain   string // the pattern where it is a plain string
	content string
}

func parseReplace(c config, field string) (Normalizer, error) {
	if c.Pattern == nil {
		return nil, fault.New(fault.MissingField, field+".pattern", "is missing")
	}
	p, err := c.Pattern.Compile(field + ".pattern")
	if err != nil {
		return nil, err
	}
	return replace{p, c.Pattern.String, c.Content}, nil
}

func (r replace) Normalize(t text.Text) text.Text {
	if r.plain != "" && t.At == nil {
		t.S = strings.ReplaceAll(t.S, r.plain, r.content)
		return t
	}
	matches := r.pattern.Matches(t.S)
	if len(matches) == 0 || len(matches) == 1 && !matches[0].Hit {
		return t
	}
	return t.Replace(matches, r.content)
}

func parsePrecompiled(c config, field string) (Normalizer, error) {
	if c.Charsmap == nil || *c.Charsmap == "" { // some converted checkpoints write null: nothing to map
		return Func(func(t text.Text) text.Text { return t }), nil
	}
	data, err := base64.StdEncoding.DecodeString(*c.Charsmap)
	if err != nil {
		return nil, fault.New(fault.BadValue, field+".precompiled_charsmap", "%v", err)
	}
	return newCharsmap(data, field+".precompiled_charsmap")
}
