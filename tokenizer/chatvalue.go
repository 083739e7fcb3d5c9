package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/gofinetune/finetune/tokenizer/internal/jinja"
)

// Sources of a string in a template, beside the index of a message.
const (
	noMessage = -1 // data of the caller that belongs to no message: tools, documents
	clean     = -2 // not data: may form control tokens
)

func str(s string, source int) jinja.Str {
	if source == clean {
		return jinja.Text(s)
	}
	return jinja.Data(s, source)
}

// toValue makes a template's value of a Go value. What is not a JSON type goes through its JSON form.
func toValue(v any, source int) (jinja.Value, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		return str(v, source), nil
	case json.Number:
		return jinja.ParseNumber(v), nil
	case int:
		return int64(v), nil
	case int64, float64:
		return v, nil
	case *big.Int:
		return jinja.ParseNumber(json.Number(v.String())), nil
	case []any:
		return listValue(v, source)
	case Object:
		return objectValue(v, source)
	case map[string]any:
		return mapValue(v, source)
	}
	data, err := marshalPlain(v)
	if err != nil {
		return nil, fmt.Errorf("has no JSON form: %w", err)
	}
	parsed, err := parseOrdered(data)
	if err != nil {
		return nil, err
	}
	return toValue(parsed, source)
}

func listValue(list []any, source int) (jinja.Value, error) {
	out := jinja.NewList()
	for i, item := range list {
		value, err := toValue(item, source)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out.Items = append(out.Items, value)
	}
	return out, nil
}

func objectValue(object Object, source int) (jinja.Value, error) {
	out := jinja.NewDict()
	for _, m := range object {
		value, err := toValue(m.Value, source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Key, err)
		}
		out.Set(str(m.Key, source), value)
	}
	return out, nil
}

func mapValue(m map[string]any, source int) (jinja.Value, error) {
	object := make(Object, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		object = append(object, Member{key, m[key]})
	}
	return objectValue(object, source)
}

// knownRoles are words that templates splice into control tokens (<|user|>). Any other role is treated as data.
var knownRoles = map[string]bool{
	"system": true, "developer": true, "user": true, "assistant": true, "model": true, "tool": true, "function": true,
	"ipython": true, "observation": true, "context": true, "documents": true, "human": true, "gpt": true, "bot": true,
	"environment": true, "knowledge": true, "critic": true, "query": true, "passage": true,
}

// messageValue is a message as the reference hands it to a template: keys that are null are left out, and the
// reasoning is there under the names that templates read.
func messageValue(m Message, index int) (jinja.Value, error) {
	out := jinja.NewDict()
	object := m.object()
	reasoning, hasReasoning := reasoningOf(object)
	if hasReasoning {
		value, err := toValue(reasoning, index)
		if err != nil {
			return nil, err
		}
		out.Set(jinja.Text("thinking"), value)
	}
	for _, field := range object {
		if field.Value == nil {
			continue
		}
		source := index
		if role, ok := field.Value.(string); ok && field.Key == "role" && knownRoles[role] {
			source = clean
		}
		value, err := toValue(field.Value, source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.Key, err)
		}
		out.Set(jinja.Text(field.Key), value)
	}
	if hasReasoning {
		value, err := toValue(reasoning, index)
		if err != nil {
			return nil, err
		}
		out.Set(jinja.Text("reasoning_content"), value)
	}
	return out, nil
}

func reasoningOf(object Object) (any, bool) {
	for _, key := range []string{"reasoning_content", "thinking", "reasoning"} {
		if value, _ := object.Get(key); value != nil {
			return value, true
		}
	}
	return nil, false
}
