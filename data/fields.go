package data

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// schema lists the fields of one kind of record.
type schema struct {
	kind     string
	required []string
	optional []string
}

func (s schema) knows(name string) bool {
	return slices.Contains(s.required, name) || slices.Contains(s.optional, name)
}

// signatures are fields by which a record of another kind is recognised, the most telling first.
var signatures = []struct {
	kind   string
	fields []string
}{
	{"dpo (chosen, rejected)", []string{"chosen", "rejected"}},
	{"dpo (chosen, rejected)", []string{"chosen"}},
	{"mcq (question, A, B, C, D, answer)", []string{"question", "A", "B"}},
	{"sft (messages)", []string{"messages"}},
	{"sft (conversations, as ShareGPT has them)", []string{"conversations"}},
	{"pt (completion)", []string{"completion"}},
	{"pt (text)", []string{"text"}},
	{"sft (instruction, output)", []string{"instruction", "output"}},
}

// check finds missing, misspelt and unknown fields. It returns the names of the fields to be ignored.
func (s schema) check(o *object, rejectUnknown bool) (ignored []string, err *RecordError) {
	for _, f := range o.fields {
		if !s.knows(f.name) {
			ignored = append(ignored, f.name)
		}
	}
	for _, name := range s.required {
		if o.value(name) == nil {
			return nil, s.missing(o, name, ignored)
		}
	}
	for _, name := range ignored {
		if known := s.nearest(name, o, 1); known != "" {
			return nil, fault(ErrUnknownField, name, "is not a field of %s records; did you mean %q?", s.kind, known)
		}
		if rejectUnknown {
			return nil, s.unknown(o, name)
		}
	}
	return ignored, nil
}

func (s schema) missing(o *object, name string, unknown []string) *RecordError {
	if o.has(name) {
		return fault(ErrMissingField, name, "is null; want a value")
	}
	for _, other := range unknown {
		if near(other, name, 1) {
			return fault(ErrMissingField, name, "is missing; there is %q: names must match exactly", other)
		}
	}
	for _, sign := range signatures {
		foreign := func(f string) bool { return o.has(f) && !s.knows(f) }
		if slices.ContainsFunc(sign.fields, foreign) && !slices.ContainsFunc(sign.fields, func(f string) bool { return !o.has(f) }) {
			return fault(ErrSchemaMismatch, "", "looks like %s; want %s with %s", sign.kind, s.kind, strings.Join(s.required, ", "))
		}
	}
	return fault(ErrMissingField, name, "is missing; the record has %s", o.names())
}

func (s schema) unknown(o *object, name string) *RecordError {
	if known := s.nearest(name, o, 3); known != "" {
		return fault(ErrUnknownField, name, "is not a field of %s records; the nearest is %q", s.kind, known)
	}
	all := append(slices.Clone(s.required), s.optional...)
	return fault(ErrUnknownField, name, "is not a field of %s records; they have %s", s.kind, strings.Join(all, ", "))
}

// nearest is the known field, absent from the record, that name is a misspelling of; "" if there is none.
func (s schema) nearest(name string, o *object, distance int) string {
	for d := 0; d <= distance; d++ {
		for _, list := range [][]string{s.required, s.optional} {
			for _, known := range list {
				if !o.has(known) && near(name, known, d) {
					return known
				}
			}
		}
	}
	return ""
}

// near tells whether two names are equal but for case or for that many letters. Short names are told apart exactly.
func near(a, b string, distance int) bool {
	if len(a) > 64 {
		return false
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || min(len(a), len(b)) > 3 && edits(a, b) <= distance
}

// edits counts the letters inserted, removed, replaced or swapped with their neighbour between a and b.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(replaced, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// names lists the fields of a record for a message.
func (o *object) names() string {
	if len(o.fields) == 0 {
		return "no fields"
	}
	var names []string
	for _, f := range o.fields {
		if len(names) == 8 {
			names = append(names, "…")
			break
		}
		names = append(names, strings.Trim(excerpt(f.name), `"`))
	}
	return strings.Join(names, ", ")
}

// text reads a field that holds text; absent and null give "".
func (o *object) text(name string) (string, *RecordError) {
	v := o.value(name)
	switch {
	case v == nil:
		return "", nil
	case v.Kind() != jsontext.KindString:
		return "", fault(ErrWrongType, name, "is %s; want a string", describe(v))
	}
	return text(v), nil
}

// number reads a field that holds a number; absent and null give 0.
func (o *object) number(name string) (x float64, err *RecordError) {
	v := o.value(name)
	if v == nil {
		return 0, nil
	}
	if v.Kind() != jsontext.KindNumber || json.Unmarshal(v, &x) != nil {
		return 0, fault(ErrWrongType, name, "is %s; want a number", describe(v))
	}
	return x, nil
}

// texts reads several fields that hold text; it stops at the first fault.
func (o *object) texts(into map[string]*string) *RecordError {
	for _, f := range o.fields { // in the order of the record, so that the same fault is reported every time
		if to, ok := into[f.name]; ok {
			var err *RecordError
			if *to, err = o.text(f.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// outputs reads a list of at least two answers, none of them blank.
func (o *object) outputs(name string) ([]string, *RecordError) {
	v := o.value(name)
	if v.Kind() != jsontext.KindBeginArray {
		return nil, fault(ErrWrongType, name, "is %s; want a list of answers, best first", describe(v))
	}
	list := items(v)
	if len(list) < 2 {
		return nil, fault(ErrTooFewOutputs, name, "has %s; want 2 or more, best first", count(len(list), "answer"))
	}
	out := make([]string, len(list))
	for i, item := range list {
		if item.Kind() != jsontext.KindString {
			return nil, fault(ErrWrongType, index(name, i), "is %s; want a string", describe(item))
		}
		if out[i] = text(item); blank(out[i]) {
			return nil, fault(ErrEmptyField, index(name, i), "is blank")
		}
	}
	return out, nil
}

// history reads a list of [question, answer] pairs; absent, null and [] are equal.
func (o *object) history(name string) ([][2]string, *RecordError) {
	v := o.value(name)
	if v == nil {
		return nil, nil
	}
	if v.Kind() != jsontext.KindBeginArray {
		return nil, fault(ErrBadHistory, name, "is %s; want a list of [question, answer] pairs", describe(v))
	}
	var out [][2]string
	for i, turn := range items(v) {
		if turn.Kind() != jsontext.KindBeginArray {
			hint := ""
			if turn.Kind() == jsontext.KindBeginObject {
				hint = ` (a list of objects with role and content belongs in a field "messages")`
			}
			return nil, fault(ErrBadHistory, index(name, i), "is %s; want a pair [question, answer]%s", describe(turn), hint)
		}
		pair := items(turn)
		if len(pair) != 2 {
			return nil, fault(ErrBadHistory, index(name, i), "has %s; want 2 (question, answer)", count(len(pair), "element"))
		}
		var t [2]string
		for j, item := range pair {
			if item.Kind() != jsontext.KindString {
				return nil, fault(ErrBadHistory, index(index(name, i), j), "is %s; want a string", describe(item))
			}
			t[j] = text(item)
		}
		out = append(out, t)
	}
	return out, nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
