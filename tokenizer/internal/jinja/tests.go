package jinja

import (
	"math/big"
	"strings"
	"unicode"
)

// applyTest is "v is name(args)".
func applyTest(c *context, name string, v Value, a arguments) bool {
	if f, ok := tests[name]; ok {
		if len(a.list)+len(a.named) > 0 {
			raise("the test '%s' takes no argument", name)
		}
		return f(v)
	}
	if f, ok := testsOf[name]; ok {
		if len(a.list) != 1 {
			raise("the test '%s' takes one argument, %d given", name, len(a.list))
		}
		return f(v, a.list[0])
	}
	raise("No test named '%s'.", name)
	return false
}

var tests = map[string]func(Value) bool{
	"defined":   func(v Value) bool { _, ok := v.(Undefined); return !ok },
	"undefined": func(v Value) bool { _, ok := v.(Undefined); return ok },
	"none":      func(v Value) bool { return v == nil },
	"boolean":   func(v Value) bool { _, ok := v.(bool); return ok },
	"true":      func(v Value) bool { return v == true },
	"false":     func(v Value) bool { return v == false },
	"integer":   isInteger,
	"float":     func(v Value) bool { _, ok := v.(float64); return ok },
	"number":    func(v Value) bool { _, ok := number(v); return ok },
	"string":    func(v Value) bool { _, ok := v.(Str); return ok },
	"mapping":   func(v Value) bool { _, ok := v.(*Dict); return ok },
	"sequence":  isSequence,
	"iterable":  isIterable,
	"callable":  isCallable,
	"lower":     func(v Value) bool { return isCase(toStr(v).S, unicode.IsLower, unicode.IsUpper) },
	"upper":     func(v Value) bool { return isCase(toStr(v).S, unicode.IsUpper, unicode.IsLower) },
	"escaped":   func(Value) bool { return false },
}

var testsOf map[string]func(v, arg Value) bool

func init() { // here, as hasTest looks into both tables
	tests["odd"] = func(v Value) bool { return truth(modulo(v, 2)) }
	tests["even"] = func(v Value) bool { return !truth(modulo(v, 2)) }
	tests["filter"] = func(v Value) bool { _, ok := filters[toStr(v).S]; return ok }
	tests["test"] = func(v Value) bool { return hasTest(toStr(v).S) }
	testsOf = map[string]func(v, arg Value) bool{
		"divisibleby": func(v, arg Value) bool { return !truth(operate("%", v, arg)) },
		"sameas":      func(v, arg Value) bool { return typeName(v) == typeName(arg) && sameAs(v, arg) },
		"in":          func(v, arg Value) bool { return contains(arg, v) },
	}
	for op, names := range map[string]string{"==": "== eq equalto", "!=": "!= ne", "<": "< lt lessthan", "<=": "<= le", ">": "> gt greaterthan", ">=": ">= ge"} {
		for _, name := range strings.Fields(names) {
			testsOf[name] = func(v, arg Value) bool { return holds(op, v, arg) }
		}
	}
}

func hasTest(name string) bool {
	_, one := tests[name]
	_, two := testsOf[name]
	return one || two
}

func modulo(v Value, n int64) Value { return operate("%", v, n) }

func isInteger(v Value) bool {
	switch v.(type) {
	case int64, *big.Int:
		return true
	}
	return false
}

// isSequence is Jinja's test: what has a length and items.
func isSequence(v Value) bool {
	switch v := v.(type) {
	case Str, *Dict, Undefined: // an undefined value has a length, 0
		return true
	case *List:
		return !v.isView()
	}
	return false
}

func isIterable(v Value) bool {
	switch v.(type) {
	case Str, *Dict, *List, *generator, *loop, Undefined:
		return true
	}
	return false
}

func isCallable(v Value) bool {
	switch v.(type) {
	case *function, *loop:
		return true
	}
	return false
}

// isCase is str.islower or str.isupper: some character of the case, none of the other.
func isCase(s string, want, not func(rune) bool) bool {
	return strings.IndexFunc(s, want) >= 0 && strings.IndexFunc(s, not) < 0
}

// sameAs is Python's "is": equal small values are one object there.
func sameAs(a, b Value) bool {
	switch a.(type) {
	case nil, bool, int64, Str:
		return equal(a, b)
	}
	return same(a, b)
}
