package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Object is a JSON object that keeps the order of its keys. Chat templates print tools and arguments in the order
// they were written, and a model was trained on that order, so a Go map (which has none) would change the text.
type Object []Member

// Member is one key of an [Object] with its value: nil, bool, json.Number, string, []any or Object as read from
// JSON; when built by hand, anything that encoding/json can write.
type Member struct {
	Key   string
	Value any
}

// Get returns the value of a key, and whether the key is there.
func (o Object) Get(key string) (any, bool) {
	for _, m := range o {
		if m.Key == key {
			return m.Value, true
		}
	}
	return nil, false
}

// Set returns the object with the key's value replaced, or appended when the key is new.
func (o Object) Set(key string, value any) Object {
	for i, m := range o {
		if m.Key == key {
			o[i].Value = value
			return o
		}
	}
	return append(o, Member{key, value})
}

// MarshalJSON writes the members in order, without escaping HTML characters.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshalPlain(m.Key)
		if err != nil {
			return nil, err
		}
		value, err := marshalPlain(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Key, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object; a repeated key keeps its first place and takes the last value, as in Python.
func (o *Object) UnmarshalJSON(data []byte) error {
	value, err := parseOrdered(data)
	if err != nil {
		return err
	}
	object, ok := value.(Object)
	if !ok {
		return fmt.Errorf("is %s; want a JSON object", kindOf(value))
	}
	*o = object
	return nil
}

// marshalPlain is json.Marshal without its escaping of <, > and &, which would put \u003c into prompts.
func marshalPlain(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// maxDepth bounds the nesting of JSON values, so that a hostile file cannot exhaust the stack.
const maxDepth = 512

// parseOrdered reads one JSON value, its objects as Object, its numbers as json.Number.
func parseOrdered(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := readOrdered(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("offset %d: more data after the JSON value", dec.InputOffset())
	}
	return value, nil
}

func readOrdered(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("offset %d: nested deeper than %d", dec.InputOffset(), maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return readObject(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			item, err := readOrdered(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func readObject(dec *json.Decoder, depth int) (any, error) {
	object := Object{}
	index := map[string]int{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		value, err := readOrdered(dec, depth+1)
		if err != nil {
			return nil, err
		}
		name := key.(string) // the decoder allows nothing else as a key
		if at, seen := index[name]; seen {
			object[at].Value = value
			continue
		}
		index[name] = len(object)
		object = append(object, Member{name, value})
	}
	_, err := dec.Token()
	return object, err
}

// kindOf names a JSON value's type for an error message.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case Object:
		return "an object"
	case json.Number, int, int64, float64:
		return "a number"
	}
	return fmt.Sprintf("a %T", v)
}
