package dialogue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gofinetune/finetune/data"
)

// The rules of changes. Rules of personal data are named by their kind: phone, id_card, email, bank_card.
const (
	RuleFiller = "filler"         // a filler was stripped
	RuleOnly   = "filler_only"    // a text of nothing but fillers, left as it is: it may be an answer
	RuleNewest = "newest"         // older turns were cut
	RuleTag    = "tag"            // a tag of the user was added
	RuleLong   = "too_long"       // dropped: the newest turn alone is longer than the limit
	RuleSilent = "no_answer"      // dropped: no answer of the assistant is left after the cut
	RuleTags   = "bad_tag"        // a tag that cannot be used: it was left out
	RuleHuman  = "transfer_human" // dropped: the customer was handed to a human
)

// Change is one thing that was done to a conversation, or the reason for which it was dropped.
type Change struct {
	data.Place
	Rule  string `json:"rule"`
	Field string `json:"field"`          // path in the record: messages[3].content
	At    int    `json:"at"`             // code point in the field's text, as the step was given it
	Value string `json:"value"`          // what was removed or added, or the phrase found; personal data show their ends alone
	Note  string `json:"note,omitempty"` // in words, where the value does not say it
}

// String prints the change on one line, with its place first.
func (c Change) String() string {
	note := ""
	if c.Note != "" {
		note = " (" + c.Note + ")"
	}
	return fmt.Sprintf("%s: %s:%d: %s: %q%s", c.Place, c.Field, c.At, c.Rule, c.Value, note)
}

// Report says what became of one conversation.
type Report struct {
	data.Place
	Dropped *Change  `json:"dropped,omitempty"` // why it is in no sample; nil where it is kept
	Changes []Change `json:"changes,omitempty"` // in the order in which they were made; also of a dropped one
}

func (r *Report) add(rule, field string, at int, value, note string) {
	r.Changes = append(r.Changes, Change{Place: r.Place, Rule: rule, Field: field, At: at, Value: value, Note: note})
}

func (r *Report) drop(rule, field string, at int, value, note string) {
	r.Dropped = &Change{Place: r.Place, Rule: rule, Field: field, At: at, Value: value, Note: note}
}

// Tally adds up reports: Read = Kept + the sum of Dropped. The zero value is ready; it is not for concurrent use.
type Tally struct {
	Read    int            `json:"read"`
	Kept    int            `json:"kept"`
	Changed int            `json:"changed"` // of the kept ones
	Dropped map[string]int `json:"dropped"` // conversations, by rule
	Changes map[string]int `json:"changes"` // changes in kept conversations, by rule
}

// Add counts one report.
func (t *Tally) Add(r Report) {
	if t.Dropped == nil {
		t.Dropped, t.Changes = map[string]int{}, map[string]int{}
	}
	t.Read++
	if r.Dropped != nil {
		t.Dropped[r.Dropped.Rule]++
		return
	}
	t.Kept++
	if len(r.Changes) > 0 {
		t.Changed++
	}
	for _, c := range r.Changes {
		t.Changes[c.Rule]++
	}
}

// String prints the tally on one line.
func (t Tally) String() string {
	out := fmt.Sprintf("read %d, kept %d, dropped %d", t.Read, t.Kept, t.Read-t.Kept)
	if len(t.Dropped) > 0 {
		out += " (" + counts(t.Dropped) + ")"
	}
	if len(t.Changes) > 0 {
		out += "; changes: " + counts(t.Changes)
	}
	return out
}

// counts lists numbers by name, the largest first.
func counts(of map[string]int) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, of[name])
	}
	return strings.Join(names, ", ")
}
