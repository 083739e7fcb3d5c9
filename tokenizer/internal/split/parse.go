package split

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

type config struct {
	Pretokenizers  []spec.Raw      `json:"pretokenizers"`
	Pattern        *pattern.Config `json:"pattern"`
	Behavior       string          `json:"behavior"`
	Invert         bool            `json:"invert"`
	PrefixSpace    *bool           `json:"add_prefix_space"`
	UseRegex       *bool           `json:"use_regex"`
	Replacement    string          `json:"replacement"`
	Scheme         string          `json:"prepend_scheme"`
	Cut            *bool           `json:"split"`
	IndividualOnes bool            `json:"individual_digits"`
	Delimiter      string          `json:"delimiter"`
	Length         int             `json:"length"`
}

// Parse reads a pre-tokenizer; null gives an empty Sequence, which does not cut. An unknown one is an error: leaving
// it out would cut text otherwise than in training.
func Parse(raw spec.Raw, field string) (Sequence, error) {
	if spec.IsNull(raw) {
		return nil, nil
	}
	kind, err := spec.Kind(raw, field)
	if err != nil {
		return nil, err
	}
	var c config
	if err := spec.Decode(raw, field, &c); err != nil {
		return nil, err
	}
	if kind == "Sequence" {
		return parseSequence(c.Pretokenizers, field+".pretokenizers")
	}
	one, err := parseOne(kind, c, field)
	if err != nil {
		return nil, err
	}
	return Sequence{one}, nil
}

func parseSequence(raws []spec.Raw, field string) (Sequence, error) {
	var out Sequence
	for i, raw := range raws {
		part, err := Parse(raw, spec.Index(field, i))
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

func parseOne(kind string, c config, field string) (Splitter, error) {
	switch kind {
	case "ByteLevel":
		return ByteLevel{PrefixSpace: orTrue(c.PrefixSpace), Cut: orTrue(c.UseRegex)}, nil
	case "Split":
		return parseSplit(c, field)
	case "Metaspace":
		return parseMetaspace(c, field)
	case "BertPreTokenizer":
		return bert, nil
	case "WhitespaceSplit":
		return whitespace, nil
	case "Whitespace":
		return Regex{pattern.Pattern{Finder: pattern.Words}, "Removed", true}, nil
	case "Punctuation":
		return behave(pattern.Class(unidata.IsPunct), c.Behavior, field)
	case "Digits":
		behavior := "Contiguous"
		if c.IndividualOnes {
			behavior = "Isolated"
		}
		return Regex{pattern.Pattern{Finder: pattern.Class(unidata.IsNumeric)}, behavior, false}, nil
	case "CharDelimiterSplit":
		if utf8.RuneCountInString(c.Delimiter) != 1 {
			return nil, fault.New(fault.BadValue, field+".delimiter", "is %q; want one character", c.Delimiter)
		}
		p, err := pattern.Config{String: c.Delimiter}.Compile(field)
		return Regex{p, "Removed", false}, err
	case "FixedLength":
		if c.Length < 1 {
			return nil, fault.New(fault.BadValue, field+".length", "is %d; want 1 or more", c.Length)
		}
		return fixed(c.Length), nil
	}
	return nil, unknown(field, kind)
}

func orTrue(b *bool) bool { return b == nil || *b }

func behave(finder pattern.Finder, behavior, field string) (Splitter, error) {
	if behavior == "" {
		behavior = "Isolated"
	}
	if !behaviors[behavior] {
		return nil, fault.New(fault.BadValue, field+".behavior", "unknown behavior %q", behavior)
	}
	return Regex{pattern.Pattern{Finder: finder}, behavior, false}, nil
}

func parseSplit(c config, field string) (Splitter, error) {
	if c.Pattern == nil {
		return nil, fault.New(fault.MissingField, field+".pattern", "is missing")
	}
	p, err := c.Pattern.Compile(field + ".pattern")
	if err != nil {
		return nil, err
	}
	if !behaviors[c.Behavior] {
		return nil, fault.New(fault.BadValue, field+".behavior", "unknown behavior %q", c.Behavior)
	}
	// Where every character belongs to a match, isolating the matches and removing what lies between are the same.
	if cutter, ok := p.Finder.(pattern.Cutter); ok && (c.Behavior == "Isolated" || c.Behavior == "Removed" && c.Invert) {
		return All{cutter}, nil
	}
	return Regex{p, c.Behavior, c.Invert}, nil
}

func parseMetaspace(c config, field string) (Splitter, error) {
	if utf8.RuneCountInString(c.Replacement) != 1 {
		return nil, fault.New(fault.BadValue, field+".replacement", "is %q; want one character", c.Replacement)
	}
	m := Metaspace{Mark: c.Replacement, Scheme: c.Scheme, Cut: orTrue(c.Cut)}
	if m.Scheme == "" { // files older than the scheme say it by a boolean
		m.Scheme = "always"
	}
	if c.PrefixSpace != nil && !*c.PrefixSpace {
		m.Scheme = "never"
	}
	switch m.Scheme {
	case "always", "first", "never":
		return m, nil
	}
	return nil, fault.New(fault.BadValue, field+".prepend_scheme", "is %q; want always, first or never", m.Scheme)
}
