package dialogue

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gofinetune/finetune/tokenizer"
)

// edit is given the path and the text of a field and returns what the text becomes.
type edit func(field, text string) string

// spokenTexts edits what a message says: its content, or the texts of its content blocks.
func spokenTexts(m *tokenizer.Message, i int, f edit) {
	if m.Content != "" {
		m.Content = f(fmt.Sprintf("messages[%d].content", i), m.Content)
	}
	if m.Parts != nil {
		m.Parts = blocks(m.Parts, fmt.Sprintf("messages[%d].content", i), f)
	}
}

// allTexts edits every text of a message: what it says, thinks, and passes to tools.
func allTexts(m *tokenizer.Message, i int, f edit) {
	spokenTexts(m, i, f)
	if m.ReasoningContent == "" && m.Name == "" && m.ToolCalls == nil && m.Extra == nil {
		return // as most are
	}
	path := fmt.Sprintf("messages[%d].", i)
	m.ReasoningContent = f(path+"reasoning_content", m.ReasoningContent)
	m.Name = f(path+"name", m.Name)
	m.ToolCalls = slices.Clone(m.ToolCalls)
	for j := range m.ToolCalls {
		m.ToolCalls[j].Arguments = value(m.ToolCalls[j].Arguments, fmt.Sprintf("%stool_calls[%d].arguments", path, j), f)
	}
	if m.Extra != nil {
		m.Extra = value(m.Extra, path[:len(path)-1], f).(map[string]any)
	}
}

// blocks edits the texts of content blocks, {"type": "text", "text": "…"}; images and the like stay as they are.
func blocks(parts []any, path string, f edit) []any {
	parts = slices.Clone(parts)
	for i, part := range parts {
		field := fmt.Sprintf("%s[%d].text", path, i)
		switch block := part.(type) {
		case string:
			parts[i] = f(fmt.Sprintf("%s[%d]", path, i), block)
		case tokenizer.Object:
			if text, ok := get(block, "text").(string); ok {
				parts[i] = slices.Clone(block).Set("text", f(field, text))
			}
		case map[string]any:
			if text, ok := block["text"].(string); ok {
				block = maps.Clone(block)
				block["text"] = f(field, text)
				parts[i] = block
			}
		}
	}
	return parts
}

func get(o tokenizer.Object, key string) any {
	v, _ := o.Get(key)
	return v
}

// value edits every text inside a JSON value and returns a copy of it.
func value(v any, path string, f edit) any {
	switch v := v.(type) {
	case string:
		return f(path, v)
	case []any:
		v = slices.Clone(v)
		for i := range v {
			v[i] = value(v[i], fmt.Sprintf("%s[%d]", path, i), f)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) { // in order: the report must not depend on the map's
			out[key] = value(v[key], path+"."+key, f)
		}
		return out
	case tokenizer.Object:
		v = slices.Clone(v)
		for i := range v {
			v[i].Value = value(v[i].Value, path+"."+v[i].Key, f)
		}
		return v
	}
	return v
}
