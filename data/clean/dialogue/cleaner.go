package dialogue

import (
	"iter"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

// Clean returns the cleaned conversation and what was done to it. Where the report says Dropped, the conversation is not
// to be used. The conversation given is left as it is: what is changed is copied. The user's features are used where the
// configuration has tags; the zero value adds none.
func (c *Cleaner) Clean(in data.Conversation, user Features) (data.Conversation, Report) {
	out, report := in, Report{Place: in.Place}
	out.Messages, out.Mute = slices.Clone(in.Messages), slices.Clone(in.Mute)
	if c.fillers != nil {
		c.fillers.strip(out.Messages, &report)
	}
	for _, rule := range c.drop {
		if rule.dropped(out.Messages, &report) {
			return out, report
		}
	}
	if !c.cfg.Newest.cut(&out, &report) {
		return out, report
	}
	if c.mask != nil {
		c.mask.mask(out.Messages, &report)
	}
	if c.tags != nil {
		c.tags.add(&out, user, &report)
	}
	return out, report
}

// Source cleans what another source reads. Conversations that are dropped are not yielded: Report hears of them.
// Errors pass through.
type Source struct {
	From     data.Source
	Cleaner  *Cleaner
	Features func(data.Conversation) Features // of the user; nil adds no tags
	Report   func(Report)                     // is told of every conversation, in order; nil tells no one
}

// Conversations yields the conversations that are kept, cleaned.
func (s Source) Conversations() iter.Seq2[data.Conversation, error] {
	return func(yield func(data.Conversation, error) bool) {
		for in, err := range s.From.Conversations() {
			if err == nil {
				var keep bool
				if in, keep = s.clean(in); !keep {
					continue
				}
			}
			if !yield(in, err) {
				return
			}
		}
	}
}

func (s Source) clean(in data.Conversation) (data.Conversation, bool) {
	var user Features
	if s.Features != nil {
		user = s.Features(in)
	}
	out, report := s.Cleaner.Clean(in, user)
	if s.Report != nil {
		s.Report(report)
	}
	return out, report.Dropped == nil
}

// spoken tells whether a message is one of the roles; no roles means those of the dialogue, user and assistant.
func spoken(m tokenizer.Message, roles []string) bool {
	if roles == nil {
		return m.Role == "user" || m.Role == "assistant"
	}
	return slices.Contains(roles, m.Role)
}
