package tokenizer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SlotTemplate is a chat template made of slots: texts, special tokens by their role, and tokens by name. It serves
// checkpoints that ship no template of their own. Each slot is encoded by itself and the ids are joined, as
// LLaMA-Factory does, so that the model sees in use what it saw in training.
type SlotTemplate struct {
	Name      string
	Prefix    []Slot // before everything
	System    []Slot
	User      []Slot // with the header of the answer
	Assistant []Slot // with the end of the turn

	DefaultSystem     string   // in place of a missing or empty system text
	StopWords         []string // end the answer in generation
	EfficientEOS      bool     // answers have no end token; the one after the last answer is added when samples are made
	ReplaceEOS        bool     // the first stop word takes the place of the tokenizer's EOS
	SystemInFirstUser bool     // the system text is put before the first user text, inside its slot
}

// Slot is one part of a template: exactly one field is set.
type Slot struct {
	Text    string // with {{content}} where the message stands
	Special string // bos_token or eos_token: nothing where the tokenizer has none
	Token   string // one token by name
}

const contentSlot = "{{content}}"

// BuiltInTemplate finds a built-in template by the name that LLaMA-Factory gives it.
func BuiltInTemplate(name string) (*SlotTemplate, error) {
	if s, ok := builtIns[name]; ok {
		s.Name = name
		return &s, nil
	}
	return nil, fmt.Errorf("tokenizer: no built-in template %q; there are %s", name, strings.Join(BuiltInTemplates(), ", "))
}

// BuiltInTemplates are the names of the built-in templates.
func BuiltInTemplates() []string { return slices.Sorted(maps.Keys(builtIns)) }

// EOS is the token that ends an answer under this template.
func (s *SlotTemplate) EOS(t *Tokenizer) (int32, bool) {
	if s.ReplaceEOS && len(s.StopWords) > 0 {
		if id, ok := t.ID(s.StopWords[0]); ok {
			return id, true
		}
	}
	return t.EOS()
}

// Turn is a question and its answer.
type Turn struct{ Question, Answer string }

// EncodedTurn is a turn in tokens: what the model is given, and what it is to write.
type EncodedTurn struct{ Prompt, Answer []int32 }

// EncodeTurns encodes a conversation. The first prompt holds the prefix and the system text; "" means the template's
// own. Control tokens written in the texts stay text.
func (s *SlotTemplate) EncodeTurns(t *Tokenizer, system string, turns []Turn) ([]EncodedTurn, error) {
	out := make([]EncodedTurn, len(turns))
	for i, turn := range turns {
		prompt, err := s.prompt(i == 0, system, turn.Question)
		if err != nil {
			return nil, err
		}
		w := slotWriter{t: t, s: s}
		if err := w.write(prompt); err != nil {
			return nil, err
		}
		out[i].Prompt = w.ids
		w = slotWriter{t: t, s: s}
		if err := w.write(fill(s.Assistant, turn.Answer)); err != nil {
			return nil, err
		}
		out[i].Answer = w.ids
	}
	return out, nil
}

// filledSlot is a slot with its content, which is data.
type filledSlot struct {
	Slot
	before, content, after string
}

func (f filledSlot) text() string { return f.before + f.content + f.after }

func fill(slots []Slot, content string) []filledSlot {
	out := make([]filledSlot, len(slots))
	for i, slot := range slots {
		out[i] = filledSlot{Slot: slot, before: slot.Text}
		if before, after, found := strings.Cut(slot.Text, contentSlot); found {
			out[i] = filledSlot{slot, before, content, after}
		}
	}
	return out
}

// prompt is what stands before an answer.
func (s *SlotTemplate) prompt(first bool, system, question string) ([]filledSlot, error) {
	if !first {
		return fill(s.User, question), nil
	}
	if system == "" {
		system = s.DefaultSystem
	}
	out := fill(s.Prefix, "")
	switch {
	case system == "":
	case s.SystemInFirstUser:
		// One text of both: the system text is data, the marks around it are the template's.
		return append(out, fillSystem(s.User, s.System, system, question)...), nil
	default:
		out = append(out, fill(s.System, system)...)
	}
	return append(out, fill(s.User, question)...), nil
}

// fillSystem puts the system text, in its own slot, before the content of the user's slot.
func fillSystem(user, system []Slot, text, question string) []filledSlot {
	out := fill(user, "")
	for i, slot := range user {
		if before, after, found := strings.Cut(slot.Text, contentSlot); found {
			for _, part := range fill(system, text) {
				out[i] = filledSlot{slot, before, part.text() + question, after}
			}
		}
	}
	return out
}

// slotWriter encodes filled slots.
type slotWriter struct {
	t   *Tokenizer
	s   *SlotTemplate
	o   Options // ParseControl: control tokens in the content become their ids
	ids []int32
}

func (w *slotWriter) write(slots []filledSlot) error {
	for _, f := range slots {
		switch {
		case f.Token != "":
			id, ok := w.t.ID(f.Token)
			if !ok {
				return fmt.Errorf("tokenizer: template %s needs the token %q, which the tokenizer does not have", w.s.Name, f.Token)
			}
			w.ids = append(w.ids, id)
		case f.Special != "":
			if id, ok := w.special(f.Special); ok {
				w.ids = append(w.ids, id)
			}
		default:
			w.text(f)
		}
	}
	return nil
}

func (w *slotWriter) special(role string) (int32, bool) {
	if role == "eos_token" {
		return w.s.EOS(w.t)
	}
	return w.t.named(role)
}

func (w *slotWriter) text(f filledSlot) {
	from, to := len(f.before), len(f.before)+len(f.content)
	var forbid func(start, end int) bool
	if !w.o.ParseControl {
		forbid = func(start, end int) bool { return start < to && end > from }
	}
	w.ids = append(w.ids, w.t.encodeSpans(f.text(), w.t.all, forbid).ids...)
}

// WithChatTemplate is the tokenizer with another chat template, which Save writes as chat_template.jinja: so that a
// base model tuned with a built-in template can be used as a chat model elsewhere.
func (t *Tokenizer) WithChatTemplate(source string) (*Tokenizer, error) {
	const name = "chat_template.jinja"
	template := newChatTemplate(name, source)
	if _, err := template.compile(); err != nil {
		return nil, template.fault(err)
	}
	out := *t
	out.chat = chatTemplates{defaultName: template}
	out.files = slices.DeleteFunc(slices.Clone(t.files), func(f savedFile) bool { return f.name == name })
	out.files = append(out.files, savedFile{name, []byte(source)})
	return &out, nil
}
