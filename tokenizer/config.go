package tokenizer

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// config is what tokenizer_config.json and special_tokens_map.json say beside tokenizer.json.
type config struct {
	special  map[string]string // eos_token and the like, by role
	added    []addedToken      // added_tokens_decoder
	cleanUp  bool              // decoding removes the spaces before punctuation
	template any               // chat_template: nil, a string or a list of named ones
}

// readConfig reads both files where they are there; special_tokens_map.json only fills what the other leaves out.
func readConfig(dir string, files []savedFile) (config, error) {
	c := config{special: map[string]string{}}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		i := slices.IndexFunc(files, func(f savedFile) bool { return f.name == name })
		if i < 0 {
			continue
		}
		value, err := parseOrdered(files[i].data)
		path := filepath.Join(dir, name)
		if err != nil {
			return c, inFile(path, fault.New(fault.InvalidJSON, "", "%v", err))
		}
		object, ok := value.(Object)
		if !ok {
			return c, inFile(path, fault.New(fault.NotAnObject, "", "is %s; want an object", kindOf(value)))
		}
		if err := c.read(object); err != nil {
			return c, inFile(path, err)
		}
	}
	return c, nil
}

var roles = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

func (c *config) read(object Object) error {
	for _, m := range object {
		switch {
		case slices.Contains(roles, m.Key):
			if err := c.readRole(m); err != nil {
				return err
			}
		case m.Key == "clean_up_tokenization_spaces":
			c.cleanUp = m.Value == true
		case m.Key == "added_tokens_decoder":
			if err := c.readAdded(m.Value); err != nil {
				return err
			}
		case m.Key == "chat_template":
			c.template = m.Value
		}
	}
	return nil
}

// readRole reads "eos_token": "</s>" or "eos_token": {"content": "</s>", …}.
func (c *config) readRole(m Member) error {
	value := m.Value
	if object, ok := value.(Object); ok {
		value, _ = object.Get("content")
	}
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		if _, there := c.special[m.Key]; !there && value != "" {
			c.special[m.Key] = value
		}
		return nil
	}
	return fault.New(fault.WrongType, m.Key, "is %s; want a token", kindOf(m.Value))
}

func (c *config) readAdded(value any) error {
	object, ok := value.(Object)
	if !ok {
		return nil
	}
	for _, m := range object {
		field := "added_tokens_decoder." + m.Key
		id, err := strconv.ParseInt(m.Key, 10, 32)
		if err != nil || id < 0 {
			return fault.New(fault.BadValue, field, "want an id as key")
		}
		body, err := json.Marshal(m.Value)
		if err != nil {
			return fault.New(fault.InvalidJSON, field, "%v", err)
		}
		var a addedToken
		if err := json.Unmarshal(body, &a); err != nil {
			return fault.New(fault.WrongType, field, "%v", err)
		}
		a.ID = int32(id)
		c.added = append(c.added, a)
	}
	return nil
}

// addTo adds the tokens that the configuration knows and tokenizer.json does not, as the reference does.
func (c *config) addTo(parts *contents) {
	known, taken := map[string]bool{}, map[int32]bool{}
	for _, a := range parts.added {
		known[a.Content], taken[a.ID] = true, true
	}
	for _, id := range parts.model.vocab {
		taken[id] = true
	}
	for _, a := range c.added {
		id, inVocab := parts.model.vocab[a.Content]
		if a.Content == "" || known[a.Content] || inVocab && id != a.ID || !inVocab && taken[a.ID] {
			continue // tokenizer.json has the say
		}
		parts.added = append(parts.added, a)
	}
}
