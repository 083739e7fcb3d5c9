package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
)

// conversation is what slots can express: a system text and messages of users and the assistant.
func (s *SlotTemplate) conversation(messages []Message) (system string, rest []Message, skipped int, err error) {
	rest = messages
	if len(messages) > 0 && messages[0].Role == "system" {
		system, rest, skipped = messages[0].Content, messages[1:], 1
	}
	for i, m := range rest {
		switch {
		case m.Role != "user" && !isAssistant(m):
			err = fmt.Errorf("has role %q; want user or assistant, and system in the first place only", m.Role)
		case m.Parts != nil:
			err = fmt.Errorf("has content blocks; want text")
		case m.ToolCalls != nil:
			err = fmt.Errorf("has tool calls")
		}
		if err != nil {
			return "", nil, 0, fmt.Errorf("tokenizer: template %s: messages[%d]: %w", s.Name, i+skipped, err)
		}
	}
	return system, rest, skipped, nil
}

// slots are the filled slots of a message; i counts from the first message that is not the system text.
func (s *SlotTemplate) slots(i int, m Message, system string) ([]filledSlot, error) {
	if !isAssistant(m) {
		return s.prompt(i == 0, system, m.Content)
	}
	out := fill(s.Assistant, m.Content)
	if i == 0 {
		lead, err := s.prompt(true, system, "")
		if err != nil {
			return nil, err
		}
		return append(lead[:len(lead)-len(s.User)], out...), nil
	}
	return out, nil
}

func (s *SlotTemplate) render(t *Tokenizer, messages []Message, _ ChatOptions, err error) (string, error) {
	if err != nil {
		return "", err
	}
	system, rest, _, err := s.conversation(messages)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, m := range rest {
		slots, err := s.slots(i, m, system)
		if err != nil {
			return "", err
		}
		for _, f := range slots {
			b.WriteString(s.textOf(t, f))
		}
	}
	return b.String(), nil
}

func (s *SlotTemplate) textOf(t *Tokenizer, f filledSlot) string {
	switch {
	case f.Token != "":
		return f.Token
	case f.Special != "":
		w := slotWriter{t: t, s: s}
		id, ok := w.special(f.Special)
		if !ok {
			return ""
		}
		token, _ := t.Token(id)
		return token
	}
	return f.text()
}

func (s *SlotTemplate) encodeChat(t *Tokenizer, messages []Message, o ChatOptions, err error) (Chat, error) {
	if err != nil {
		return Chat{}, err
	}
	system, rest, skipped, err := s.conversation(messages)
	if err != nil {
		return Chat{}, err
	}
	w := slotWriter{t: t, s: s, o: Options{ParseControl: !o.PlainText}}
	var chat Chat
	for i, m := range rest {
		slots, err := s.slots(i, m, system)
		if err != nil {
			return Chat{}, err
		}
		answer := len(slots)
		if isAssistant(m) {
			answer -= len(s.Assistant)
		}
		if err := w.write(slots[:answer]); err != nil {
			return Chat{}, err
		}
		start := len(w.ids)
		if err := w.write(slots[answer:]); err != nil {
			return Chat{}, err
		}
		if isAssistant(m) {
			chat.Answers = append(chat.Answers, Span{start, w.endOfAnswer(start), i + skipped})
		}
	}
	chat.IDs = w.ids
	return chat, nil
}

// endOfAnswer leaves out what follows the token that ends an answer.
func (w *slotWriter) endOfAnswer(start int) int {
	for end := len(w.ids); end > start; end-- {
		if w.t.IsSpecial(w.ids[end-1]) {
			return end
		}
	}
	return len(w.ids)
}

// Jinja is the template in the language of Hugging Face checkpoints, to be saved with a model; see
// [Tokenizer.WithChatTemplate]. Special tokens are written out, as the text of this tokenizer.
func (s *SlotTemplate) Jinja(t *Tokenizer) string {
	var b strings.Builder
	b.WriteString("{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}")
	b.WriteString("{% else %}{% set system = '' %}{% set rest = messages %}{% endif -%}\n")
	b.WriteString("{%- if not system %}{% set system = " + quoteJinja(s.DefaultSystem) + " %}{% endif -%}\n")
	b.WriteString(s.jinjaSlots(t, s.Prefix, ""))
	if s.SystemInFirstUser {
		b.WriteString("{%- if system %}{% set system %}" + s.jinjaSlots(t, s.System, "system") + "{% endset %}{% endif -%}\n")
	} else {
		b.WriteString("{%- if system %}" + s.jinjaSlots(t, s.System, "system") + "{% endif -%}\n")
	}
	content := "message['content']"
	if s.SystemInFirstUser {
		content = "(system + message['content'] if loop.first else message['content'])"
	}
	b.WriteString("{%- for message in rest %}{% if message['role'] == 'user' %}" + s.jinjaSlots(t, s.User, content))
	b.WriteString("{% else %}" + s.jinjaSlots(t, s.Assistant, "message['content']") + "{% endif %}{% endfor -%}\n")
	return b.String()
}

// jinjaSlots prints slots, each as an expression: template text would be trimmed.
func (s *SlotTemplate) jinjaSlots(t *Tokenizer, slots []Slot, content string) string {
	var b strings.Builder
	for _, slot := range slots {
		parts := []string{}
		f := fill([]Slot{slot}, contentSlot)[0]
		if f.content == "" {
			f.before = s.textOf(t, f)
		}
		if f.before != "" {
			parts = append(parts, quoteJinja(f.before))
		}
		if f.content != "" {
			parts = append(parts, content)
		}
		if f.after != "" {
			parts = append(parts, quoteJinja(f.after))
		}
		if len(parts) > 0 {
			b.WriteString("{{ " + strings.Join(parts, " + ") + " }}")
		}
	}
	return b.String()
}

// quoteJinja writes a string literal; Go's escapes are among those that Python knows.
func quoteJinja(s string) string { return strconv.Quote(s) }
