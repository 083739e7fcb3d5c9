package data

import (
	"fmt"
	"strings"

	"github.com/gofinetune/finetune/tokenizer"
)

// OverLongPolicy says what becomes of a conversation over MaxLength tokens.
//
// Except for OverLongCutEnd, whole earlier turns are dropped first, the oldest before the others, until the rest fits: the
// system text and the newest turns stay. The policy is about a last turn that is too long alone.
type OverLongPolicy int

const (
	// OverLongDrop drops the record and lists it in the ledger.
	OverLongDrop OverLongPolicy = iota
	// OverLongError ends the work with an error that names the record.
	OverLongError
	// OverLongCutPrompt cuts the beginning of the question's text. Nothing of the answer is ever cut: where the answer
	// leaves no room for a question, the record is dropped.
	OverLongCutPrompt
	// OverLongCutEnd keeps the first MaxLength tokens, as TRL does. Answers lose their end and with it the token that
	// ends them; a record without an answer in its beginning is dropped.
	OverLongCutEnd
)

var overLongNames = []string{"drop", "error", "cut_prompt", "cut_end"}

// String is the policy's name in configurations.
func (p OverLongPolicy) String() string {
	if p < 0 || int(p) >= len(overLongNames) {
		return fmt.Sprintf("OverLongPolicy(%d)", int(p))
	}
	return overLongNames[p]
}

// MarshalText writes the policy's name.
func (p OverLongPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads drop, error, cut_prompt or cut_end.
func (p *OverLongPolicy) UnmarshalText(name []byte) error {
	for i, known := range overLongNames {
		if known == string(name) {
			*p = OverLongPolicy(i)
			return nil
		}
	}
	return fmt.Errorf("over-long policy: is %q; want %s", name, strings.Join(overLongNames, ", "))
}

// shorten brings a conversation whose sample is too long below the limit, and says how. The conversation is what is left of it.
func (e *encoder) shorten(c Conversation, whole Sample) (left Conversation, s Sample, how string, err *RecordError) {
	if e.cfg.OverLong == OverLongCutEnd {
		return c, whole.cutEnd(e.cfg.MaxLength), fmt.Sprintf("the last %d tokens cut", len(whole.IDs)-e.cfg.MaxLength), nil
	}
	h := e.splitTurns(c)
	c, s, dropped, err := e.dropHistory(h, whole)
	if err != nil {
		return c, s, "", err
	}
	if dropped > 0 {
		how = fmt.Sprintf("the oldest %d of %s dropped", dropped, count(len(h.starts), "turn"))
	}
	if len(s.IDs) <= e.cfg.MaxLength {
		return c, s, how, nil
	}
	rest := "it has no earlier turn to drop"
	if dropped > 0 {
		rest = fmt.Sprintf("its last turn alone has %d", len(s.IDs))
	}
	err = fault(ErrOverLong, "", "has %d tokens, over MaxLength %d; %s", len(whole.IDs), e.cfg.MaxLength, rest)
	switch e.cfg.OverLong {
	case OverLongError:
		err.Msg += "; raise MaxLength, or let OverLong drop such records or cut their questions"
		return c, s, "", err
	case OverLongDrop:
		return c, s, "", err.policy()
	}
	c, s, cut, err := e.cutPrompt(c, s)
	if how != "" {
		cut = how + "; " + cut
	}
	return c, s, cut, err
}

// history is a conversation cut into its turns: each begins with a message of the user, but for the first, which may
// begin with a greeting of the assistant.
type history struct {
	conversation Conversation
	head         int   // messages before the first turn: the system text
	starts       []int // first message of each turn
	last         int   // the turn of the last learned answer, which must stay
}

func (e *encoder) splitTurns(c Conversation) history {
	h := history{conversation: c}
	for h.head < len(c.Messages) && isSystem(c.Messages[h.head]) {
		h.head++
	}
	for i := h.head; i < len(c.Messages); i++ {
		if i == h.head || c.Messages[i].Role == "user" && c.Messages[i-1].Role != "user" {
			h.starts = append(h.starts, i)
		}
	}
	newest := len(c.Messages) - 1
	for newest > 0 && (c.Messages[newest].Role != "assistant" || c.Mute != nil && c.Mute[newest]) {
		newest--
	}
	for h.last+1 < len(h.starts) && h.starts[h.last+1] < newest {
		h.last++
	}
	return h
}

// without is the conversation without its first k turns.
func (h history) without(k int) Conversation {
	c := h.conversation
	from := h.starts[k]
	c.Messages = append(append([]tokenizer.Message{}, c.Messages[:h.head]...), c.Messages[from:]...)
	if c.Mute != nil {
		c.Mute = append(append([]bool{}, c.Mute[:h.head]...), h.conversation.Mute[from:]...)
	}
	return c
}

// dropHistory drops the fewest oldest turns after which the rest fits, or all but the last turn if nothing does.
//
// A template may print a turn differently when others are gone, so each candidate is rendered. Lengths hardly ever fall
// by anything but the turn's own tokens, though: bisection finds the number in a few steps.
func (e *encoder) dropHistory(h history, whole Sample) (Conversation, Sample, int, *RecordError) {
	best, bestSample := h.conversation, whole
	low, high := 0, h.last // low turns dropped: too long; is high enough?
	if high == 0 {
		return best, bestSample, 0, nil
	}
	best = h.without(high)
	bestSample, err := e.render(best)
	if err != nil {
		return best, bestSample, high, err
	}
	if len(bestSample.IDs) > e.cfg.MaxLength {
		return best, bestSample, high, nil
	}
	for high-low > 1 {
		middle := (low + high) / 2
		c := h.without(middle)
		s, err := e.render(c)
		switch {
		case err != nil:
			return best, bestSample, high, err
		case len(s.IDs) > e.cfg.MaxLength:
			low = middle
		default:
			high, best, bestSample = middle, c, s
		}
	}
	return best, bestSample, high, nil
}

// cutPrompt cuts the beginning of the longest text that the last answer answers, and renders again, until it fits.
func (e *encoder) cutPrompt(c Conversation, s Sample) (Conversation, Sample, string, *RecordError) {
	at := longestPrompt(c)
	if at < 0 {
		return c, s, "", fault(ErrOverLong, "", "has %d tokens, over MaxLength %d, and no question to cut", len(s.IDs), e.cfg.MaxLength).policy()
	}
	content := c.Messages[at].Content
	enc := e.tok.EncodeFull(content, tokenizer.Options{ParseControl: e.cfg.ParseControl})
	c.Messages = append([]tokenizer.Message{}, c.Messages...)
	over := len(s.IDs) - e.cfg.MaxLength
	for cut := over; cut < len(enc.IDs); cut += over {
		kept := skipRunes(content, enc.Offsets[cut-1][1])
		if blank(kept) {
			break
		}
		c.Messages[at].Content = kept
		shorter, err := e.render(c)
		if err != nil {
			return c, s, "", err
		}
		if over = len(shorter.IDs) - e.cfg.MaxLength; over <= 0 {
			return c, shorter, fmt.Sprintf("the first %d of %d tokens of the question cut", len(s.IDs)-len(shorter.IDs), len(enc.IDs)), nil
		}
	}
	return c, s, "", fault(ErrOverLong, "", "has %d tokens, over MaxLength %d; the answer leaves no room for a question of %s",
		len(s.IDs), e.cfg.MaxLength, count(len(enc.IDs), "token")).policy()
}

// longestPrompt is the longest text of the user or of a tool before the last answer; −1 if there is none.
func longestPrompt(c Conversation) int {
	end := len(c.Messages) - 1
	for end >= 0 && c.Messages[end].Role != "assistant" {
		end--
	}
	at := -1
	for i, m := range c.Messages[:max(end, 0)] {
		if m.Role == "assistant" || isSystem(m) || m.Content == "" {
			continue
		}
		if at < 0 || len(m.Content) > len(c.Messages[at].Content) {
			at = i
		}
	}
	return at
}

// skipRunes leaves out the first n code points.
func skipRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[i:]
		}
		n--
	}
	return ""
}
