package data

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Action is what happened to a record.
type Action string

const (
	Dropped   Action = "dropped"   // is in no sample
	Truncated Action = "truncated" // is in a sample, but not all of it
	Repaired  Action = "repaired"  // something was mended on the way
	Noted     Action = "noted"     // used as it is; worth knowing
)

// Entry is one thing that happened to one record.
type Entry struct {
	Place
	Source string `json:"source,omitempty"` // name of the source, where it is not the file
	Action Action `json:"action"`
	Class  Class  `json:"class"`            // the reason in one word
	Reason string `json:"reason"`           // the reason in words
	Before int    `json:"before,omitempty"` // tokens as the record stands; 0 where it was not encoded
	After  int    `json:"after,omitempty"`  // tokens of the sample
}

// String prints the entry on one line, with its place first.
func (e Entry) String() string {
	size := ""
	switch {
	case e.After > 0:
		size = fmt.Sprintf(" (%d → %d tokens)", e.Before, e.After)
	case e.Before > 0:
		size = fmt.Sprintf(" (%s)", count(e.Before, "token"))
	}
	return fmt.Sprintf("%s: %s: %s: %s%s", e.Place, e.Action, e.Class, e.Reason, size)
}

// Ledger accounts for every record: Read = Kept + Dropped, and every record that was dropped, truncated or repaired is
// listed with its place, reason and sizes.
type Ledger struct {
	Counts
	Sources []SourceCounts `json:"sources"` // in the order in which they were met
	Reasons []ReasonCount  `json:"reasons"` // the most frequent first
	Entries []Entry        `json:"entries"` // in the order of the records; at most MaxEntries
	// Unlisted counts the entries beyond MaxEntries: they are in all counts, but not in Entries.
	Unlisted int `json:"unlisted,omitempty"`
	// Ignored counts, by name, the fields of kept records that no one used.
	Ignored map[string]int `json:"ignored,omitempty"`
}

// MaxEntries is how many entries a ledger lists; a file in which nothing is right must not fill the memory.
const MaxEntries = 1 << 20

// Counts are numbers of records, and of tokens in the samples made of them.
type Counts struct {
	Read      int   `json:"read"` // Kept + Dropped
	Kept      int   `json:"kept"`
	Dropped   int   `json:"dropped"`
	Truncated int   `json:"truncated"` // of the kept ones
	Repaired  int   `json:"repaired"`  // of the kept ones
	Tokens    int64 `json:"tokens"`    // in the kept ones
	Targets   int64 `json:"targets"`   // tokens learned
}

// SourceCounts are the counts of one source.
type SourceCounts struct {
	Name string `json:"name"`
	Counts
}

// ReasonCount says how often something happened.
type ReasonCount struct {
	Action Action  `json:"action"`
	Class  Class   `json:"class"`
	Count  int     `json:"count"`
	First  []Place `json:"first"` // the first places, at most three
}

// source returns the counts of a source by name, or by file where it has none.
func (l *Ledger) source(name string, p Place) *Counts {
	if name == "" {
		name = p.File
	}
	if n := len(l.Sources); n > 0 && l.Sources[n-1].Name == name {
		return &l.Sources[n-1].Counts // the usual case: the file has not changed
	}
	for i := range l.Sources {
		if l.Sources[i].Name == name {
			return &l.Sources[i].Counts
		}
	}
	l.Sources = append(l.Sources, SourceCounts{Name: name})
	return &l.Sources[len(l.Sources)-1].Counts
}

// keep counts a record that became a sample, with what happened to it on the way.
func (l *Ledger) keep(s Sample, name string, ignored []string, entries []Entry) {
	for _, c := range []*Counts{&l.Counts, l.source(name, s.Place)} {
		c.Read++
		c.Kept++
		c.Tokens += int64(s.Len())
		c.Targets += int64(s.Targets())
		if has(entries, Truncated) {
			c.Truncated++
		}
		if has(entries, Repaired) {
			c.Repaired++
		}
	}
	for _, e := range entries {
		l.list(e)
	}
	for _, field := range ignored {
		if l.Ignored == nil {
			l.Ignored = map[string]int{}
		}
		l.Ignored[field]++
	}
}

func has(entries []Entry, a Action) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Action == a })
}

// drop counts a record that became no sample.
func (l *Ledger) drop(err *RecordError, name string, tokens int) {
	for _, c := range []*Counts{&l.Counts, l.source(name, err.Place)} {
		c.Read++
		c.Dropped++
	}
	reason := err.Msg
	if err.Field != "" {
		reason = err.Field + ": " + reason
	}
	l.list(Entry{Place: err.Place, Source: name, Action: Dropped, Class: err.Class, Reason: reason, Before: tokens})
}

// note lists what concerns no single record.
func (l *Ledger) note(p Place, class Class, reason string) {
	l.list(Entry{Place: p, Action: Noted, Class: class, Reason: reason})
}

// Join adds what another ledger counts and lists, of further sources.
func (l *Ledger) Join(other *Ledger) {
	if other == nil {
		return
	}
	l.Counts.add(other.Counts)
	for _, s := range other.Sources {
		l.source(s.Name, Place{}).add(s.Counts)
	}
	for _, e := range other.Entries {
		l.list(e)
	}
	l.Unlisted += other.Unlisted
	for field, n := range other.Ignored {
		if l.Ignored == nil {
			l.Ignored = map[string]int{}
		}
		l.Ignored[field] += n
	}
}

func (c *Counts) add(other Counts) {
	c.Read += other.Read
	c.Kept += other.Kept
	c.Dropped += other.Dropped
	c.Truncated += other.Truncated
	c.Repaired += other.Repaired
	c.Tokens += other.Tokens
	c.Targets += other.Targets
}

func (l *Ledger) list(e Entry) {
	i := slices.IndexFunc(l.Reasons, func(r ReasonCount) bool { return r.Action == e.Action && r.Class == e.Class })
	if i < 0 {
		i = len(l.Reasons)
		l.Reasons = append(l.Reasons, ReasonCount{Action: e.Action, Class: e.Class})
	}
	r := &l.Reasons[i]
	r.Count++
	if len(r.First) < 3 {
		r.First = append(r.First, e.Place)
	}
	if len(l.Entries) < MaxEntries {
		l.Entries = append(l.Entries, e)
	} else {
		l.Unlisted++
	}
}

// finish orders the reasons, and is an error when there is nothing to train on.
func (l *Ledger) finish() error {
	slices.SortStableFunc(l.Reasons, func(a, b ReasonCount) int { return cmp.Compare(b.Count, a.Count) })
	switch {
	case l.Kept > 0:
		return nil
	case l.Read == 0:
		return fmt.Errorf("%w: the data hold no record", ErrNoTargets)
	}
	var why []string
	for _, r := range l.Reasons {
		if r.Action == Dropped {
			why = append(why, fmt.Sprintf("%s %d", r.Class, r.Count))
		}
	}
	err := fmt.Errorf("%w: %d read, all dropped (%s)", ErrNoTargets, l.Read, strings.Join(why, ", "))
	if len(l.Entries) > 0 {
		err = fmt.Errorf("%w; the first: %s", err, l.Entries[0])
	}
	return err
}

// fieldCounts lists the ignored fields, the most frequent first.
func (l *Ledger) fieldCounts() []string {
	names := slices.SortedFunc(maps.Keys(l.Ignored), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.Ignored[b], l.Ignored[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", strings.Trim(excerpt(name), `"`), l.Ignored[name])
	}
	return names
}
