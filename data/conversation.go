package data

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/gofinetune/finetune/tokenizer"
)

// Conversation is what supervised fine-tuning learns from: the turns of a dialogue, and which answers are learned.
type Conversation struct {
	Messages []tokenizer.Message
	Tools    []any       // functions the model may call, for templates that print them
	Learn    LearnPolicy // of this record; LearnDefault leaves it to the configuration
	Mute     []bool      // per message: an answer that is context only, whatever the policy; nil mutes none

	Place    Place
	Name     string   // of the source it comes from, for reports; empty means the file
	Ignored  []string // fields of the record that were not used
	Repaired string   // what was mended when reading it; "" for nothing
}

// Source is a series of conversations that can be walked more than once.
//
// A record that cannot be used is yielded as a *RecordError, and the walk goes on: a strict consumer breaks, a lenient
// one counts and lists. Any other error (a file that is gone, a broken archive), and a RecordError that says Unread,
// ends the walk.
type Source interface {
	Conversations() iter.Seq2[Conversation, error]
}

// Sources walks several sources one after the other.
type Sources []Source

// Conversations yields what each source yields.
func (s Sources) Conversations() iter.Seq2[Conversation, error] {
	return func(yield func(Conversation, error) bool) {
		for _, source := range s {
			for c, err := range source.Conversations() {
				if !yield(c, err) {
					return
				}
			}
		}
	}
}

// Files is a source of several files, read as [File] does by default.
func Files(paths ...string) Sources {
	var s Sources
	for _, path := range paths {
		s = append(s, File{Path: path})
	}
	return s
}

// LearnPolicy says which tokens of a conversation are learned.
type LearnPolicy int

const (
	LearnDefault LearnPolicy = iota // EveryAnswer, or what the configuration says for a record that leaves it open
	EveryAnswer                     // every answer of the assistant, each with its end-of-turn token
	LastAnswer                      // the last answer alone
	EveryToken                      // the questions and the template too
)

var learnNames = []string{"", "every", "last", "tokens"}

// String is the policy's name in records and configurations.
func (p LearnPolicy) String() string {
	if p < 0 || int(p) >= len(learnNames) {
		return fmt.Sprintf("LearnPolicy(%d)", int(p))
	}
	return learnNames[p]
}

// MarshalText writes the policy's name.
func (p LearnPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads every, last or tokens; the empty text is LearnDefault.
func (p *LearnPolicy) UnmarshalText(name []byte) error {
	for i, known := range learnNames {
		if known == string(name) {
			*p = LearnPolicy(i)
			return nil
		}
	}
	return fmt.Errorf("learn: is %q; want every, last or tokens", name)
}

// learn reads the field "learn" of a record.
func (o *object) learn() (LearnPolicy, *RecordError) {
	name, err := o.text("learn")
	if err != nil {
		return 0, err
	}
	var p LearnPolicy
	if p.UnmarshalText([]byte(name)) != nil {
		return 0, fault(ErrBadValue, "learn", "is %q; want every, last or tokens", name)
	}
	return p, nil
}

// turns writes a prompt as messages: the system text, the earlier questions and answers, and the user's text, which is
// instruction and input joined by a line break, empty parts left out.
func turns(system string, history [][2]string, instruction, input string) []tokenizer.Message {
	messages := make([]tokenizer.Message, 0, 2*len(history)+3)
	if system != "" {
		messages = append(messages, tokenizer.Message{Role: "system", Content: system})
	}
	for _, turn := range history {
		messages = append(messages,
			tokenizer.Message{Role: "user", Content: turn[0]},
			tokenizer.Message{Role: "assistant", Content: turn[1]})
	}
	user := instruction
	switch {
	case instruction == "":
		user = input
	case input != "":
		user = instruction + "\n" + input
	}
	return append(messages, tokenizer.Message{Role: "user", Content: user})
}

// openAIRoles are the roles of messages we accept: many templates leave out a message of another role without a word.
var openAIRoles = map[string]bool{"system": true, "developer": true, "user": true, "assistant": true, "tool": true, "function": true}

// checkMessages looks for what a template would pass over in silence.
func checkMessages(messages []tokenizer.Message) *RecordError {
	last := -1
	for i, m := range messages {
		if !openAIRoles[m.Role] {
			return fault(ErrBadValue, index("messages", i)+".role", "is %q; want system, user, assistant or tool", m.Role)
		}
		if m.Role == "assistant" {
			last = i
		}
	}
	if last < 0 {
		return fault(ErrMissingField, "messages", "has no message of the assistant; there is nothing to learn")
	}
	if silent(messages[last]) {
		return fault(ErrEmptyField, index("messages", last)+".content", "is blank; there is nothing to learn")
	}
	return nil
}

// silent tells whether a message says nothing.
func silent(m tokenizer.Message) bool {
	return blank(m.Content) && m.Parts == nil && m.ToolCalls == nil && blank(m.ReasoningContent)
}

// mutes takes the OpenAI field "weight" (0: context only, 1: learned) out of the messages, so that no template sees it.
// The messages given are left as they are: a source may be walked again.
func mutes(messages []tokenizer.Message) ([]tokenizer.Message, []bool, *RecordError) {
	var mute []bool
	for i, m := range messages {
		weight, ok := m.Extra["weight"]
		if !ok {
			continue
		}
		if mute == nil {
			mute = make([]bool, len(messages))
			messages = slices.Clone(messages)
		}
		messages[i].Extra = maps.Clone(m.Extra)
		delete(messages[i].Extra, "weight")
		switch fmt.Sprint(weight) { // a json.Number when read, any number when built in Go
		case "0", "0.0":
			mute[i] = true
		case "1", "1.0":
		default:
			return nil, nil, fault(ErrBadValue, index("messages", i)+".weight", "is %v; want 0 (context only) or 1 (learned)", weight)
		}
	}
	return messages, mute, nil
}
