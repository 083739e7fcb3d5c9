package tokenizer

import (
	"errors"
	"fmt"
	"time"

	"github.com/gofinetune/finetune/tokenizer/internal/jinja"
)

// ChatOptions are the inputs of a chat template beside the messages. The zero value renders the messages alone.
type ChatOptions struct {
	AddGenerationPrompt bool             // end with the header of the answer to be generated
	Tools               []any            // JSON schemas of callable functions: Object, json.RawMessage or anything that encodes to an object
	Documents           []any            // for templates with retrieval: objects with title and text
	Kwargs              map[string]any   // further variables of the template (enable_thinking, …)
	PlainText           bool             // control tokens written in the messages, tools and documents stay text
	DefaultTemplate     string           // name of a built-in template ([BuiltInTemplates]), for a checkpoint that ships none
	Now                 func() time.Time // the clock of templates that print the date; nil is time.Now
}

// Span is a range of tokens that belongs to one message.
type Span struct {
	Start, End int // token range [Start, End)
	Message    int // index of the message
}

// Chat is an encoded conversation.
type Chat struct {
	IDs           []int32
	Answers       []Span // one per assistant message, with its end-of-turn token, without its header and what follows
	AssistantMask []bool // tokens inside {% generation %}; nil where the template has none
}

// HasChatTemplate tells whether the checkpoint ships a chat template.
func (t *Tokenizer) HasChatTemplate() bool { return len(t.chat) > 0 }

// ChatTemplate is the source of the checkpoint's chat template, "" where it ships none.
func (t *Tokenizer) ChatTemplate() string {
	if c, ok := t.chat[defaultName]; ok {
		return c.source
	}
	return ""
}

// TemplateError is what a chat template raised.
type TemplateError struct {
	Template string // its file
	Line     int    // where in the template; 0 where unknown
	Msg      string // for raise_exception the template's own words
}

// Error is "file:line: message".
func (e *TemplateError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: chat template: %s", e.Template, e.Msg)
	}
	return fmt.Sprintf("%s: chat template, line %d: %s", e.Template, e.Line, e.Msg)
}

// RenderChat writes a conversation as the checkpoint's chat template does: the same text as apply_chat_template of
// transformers. A *[TemplateError] says what the template refuses.
func (t *Tokenizer) RenderChat(messages []Message, o ChatOptions) (string, error) {
	if len(messages) == 0 {
		return "", errNoMessages
	}
	if slots, err := t.builtIn(o); slots != nil || err != nil {
		return slots.render(t, messages, o, err)
	}
	r, err := t.newRenderer(messages, o)
	if err != nil {
		return "", err
	}
	out, err := r.render(len(messages), o.AddGenerationPrompt)
	return out.Text, err
}

var errNoMessages = errors.New("tokenizer: the conversation has no messages")

// builtIn is the built-in template that stands in for a missing one; nil where the checkpoint has its own.
func (t *Tokenizer) builtIn(o ChatOptions) (*SlotTemplate, error) {
	if t.HasChatTemplate() || o.DefaultTemplate == "" {
		return nil, nil
	}
	return BuiltInTemplate(o.DefaultTemplate)
}

// renderer renders beginnings of one conversation.
type renderer struct {
	template *chatTemplate
	compiled *jinja.Template
	messages []jinja.Value
	vars     map[string]jinja.Value
	options  jinja.Options
}

func (t *Tokenizer) newRenderer(messages []Message, o ChatOptions) (*renderer, error) {
	template, err := t.chat.pick(o.Tools != nil)
	if err != nil {
		return nil, err
	}
	compiled, err := template.compile()
	if err != nil {
		return nil, template.fault(err)
	}
	r := &renderer{template: template, compiled: compiled, options: jinja.Options{Now: o.Now}}
	for i, m := range messages {
		value, err := messageValue(m, i)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: messages[%d]: %w", i, err)
		}
		r.messages = append(r.messages, value)
	}
	r.vars, err = t.templateVars(o)
	return r, err
}

// templateVars are the variables beside the messages.
func (t *Tokenizer) templateVars(o ChatOptions) (map[string]jinja.Value, error) {
	vars := map[string]jinja.Value{"tools": nil, "documents": nil}
	for role, token := range t.config.special {
		vars[role] = jinja.Text(token)
	}
	for name, list := range map[string][]any{"tools": o.Tools, "documents": o.Documents} {
		if list == nil {
			continue
		}
		value, err := toValue(list, noMessage)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %s: %w", name, err)
		}
		for i, item := range value.(*jinja.List).Items {
			if _, ok := item.(*jinja.Dict); !ok {
				return nil, fmt.Errorf("tokenizer: %s[%d]: want a JSON object", name, i)
			}
		}
		vars[name] = value
	}
	for name, v := range o.Kwargs {
		value, err := toValue(v, clean)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: Kwargs[%s]: %w", name, err)
		}
		vars[name] = value
	}
	return vars, nil
}

// render writes the first n messages.
func (r *renderer) render(n int, prompt bool) (jinja.Output, error) {
	r.vars["messages"] = jinja.NewList(r.messages[:n]...)
	r.vars["add_generation_prompt"] = prompt
	out, err := r.compiled.Render(r.vars, r.options)
	if err != nil {
		return out, r.template.fault(err)
	}
	return out, nil
}

func (c *chatTemplate) fault(err error) error {
	var e *jinja.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: chat template: %w", c.path, err)
	}
	if e.Own {
		return &TemplateError{Template: c.path, Msg: e.Msg}
	}
	return &TemplateError{Template: c.path, Line: e.Line, Msg: e.Msg}
}
