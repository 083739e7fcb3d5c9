package jinja

import "strings"

func equal(a, b Value) bool {
	if c, ok := compareNumbers(a, b); ok {
		return c == 0
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case Undefined:
		_, ok := b.(Undefined)
		return ok
	case Str:
		s, ok := b.(Str)
		return ok && a.S == s.S
	case *List:
		l, ok := b.(*List)
		return ok && a.kind == l.kind && equalItems(a.Items, l.Items)
	case *Dict:
		d, ok := b.(*Dict)
		return ok && equalDicts(a, d)
	}
	switch a.(type) {
	case bool, int64, float64:
		return false
	}
	return same(a, b)
}

// same tells whether both are one object.
func same(a, b Value) bool {
	defer func() { _ = recover() }() // values that Go cannot compare are not the same object
	return a == b
}

func equalItems(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalDicts(a, b *Dict) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	for i, key := range a.keys {
		other, ok := b.Get(key)
		if !ok || !equal(a.values[i], other) {
			return false
		}
	}
	return true
}

// compare orders two values, as < and > do: numbers, strings, and lists of such.
func compare(op string, a, b Value) int {
	if c, ok := compareNumbers(a, b); ok {
		return c
	}
	if x, ok := a.(Str); ok {
		if y, ok := b.(Str); ok {
			return strings.Compare(x.S, y.S)
		}
	}
	if x, ok := a.(*List); ok {
		if y, ok := b.(*List); ok && x.kind == y.kind && x.kind <= isTuple {
			for i := range min(len(x.Items), len(y.Items)) {
				if !equal(x.Items[i], y.Items[i]) {
					return compare(op, x.Items[i], y.Items[i])
				}
			}
			return len(x.Items) - len(y.Items)
		}
	}
	refuse(a)
	refuse(b)
	raise("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return 0
}

// refuse raises for an undefined value, naming it.
func refuse(v Value) {
	if u, ok := v.(Undefined); ok {
		raise("%s", u.message())
	}
}

func (u Undefined) message() string { return u.what }

// contains is the operator in.
func contains(container, item Value) bool {
	switch c := container.(type) {
	case Str:
		s, ok := item.(Str)
		if !ok {
			refuseAs(item, "'in <string>' requires string as left operand, not %s")
		}
		return strings.Contains(c.S, s.S)
	case *Dict:
		_, ok := c.Get(item)
		return ok
	case *namespace:
		raise("argument of type 'Namespace' is not iterable")
	}
	for _, one := range iterate(container) {
		if equal(one, item) {
			return true
		}
	}
	return false
}

func refuseAs(v Value, format string) { raise(format, typeName(v)) }
