package tokenizer

import (
	"fmt"
	"maps"
	"slices"
)

// Message is one turn of a conversation. Its JSON form is the one of the OpenAI API and of transformers:
//
//	{"role": "assistant", "content": "…", "tool_calls": [{"type": "function", "function": {"name": "…", "arguments": {…}}}]}
//
// A message read from JSON keeps the order of its keys and every key it does not know, as a template may use them.
type Message struct {
	Role    string // system, user, assistant, tool, …: what the template understands
	Content string
	Parts   []any // content blocks ([{"type": "text", "text": "…"}, …]); when not nil they stand in place of Content

	ReasoningContent string     // the model's thinking, for templates that print it apart from the answer
	ToolCalls        []ToolCall // calls that an assistant message makes
	Name             string     // of the speaker, or of the tool that answers
	ToolCallID       string     // in a tool message: the call it answers

	Extra map[string]any // further keys

	keys Object // the keys as read from JSON, in order; values are used where no field above holds them
}

// ToolCall is a function call made by the assistant.
type ToolCall struct {
	ID        string
	Name      string
	Arguments any // an Object, a map, or a string holding JSON: templates treat the forms differently

	raw Object // as read from JSON
}

// ParseMessages reads a JSON list of messages.
func ParseMessages(data []byte) ([]Message, error) {
	value, err := parseOrdered(data)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("messages: is %s; want a list", kindOf(value))
	}
	messages := make([]Message, len(list))
	for i, item := range list {
		object, ok := item.(Object)
		if !ok {
			return nil, fmt.Errorf("messages[%d]: is %s; want an object", i, kindOf(item))
		}
		if err := messages[i].read(object); err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	return messages, nil
}

// UnmarshalJSON reads one message; a field of the wrong type is an error that names it.
func (m *Message) UnmarshalJSON(data []byte) error {
	var object Object
	if err := object.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return m.read(object)
}

func (m *Message) read(object Object) error {
	*m = Message{keys: object}
	for _, field := range object {
		if err := m.readField(field); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) readField(field Member) error {
	switch field.Key {
	case "role":
		return readString(field, &m.Role)
	case "content":
		if blocks, ok := field.Value.([]any); ok {
			m.Parts = blocks
			return nil
		}
		if object, ok := field.Value.(Object); ok { // rare, but templates may take it
			return m.readExtra(Member{"content", object})
		}
		return readString(field, &m.Content)
	case "reasoning_content":
		return readString(field, &m.ReasoningContent)
	case "name":
		return readString(field, &m.Name)
	case "tool_call_id":
		return readString(field, &m.ToolCallID)
	case "tool_calls":
		return m.readToolCalls(field)
	}
	return m.readExtra(field)
}

func (m *Message) readExtra(field Member) error {
	if m.Extra == nil {
		m.Extra = map[string]any{}
	}
	m.Extra[field.Key] = field.Value
	return nil
}

func readString(field Member, into *string) error {
	switch value := field.Value.(type) {
	case nil: // null: the key is remembered, the field stays empty
		return nil
	case string:
		*into = value
		return nil
	}
	return fmt.Errorf("%s: is %s; want a string", field.Key, kindOf(field.Value))
}

func (m *Message) readToolCalls(field Member) error {
	if field.Value == nil {
		return nil
	}
	list, ok := field.Value.([]any)
	if !ok {
		return fmt.Errorf("tool_calls: is %s; want a list", kindOf(field.Value))
	}
	m.ToolCalls = make([]ToolCall, len(list))
	for i, item := range list {
		raw, ok := item.(Object)
		if !ok {
			return fmt.Errorf("tool_calls[%d]: is %s; want an object", i, kindOf(item))
		}
		if err := m.ToolCalls[i].read(raw); err != nil {
			return fmt.Errorf("tool_calls[%d]: %w", i, err)
		}
	}
	return nil
}

func (c *ToolCall) read(raw Object) error {
	c.raw = raw
	for _, field := range raw {
		if err := c.readField(field); err != nil {
			return err
		}
	}
	function, ok := raw.Get("function")
	if !ok {
		return nil
	}
	fields, ok := function.(Object)
	if !ok {
		return fmt.Errorf("function: is %s; want an object", kindOf(function))
	}
	for _, field := range fields {
		if err := c.readField(field); err != nil {
			return fmt.Errorf("function: %w", err)
		}
	}
	return nil
}

func (c *ToolCall) readField(field Member) error {
	switch field.Key {
	case "id":
		return readString(field, &c.ID)
	case "name":
		return readString(field, &c.Name)
	case "arguments":
		c.Arguments = field.Value
	}
	return nil
}

// MarshalJSON writes the message as it is shown to a template.
func (m Message) MarshalJSON() ([]byte, error) { return m.object().MarshalJSON() }

// object is the message as a template sees it: the keys in the order they were read, with the values the fields hold
// now; then what was set since, in a fixed order.
func (m Message) object() Object {
	out := make(Object, 0, len(m.keys)+4)
	for _, field := range m.keys {
		if value, ok := m.value(field); ok {
			out = append(out, Member{field.Key, value})
		}
	}
	add := func(key string, value any, set bool) {
		if _, there := out.Get(key); set && !there {
			out = append(out, Member{key, value})
		}
	}
	add("role", m.Role, true)
	add("content", m.content(), m.keys == nil || m.Parts != nil || m.Content != "")
	add("reasoning_content", m.ReasoningContent, m.ReasoningContent != "")
	add("tool_calls", m.toolCalls(), m.ToolCalls != nil)
	add("name", m.Name, m.Name != "")
	add("tool_call_id", m.ToolCallID, m.ToolCallID != "")
	for _, key := range slices.Sorted(maps.Keys(m.Extra)) {
		add(key, m.Extra[key], true)
	}
	return out
}

// value is what a key read from JSON holds now. A null stays null unless its field was set since.
func (m Message) value(field Member) (any, bool) {
	text := func(s string) (any, bool) {
		if s == "" && field.Value == nil {
			return nil, true
		}
		return s, true
	}
	switch field.Key {
	case "role":
		return text(m.Role)
	case "content":
		if m.Parts == nil && m.Content == "" {
			if value, ok := m.Extra["content"]; ok {
				return value, true
			}
			return text("")
		}
		return m.content(), true
	case "reasoning_content":
		return text(m.ReasoningContent)
	case "name":
		return text(m.Name)
	case "tool_call_id":
		return text(m.ToolCallID)
	case "tool_calls":
		if m.ToolCalls == nil {
			return nil, field.Value == nil
		}
		return m.toolCalls(), true
	}
	value, ok := m.Extra[field.Key]
	return value, ok
}

func (m Message) content() any {
	if m.Parts != nil {
		return m.Parts
	}
	return m.Content
}

func (m Message) toolCalls() []any {
	calls := make([]any, len(m.ToolCalls))
	for i, c := range m.ToolCalls {
		calls[i] = c.object()
	}
	return calls
}

// object is the call in the form it was read in, or in that of the OpenAI API when it was built in Go.
func (c ToolCall) object() Object {
	if c.raw == nil {
		out := Object{}
		if c.ID != "" {
			out = append(out, Member{"id", c.ID})
		}
		return append(out, Member{"type", "function"},
			Member{"function", Object{{"name", c.Name}, {"arguments", c.Arguments}}})
	}
	out := slices.Clone(c.raw)
	for i := range out {
		out[i].Value = c.value(out[i])
	}
	return out
}

func (c ToolCall) value(field Member) any {
	switch field.Key {
	case "id":
		if field.Value == nil && c.ID == "" {
			return nil
		}
		return c.ID
	case "name":
		return c.Name
	case "arguments":
		return c.Arguments
	case "function":
		inner := slices.Clone(field.Value.(Object)) // read refused anything else
		for i := range inner {
			inner[i].Value = c.value(inner[i])
		}
		return inner
	}
	return field.Value
}
