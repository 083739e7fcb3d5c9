package tokenizer

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/jinja"
)

// chatTemplates are the chat templates that a checkpoint ships, by name. Most have one, "default"; some have another
// for conversations with tools.
type chatTemplates map[string]*chatTemplate

// chatTemplate is compiled when it is first used: a tokenizer whose template is broken still encodes text.
type chatTemplate struct {
	path    string
	source  string
	compile func() (*jinja.Template, error)
}

func newChatTemplate(path, source string) *chatTemplate {
	return &chatTemplate{path, source, sync.OnceValues(func() (*jinja.Template, error) { return jinja.Parse(source) })}
}

const defaultName = "default"

// readTemplates collects the templates: chat_template.jinja and the folder of additional ones win over
// tokenizer_config.json, and that wins over chat_template.json.
func readTemplates(dir string, files []savedFile, c config) (chatTemplates, error) {
	out := chatTemplates{}
	for _, f := range files {
		if f.name == "chat_template.json" {
			if err := out.readJSON(filepath.Join(dir, f.name), f.data); err != nil {
				return nil, err
			}
		}
	}
	path := filepath.Join(dir, "tokenizer_config.json")
	if err := out.add(path, c.template); err != nil {
		return nil, inFile(path, err)
	}
	for _, f := range files {
		switch {
		case f.name == "chat_template.jinja":
			out[defaultName] = newChatTemplate(filepath.Join(dir, f.name), string(f.data))
		case filepath.Dir(f.name) == templateFolder:
			name := strings.TrimSuffix(filepath.Base(f.name), ".jinja")
			out[name] = newChatTemplate(filepath.Join(dir, f.name), string(f.data))
		}
	}
	return out, nil
}

func (c chatTemplates) readJSON(path string, data []byte) error {
	value, err := parseOrdered(data)
	if err != nil {
		return inFile(path, fault.New(fault.InvalidJSON, "", "%v", err))
	}
	if object, ok := value.(Object); ok {
		value, _ = object.Get("chat_template")
	}
	if err := c.add(path, value); err != nil {
		return inFile(path, err)
	}
	return nil
}

// add reads the value of "chat_template": a template, or a list of {"name": …, "template": …}.
func (c chatTemplates) add(path string, value any) error {
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		c[defaultName] = newChatTemplate(path, value)
		return nil
	case []any:
		for i, item := range value {
			object, _ := item.(Object)
			name, _ := object.Get("name")
			source, _ := object.Get("template")
			nameText, ok1 := name.(string)
			sourceText, ok2 := source.(string)
			if !ok1 || !ok2 {
				return fault.New(fault.WrongType, fmt.Sprintf("chat_template[%d]", i), "want an object with name and template")
			}
			c[nameText] = newChatTemplate(path, sourceText)
		}
		return nil
	}
	return fault.New(fault.WrongType, "chat_template", "is %s; want a string or a list", kindOf(value))
}

// pick chooses the template of a conversation.
func (c chatTemplates) pick(tools bool) (*chatTemplate, error) {
	if t, ok := c["tool_use"]; ok && tools {
		return t, nil
	}
	if t, ok := c[defaultName]; ok {
		return t, nil
	}
	if len(c) > 0 {
		names := make([]string, 0, len(c))
		for name := range c {
			names = append(names, name)
		}
		return nil, fmt.Errorf("tokenizer: the checkpoint has the chat templates %s and none named default", strings.Join(names, ", "))
	}
	return nil, ErrNoChatTemplate
}
