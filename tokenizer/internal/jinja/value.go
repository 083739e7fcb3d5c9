package jinja

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Value is what a template computes with: nil (None), Undefined, bool, int64, *big.Int, float64, Str, *List, *Dict,
// *namespace, *generator or a callable.
type Value any

// Undefined is the value of a missing variable, attribute or key. It prints as nothing; most other uses raise.
type Undefined struct{ what string }

// Mark is a range of bytes that came from the caller's data.
type Mark struct {
	Start, End int
	Source     int // as given to [Data]
}

// Str is a string.
type Str struct {
	S     string
	marks []Mark // what came from data; ascending, disjoint
	gens  []Mark // what stood in {% generation %}, the source being the number of the block
}

// Text is a string of the template's own, or of its configuration: not marked as data.
func Text(s string) Str { return Str{S: s} }

// Data is a string from the caller's data; source says which part of it.
func Data(s string, source int) Str {
	if s == "" {
		return Str{}
	}
	return Str{S: s, marks: []Mark{{0, len(s), source}}}
}

// slice is the byte range [i, j).
func (s Str) slice(i, j int) Str {
	return Str{s.S[i:j], sliceMarks(s.marks, i, j), sliceMarks(s.gens, i, j)}
}

func sliceMarks(marks []Mark, i, j int) []Mark {
	var out []Mark
	for _, m := range marks {
		if i < j && m.Start < j && m.End > i {
			out = append(out, Mark{max(m.Start, i) - i, min(m.End, j) - i, m.Source})
		}
	}
	return out
}

// chars are the characters as strings.
func (s Str) chars() []Value {
	out := make([]Value, 0, min(len(s.S), maxItems))
	for i := 0; i < len(s.S); {
		_, n := utf8.DecodeRuneInString(s.S[i:])
		out = append(out, s.slice(i, i+n))
		i += n
		checkSize(len(out))
	}
	return out
}

// checkSize bounds a list that is being built.
func checkSize(n int) {
	if n > maxItems {
		raise("a list longer than %d elements", maxItems)
	}
}

// like marks the whole of text if any part of s is marked: for operations that do not follow single characters.
func (s Str) like(text string) Str {
	if len(s.marks) == 0 || text == "" {
		return Str{S: text}
	}
	source := s.marks[0].Source
	for _, m := range s.marks {
		if m.Source != source {
			source = -1
		}
	}
	return Data(text, source)
}

// builder joins strings.
type builder struct {
	b     []byte
	marks []Mark
	gens  []Mark
}

func (b *builder) add(s Str) {
	b.marks = addMarks(b.marks, s.marks, len(b.b))
	b.gens = addMarks(b.gens, s.gens, len(b.b))
	b.b = append(b.b, s.S...)
	if len(b.b) > maxOutput {
		raise("a string longer than %d bytes", maxOutput)
	}
}

func addMarks(dst, marks []Mark, from int) []Mark {
	for _, m := range marks {
		m.Start, m.End = m.Start+from, m.End+from
		if n := len(dst); n > 0 && dst[n-1].End == m.Start && dst[n-1].Source == m.Source {
			dst[n-1].End = m.End
		} else {
			dst = append(dst, m)
		}
	}
	return dst
}

func (b *builder) text(s string) { b.b = append(b.b, s...) }

func (b *builder) str() Str { return Str{string(b.b), b.marks, b.gens} }

func concat(parts ...Str) Str {
	var b builder
	for _, p := range parts {
		b.add(p)
	}
	return b.str()
}

// List is a Python list, a tuple or a range.
type List struct {
	Items []Value
	kind  listKind
}

type listKind uint8

const (
	isList listKind = iota
	isTuple
	isRange
	isKeys // the views that dict.keys() and its like give
	isValues
	isItems
)

// isView tells the views of a dict, which have no order that one could index.
func (l *List) isView() bool { return l.kind >= isKeys }

// NewList makes a list.
func NewList(items ...Value) *List { return &List{Items: items} }

// Dict is a Python dict: it keeps the order of its keys.
type Dict struct {
	keys   []Value
	values []Value
	index  map[string]int // by hash
}

// NewDict makes an empty dict.
func NewDict() *Dict { return &Dict{index: map[string]int{}} }

// Set stores a value; an existing key keeps its place.
func (d *Dict) Set(key, value Value) {
	h := hash(key)
	if i, ok := d.index[h]; ok {
		d.values[i] = value
		return
	}
	d.index[h] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// Get looks a key up.
func (d *Dict) Get(key Value) (Value, bool) {
	i, ok := d.index[hash(key)]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

func (d *Dict) get(name string) (Value, bool) { return d.Get(Str{S: name}) }

// hash writes a key so that equal keys are equal texts: in Python 1, 1.0 and True are one key.
func hash(v Value) string {
	switch v := v.(type) {
	case nil:
		return "n"
	case Str:
		return "s" + v.S
	case bool, int64, float64, *big.Int:
		return "i" + numberKey(v)
	case *List:
		if v.kind == isTuple {
			var b strings.Builder
			b.WriteString("t")
			for _, item := range v.Items {
				h := hash(item)
				b.WriteString(itoa(len(h)) + ":" + h)
			}
			return b.String()
		}
	case Undefined:
		return "u"
	}
	raise("unhashable type: '%s'", typeName(v))
	return ""
}

// namespace is the object that {% set ns.x = … %} may change.
type namespace struct{ vars *Dict }

// generator is what map, select and their like give: it can be walked once, is always true and has no length.
type generator struct{ items []Value }

func (g *generator) take() []Value {
	items := g.items
	g.items = nil
	return items
}

// function is a callable: a global, a bound method, a macro.
type function struct {
	name string
	call func(c *context, args arguments) Value
}

// arguments of a call.
type arguments struct {
	list  []Value
	named []namedValue
}

type namedValue struct {
	name  string
	value Value
}

// bind puts arguments into parameters; missing ones are absent from ok.
func (a arguments) bind(what string, names ...string) (values []Value, given []bool) {
	values, given = make([]Value, len(names)), make([]bool, len(names))
	if len(a.list) > len(names) {
		raise("%s takes at most %d arguments, %d given", what, len(names), len(a.list))
	}
	for i, v := range a.list {
		values[i], given[i] = v, true
	}
	for _, n := range a.named {
		i := slices.Index(names, n.name)
		if i < 0 {
			raise("%s got an unexpected keyword argument '%s'", what, n.name)
		}
		if given[i] {
			raise("%s got multiple values for argument '%s'", what, n.name)
		}
		values[i], given[i] = n.value, true
	}
	return values, given
}

// typeName is Python's name of a value's type.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case Undefined:
		return "Undefined"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case Str:
		return "str"
	case *List:
		return [...]string{"list", "tuple", "range", "dict_keys", "dict_values", "dict_items"}[v.kind]
	case *Dict:
		return "dict"
	case *namespace:
		return "Namespace"
	case *generator:
		return "generator"
	case *function:
		return "function"
	case *loop:
		return "LoopContext"
	}
	return "object"
}

func truth(v Value) bool {
	switch v := v.(type) {
	case nil, Undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case *big.Int:
		return v.Sign() != 0
	case float64:
		return v != 0
	case Str:
		return v.S != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	case *loop:
		return len(v.items) > 0
	}
	return true
}

// iterate gives the elements that a for loop walks over.
func iterate(v Value) []Value {
	switch v := v.(type) {
	case Undefined:
		return nil
	case Str:
		return v.chars()
	case *List:
		return v.Items
	case *Dict:
		return v.keys
	case *generator:
		return v.take()
	case *loop:
		return v.take()
	}
	raise("'%s' object is not iterable", typeName(v))
	return nil
}

// marked gives a marked string inside a value: whether there is one, and its source.
func marked(v Value) (source int, ok bool) {
	switch v := v.(type) {
	case Str:
		if len(v.marks) > 0 {
			return v.marks[0].Source, true
		}
	case *List:
		return markedIn(v.Items)
	case *Dict:
		if source, ok := markedIn(v.keys); ok {
			return source, true
		}
		return markedIn(v.values)
	}
	return 0, false
}

func markedIn(items []Value) (source int, ok bool) {
	for _, item := range items {
		if source, ok := marked(item); ok {
			return source, true
		}
	}
	return 0, false
}

// from gives a text made of a value that value's mark.
func from(v Value, text string) Str {
	if source, ok := marked(v); ok {
		return Data(text, source)
	}
	return Str{S: text}
}
