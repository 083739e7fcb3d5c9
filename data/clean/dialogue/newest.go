package dialogue

import (
	"fmt"
	"unicode/utf8"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

// Newest says how much of a conversation is kept: its newest turns, whole. A turn is a message of the user with all that
// answers it, tools included; what the assistant says before the first user counts as a turn. System texts are kept
// besides, and count as characters.
type Newest struct {
	Turns      int  `json:"turns"`      // kept at most; 0 keeps all
	Characters int  `json:"characters"` // code points kept at most; 0 keeps all
	KeepLong   bool `json:"keep_long"`  // a newest turn that alone is longer than Characters is kept, where it is otherwise dropped
}

func (n Newest) check(problems *[]error) {
	if n.Turns < 0 {
		problem(problems, "Newest.Turns", "is %d; want 0 (all) or more", n.Turns)
	}
	if n.Characters < 0 {
		problem(problems, "Newest.Characters", "is %d; want 0 (all) or more", n.Characters)
	}
}

// cut leaves the newest turns; false means that the conversation is dropped.
func (n Newest) cut(c *data.Conversation, report *Report) bool {
	head := 0
	for head < len(c.Messages) && (c.Messages[head].Role == "system" || c.Messages[head].Role == "developer") {
		head++
	}
	starts := turns(c.Messages, head)
	if n.Turns == 0 && n.Characters == 0 || len(starts) == 0 {
		return true
	}
	size := length(c.Messages[:head])
	kept, end := len(starts), len(c.Messages)
	for kept > 0 {
		size += length(c.Messages[starts[kept-1]:end])
		if n.Turns > 0 && len(starts)-kept == n.Turns || n.Characters > 0 && size > n.Characters {
			break
		}
		kept--
		end = starts[kept]
	}
	if kept == len(starts) {
		note := fmt.Sprintf("the newest turn and the system text have %d characters; the limit is %d", size, n.Characters)
		field := fmt.Sprintf("messages[%d]", starts[kept-1])
		if !n.KeepLong {
			report.drop(RuleLong, field, 0, "", note)
			return false
		}
		report.add(RuleLong, field, 0, "", note+"; kept")
		kept--
	}
	if kept == 0 {
		return true
	}
	from := starts[kept]
	c.Messages = append(c.Messages[:head:head], c.Messages[from:]...)
	if len(c.Mute) > 0 {
		c.Mute = append(c.Mute[:head:head], c.Mute[from:]...)
	}
	report.add(RuleNewest, fmt.Sprintf("messages[%d:%d]", head, from), 0, fmt.Sprintf("%d of %d turns cut", kept, len(starts)), "the newest are kept")
	for _, m := range c.Messages {
		if m.Role == "assistant" {
			return true
		}
	}
	report.drop(RuleSilent, "messages", 0, "", "no answer is in the turns that are kept; there is nothing to learn")
	return false
}

// turns lists where turns begin among messages from head on.
func turns(messages []tokenizer.Message, head int) (starts []int) {
	for i := head; i < len(messages); i++ {
		if i == head || messages[i].Role == "user" && messages[i-1].Role != "user" {
			starts = append(starts, i)
		}
	}
	return starts
}

// length counts the code points of all texts of messages.
func length(messages []tokenizer.Message) (n int) {
	for i, m := range messages {
		allTexts(&m, i, func(_, text string) string { n += utf8.RuneCountInString(text); return text })
	}
	return n
}
