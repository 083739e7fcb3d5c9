package data

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// object is one record as JSON gives it: fields in the order of the file, values still as JSON text.
type object struct {
	fields []field
}

type field struct {
	name  string
	value jsontext.Value
}

// value returns the JSON text of a field, or nil if the field is absent or null: null means "nothing" everywhere.
func (o *object) value(name string) jsontext.Value {
	for i := range o.fields {
		if f := &o.fields[i]; f.name == name && f.value.Kind() != jsontext.KindNull {
			return f.value
		}
	}
	return nil
}

func (o *object) has(name string) bool {
	for i := range o.fields {
		if o.fields[i].name == name {
			return true
		}
	}
	return false
}

// parser reads records one after the other; it is not for concurrent use.
type parser struct {
	maxDepth int
	dec      *jsontext.Decoder
	buf      bytes.Buffer
	obj      object
}

func newParser(maxDepth int) *parser {
	p := &parser{maxDepth: maxDepth}
	p.dec = jsontext.NewDecoder(&p.buf)
	return p
}

// object parses text as one JSON object. The result is valid until the next call and shares the text's memory.
// It refuses what a lenient decoder would silently mend or lose: text that is not UTF-8, repeated keys, halves of
// surrogate pairs, NaN, a second value on the line.
func (p *parser) object(text []byte) (*object, *RecordError) {
	if err, _ := badUTF8(text); err != nil {
		return nil, err
	}
	if at := deeper(text, p.maxDepth); at >= 0 {
		return nil, fault(ErrTooDeep, "", "is nested deeper than %d at byte %d of the record", p.maxDepth, at)
	}
	p.obj.fields = p.obj.fields[:0]
	p.buf = *bytes.NewBuffer(text) // the decoder parses a bytes.Buffer in place
	p.dec.Reset(&p.buf)
	if err := p.members(text); err != nil {
		return nil, err
	}
	return &p.obj, nil
}

func (p *parser) members(text []byte) *RecordError {
	if p.dec.PeekKind() != jsontext.KindBeginObject {
		value, err := p.dec.ReadValue()
		if err != nil {
			return syntax(text, err)
		}
		return fault(ErrNotAnObject, "", "is %s; want an object {…}", describe(value))
	}
	p.dec.ReadToken()
	for p.dec.PeekKind() != jsontext.KindEndObject {
		name, err := p.dec.ReadToken()
		if err != nil {
			return syntax(text, err)
		}
		key := name.String()
		value, err := p.dec.ReadValue()
		if err != nil {
			return syntax(text, err)
		}
		end := p.dec.InputOffset() // the decoder's own slice dies with the next call
		p.obj.fields = append(p.obj.fields, field{key, jsontext.Value(text[end-int64(len(value)) : end])})
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return syntax(text, err)
	}
	if rest := bytes.Trim(text[p.dec.InputOffset():], jsonSpace); len(rest) > 0 {
		return fault(ErrTrailingData, "", "%s follows the record; want one record a line", excerpt(rest))
	}
	return nil
}

// syntax turns a decoder's error into one of our classes, with the place inside the record.
func syntax(text []byte, err error) *RecordError {
	var s *jsontext.SyntacticError
	if !errors.As(err, &s) {
		return fault(ErrInvalidJSON, "", "%v", err)
	}
	at := min(max(s.ByteOffset, 0), int64(len(text)))
	name := pointerField(s.JSONPointer)
	switch cause := s.Err; {
	case cause == jsontext.ErrDuplicateName:
		return fault(ErrDuplicateKey, name, "is given twice; the first value would be lost")
	case strings.Contains(cause.Error(), "surrogate") || halfPair(text[at:]):
		return fault(ErrInvalidUnicode, name, "half of a surrogate pair at byte %d of the record: %s", at, excerpt(text[at:min(at+12, int64(len(text)))]))
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return fault(ErrInvalidJSON, name, "the record is cut off after %s", tail(bytes.TrimRight(text, jsonSpace)))
	default:
		where := ""
		if at > 0 {
			where = ", after " + tail(text[:at])
		}
		if bytes.IndexByte(text, 0) >= 0 {
			where += "; it holds NUL bytes, as a crash leaves them"
		}
		return fault(ErrInvalidJSON, name, "%v at byte %d of the record%s", cause, at, where)
	}
}

// halfPair tells whether text begins with an escaped surrogate, which is wrong where the decoder stopped at it.
func halfPair(text []byte) bool {
	return len(text) > 3 && text[0] == '\\' && text[1] == 'u' && (text[2] == 'd' || text[2] == 'D') &&
		strings.IndexByte("89abcdefABCDEF", text[3]) >= 0
}

// pointerField writes a JSON pointer as the path that our messages use: history[0][1].
func pointerField(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if len(token) > 40 {
			token = token[:40]
		}
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
		if b.Len() > excerptLen {
			return b.String() + "…"
		}
	}
	return strings.ToValidUTF8(b.String(), "")
}

// deeper returns the offset where JSON text nests deeper than limit, or −1.
func deeper(text []byte, limit int) int {
	if bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) <= limit {
		return -1 // almost always: no need to look at every byte
	}
	var scan elementScan
	for i := range text {
		scan.feed(text[i : i+1])
		if scan.depth > limit {
			return i
		}
	}
	return -1
}

// describe names the type of a JSON value and shows its beginning.
func describe(v jsontext.Value) string {
	switch v.Kind() {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean (" + string(v) + ")"
	case jsontext.KindString:
		return "a string (" + excerpt(text(v)) + ")"
	case jsontext.KindNumber:
		return "a number (" + string(v[:min(len(v), 24)]) + ")"
	case jsontext.KindBeginArray:
		return "a list"
	}
	return "an object"
}

// text is the Go string of a valid JSON string.
func text(v jsontext.Value) string {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	unquoted, _ := jsontext.AppendUnquote(make([]byte, 0, len(inner)), v) // the decoder has checked it
	return string(unquoted)
}

// items lists the elements of a valid JSON array.
func items(v jsontext.Value) []jsontext.Value {
	if len(v) == 2 {
		return nil // []
	}
	var out []jsontext.Value
	dec := jsontext.NewDecoder(bytes.NewBuffer(v))
	dec.ReadToken()
	for dec.PeekKind() != jsontext.KindEndArray {
		item, err := dec.ReadValue()
		if err != nil {
			return out // cannot be: the decoder has checked the whole
		}
		end := dec.InputOffset()
		out = append(out, v[end-int64(len(item)):end])
	}
	return out
}
