package tokenizer

import (
	"strconv"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// postProcessor joins the encodings of one or two texts and adds special tokens. Its steps run in order.
type postProcessor []postStep

type postStep interface {
	// one and pair give the parts of the result in order.
	one(first Encoding, special bool) []Encoding
	pair(first, second Encoding, special bool) []Encoding
}

// process gives the final encoding.
func (p postProcessor) process(first Encoding, second *Encoding, special bool) Encoding {
	parts := []Encoding{first}
	if second != nil {
		parts = append(parts, *second)
	}
	for _, step := range p {
		if len(parts) == 2 && second != nil {
			parts = step.pair(parts[0], parts[1], special)
		} else if len(parts) == 1 {
			parts = step.one(parts[0], special)
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	var out Encoding
	for _, part := range parts {
		out.IDs = append(out.IDs, part.IDs...)
		out.Tokens = append(out.Tokens, part.Tokens...)
		out.Offsets = append(out.Offsets, part.Offsets...)
		out.TypeIDs = append(out.TypeIDs, part.TypeIDs...)
		out.Special = append(out.Special, part.Special...)
	}
	return out
}

// around adds to ids what stands before a text, the text, and what stands after it.
func (p postProcessor) around(ids []int32, text func([]int32) []int32) []int32 {
	for _, step := range p {
		if t, ok := step.(template); ok {
			for _, piece := range t.single {
				if piece.token == nil {
					ids = text(ids)
				} else {
					ids = append(ids, piece.token.IDs...)
				}
			}
			return ids
		}
	}
	return text(ids)
}

type postConfig struct {
	Processors  []spec.Raw              `json:"processors"`
	Single      []templateItem          `json:"single"`
	Pair        []templateItem          `json:"pair"`
	Specials    map[string]specialToken `json:"special_tokens"`
	Sep         []any                   `json:"sep"`
	Cls         []any                   `json:"cls"`
	TrimOffsets *bool                   `json:"trim_offsets"`
	PrefixSpace *bool                   `json:"add_prefix_space"`
}

type templateItem struct {
	Special  *templateRef `json:"SpecialToken"`
	Sequence *templateRef `json:"Sequence"`
}

type templateRef struct {
	ID     string `json:"id"`
	TypeID int32  `json:"type_id"`
}

type specialToken struct {
	IDs    []int32  `json:"ids"`
	Tokens []string `json:"tokens"`
}

func parsePost(raw spec.Raw, field string, t *Tokenizer) (postProcessor, error) {
	if spec.IsNull(raw) {
		return nil, nil
	}
	kind, err := spec.Kind(raw, field)
	if err != nil {
		return nil, err
	}
	var c postConfig
	if err := spec.Decode(raw, field, &c); err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		var out postProcessor
		for i, raw := range c.Processors {
			steps, err := parsePost(raw, spec.Index(field+".processors", i), t)
			if err != nil {
				return nil, err
			}
			out = append(out, steps...)
		}
		return out, nil
	case "ByteLevel":
		if !orTrue(c.TrimOffsets) {
			return nil, nil
		}
		return postProcessor{trim{prefixSpace: orTrue(c.PrefixSpace)}}, nil
	case "TemplateProcessing":
		step, err := parseTemplate(c, field, t)
		return postProcessor{step}, err
	case "BertProcessing", "RobertaProcessing":
		return parseBert(kind, c, field, t)
	}
	return nil, fault.New(fault.BadValue, field+".type", "unknown post-processor %q", kind)
}

func orTrue(b *bool) bool { return b == nil || *b }

// template adds special tokens at fixed places.
type template struct{ single, double []templatePiece }

type templatePiece struct {
	token  *specialToken // nil for a text
	second bool
	typeID int32
}

func parseTemplate(c postConfig, field string, t *Tokenizer) (template, error) {
	for name, token := range c.Specials {
		for _, id := range token.IDs {
			if id < 0 || int(id) >= t.Size() {
				return template{}, fault.New(fault.BadValue, field+".special_tokens["+strconv.Quote(name)+"]", "has id %d; the largest is %d", id, t.Size()-1)
			}
		}
		if len(token.IDs) != len(token.Tokens) {
			return template{}, fault.New(fault.BadValue, field+".special_tokens["+strconv.Quote(name)+"]", "has %d ids and %d tokens", len(token.IDs), len(token.Tokens))
		}
	}
	single, err := templatePieces(c.Single, c.Specials, field+".single", false)
	if err != nil {
		return template{}, err
	}
	double, err := templatePieces(c.Pair, c.Specials, field+".pair", true)
	return template{single, double}, err
}

func templatePieces(items []templateItem, specials map[string]specialToken, field string, two bool) ([]templatePiece, error) {
	var out []templatePiece
	texts := 0
	for i, item := range items {
		switch {
		case item.Special != nil:
			token, ok := specials[item.Special.ID]
			if !ok {
				return nil, fault.New(fault.BadValue, spec.Index(field, i), "%q is not in special_tokens", item.Special.ID)
			}
			out = append(out, templatePiece{token: &token, typeID: item.Special.TypeID})
		case item.Sequence != nil && (item.Sequence.ID == "A" || item.Sequence.ID == "B" && two):
			texts++
			out = append(out, templatePiece{second: item.Sequence.ID == "B", typeID: item.Sequence.TypeID})
		default:
			return nil, fault.New(fault.BadValue, spec.Index(field, i), "is neither a SpecialToken nor a Sequence")
		}
	}
	if texts == 0 && !two {
		return nil, fault.New(fault.BadValue, field, "holds no text")
	}
	return out, nil
}

func (t template) one(first Encoding, special bool) []Encoding {
	return t.apply(t.single, first, Encoding{}, special)
}

func (t template) pair(first, second Encoding, special bool) []Encoding {
	if len(t.double) == 0 { // nothing is said about pairs
		return []Encoding{first, second}
	}
	return t.apply(t.double, first, second, special)
}

func (t template) apply(pieces []templatePiece, first, second Encoding, special bool) []Encoding {
	var out Encoding
	for _, p := range pieces {
		switch {
		case p.token == nil && p.second:
			out = appendEncoding(out, second, p.typeID)
		case p.token == nil:
			out = appendEncoding(out, first, p.typeID)
		case special:
			for i, id := range p.token.IDs {
				out = appendSpecial(out, id, p.token.Tokens[i], p.typeID)
			}
		}
	}
	return []Encoding{out}
}

func appendEncoding(out, e Encoding, typeID int32) Encoding {
	out.IDs = append(out.IDs, e.IDs...)
	out.Tokens = append(out.Tokens, e.Tokens...)
	out.Offsets = append(out.Offsets, e.Offsets...)
	out.Special = append(out.Special, e.Special...)
	for range e.IDs {
		out.TypeIDs = append(out.TypeIDs, typeID)
	}
	return out
}

func appendSpecial(out Encoding, id int32, token string, typeID int32) Encoding {
	out.IDs = append(out.IDs, id)
	out.Tokens = append(out.Tokens, token)
	out.Offsets = append(out.Offsets, [2]int{})
	out.TypeIDs = append(out.TypeIDs, typeID)
	out.Special = append(out.Special, true)
	return out
}

// parseBert writes BERT's and RoBERTa's fixed forms as templates: [CLS] A [SEP] B [SEP] and <s> A </s> </s> B </s>.
func parseBert(kind string, c postConfig, field string, t *Tokenizer) (postProcessor, error) {
	cls, err := parseTokenPair(c.Cls, field+".cls", t)
	if err != nil {
		return nil, err
	}
	sep, err := parseTokenPair(c.Sep, field+".sep", t)
	if err != nil {
		return nil, err
	}
	a, b := templatePiece{}, templatePiece{second: true}
	begin, end := templatePiece{token: cls}, templatePiece{token: sep}
	if kind == "RobertaProcessing" {
		step := template{[]templatePiece{begin, a, end}, []templatePiece{begin, a, end, end, b, end}}
		if orTrue(c.TrimOffsets) {
			return postProcessor{trim{prefixSpace: orTrue(c.PrefixSpace)}, step}, nil
		}
		return postProcessor{step}, nil
	}
	b.typeID = 1
	last := templatePiece{token: sep, typeID: 1}
	return postProcessor{template{[]templatePiece{begin, a, end}, []templatePiece{begin, a, end, b, last}}}, nil
}

// parseTokenPair reads ["[SEP]", 102].
func parseTokenPair(pair []any, field string, t *Tokenizer) (*specialToken, error) {
	if len(pair) == 2 {
		token, isText := pair[0].(string)
		id, isNumber := pair[1].(float64)
		if isText && isNumber && id >= 0 && int(id) < t.Size() && id == float64(int(id)) {
			return &specialToken{[]int32{int32(id)}, []string{token}}, nil
		}
	}
	return nil, fault.New(fault.BadValue, field, "is %v; want a token and its id", pair)
}

// trim takes the white space at a token's ends out of its offsets.
type trim struct{ prefixSpace bool }

func (s trim) one(first Encoding, _ bool) []Encoding { return []Encoding{s.offsets(first)} }

func (s trim) pair(first, second Encoding, _ bool) []Encoding {
	return []Encoding{s.offsets(first), s.offsets(second)}
}

func (s trim) offsets(e Encoding) Encoding {
	blank := func(r rune) bool { return r == bytelevel.Runes[' '] || unidata.IsSpace(r) }
	for i, token := range e.Tokens {
		at := &e.Offsets[i]
		if n := leading(token, blank); n > 0 {
			if n == 1 && s.prefixSpace && (i == 0 || at[0] == 0) {
				n = 0 // the space that was put before the text is not in the offsets
			}
			at[0] = min(at[0]+n, at[1])
		}
		if n := trailing(token, blank); n > 0 && at[1] >= n {
			at[1] = max(at[1]-n, at[0])
		}
	}
	return e
}

func leading(s string, in func(rune) bool) (n int) {
	for _, r := range s {
		if !in(r) {
			break
		}
		n++
	}
	return n
}

func trailing(s string, in func(rune) bool) (n int) {
	for s != "" {
		r, size := utf8.DecodeLastRuneInString(s)
		if !in(r) {
			break
		}
		s = s[:len(s)-size]
		n++
	}
	return n
}
