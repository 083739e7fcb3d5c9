package tokenizer

import "errors"

// SlotTemplate placeholder
type SlotTemplate struct{}

// BuiltInTemplate placeholder
func BuiltInTemplate(name string) (*SlotTemplate, error) { return nil, errors.New("not yet") }

func (s *SlotTemplate) render(t *Tokenizer, ms []Message, o ChatOptions, err error) (string, error) {
	return "", err
}

func (s *SlotTemplate) encodeChat(t *Tokenizer, ms []Message, o ChatOptions, err error) (Chat, error) {
	return Chat{}, err
}
