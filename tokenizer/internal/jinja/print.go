package jinja

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// toStr is Python's str().
func toStr(v Value) Str {
	switch v := v.(type) {
	case Str:
		return v
	case Undefined:
		return Str{}
	}
	return from(v, repr(v))
}

// repr is Python's repr().
func repr(v Value) string {
	var b strings.Builder
	writeRepr(&b, v, 0)
	return b.String()
}

func writeRepr(b *strings.Builder, v Value, depth int) {
	if depth > maxNesting || b.Len() > maxOutput {
		raise("a value is too large to print")
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		b.WriteString(v.String())
	case float64:
		b.WriteString(floatText(v))
	case Str:
		writeQuoted(b, v.S)
	case Undefined:
		b.WriteString("Undefined")
	case *List:
		writeList(b, v, depth)
	case *Dict:
		writeDict(b, v, depth)
	case *namespace:
		b.WriteString("<Namespace ")
		writeDict(b, v.vars, depth)
		b.WriteByte('>')
	default:
		b.WriteString("<" + typeName(v) + " object>") // in Python an address stands here
	}
}

func writeList(b *strings.Builder, l *List, depth int) {
	if l.kind == isRange {
		writeRange(b, l)
		return
	}
	open, shut := "[", "]"
	switch l.kind {
	case isTuple:
		open, shut = "(", ")"
		if len(l.Items) == 1 {
			shut = ",)"
		}
	case isKeys, isValues, isItems:
		open, shut = typeName(l)+"([", "])"
	}
	b.WriteString(open)
	for i, item := range l.Items {
		if i > 0 {
			b.WriteString(", ")
		}
		writeRepr(b, item, depth+1)
	}
	b.WriteString(shut)
}

func writeRange(b *strings.Builder, l *List) {
	if len(l.Items) == 0 {
		b.WriteString("range(0, 0)")
		return
	}
	first, _ := small(l.Items[0])
	last, _ := small(l.Items[len(l.Items)-1])
	step := 1
	if len(l.Items) > 1 {
		second, _ := small(l.Items[1])
		step = second - first
	}
	b.WriteString("range(" + itoa(first) + ", " + itoa(last+step))
	if step != 1 {
		b.WriteString(", " + itoa(step))
	}
	b.WriteByte(')')
}

func writeDict(b *strings.Builder, d *Dict, depth int) {
	b.WriteByte('{')
	for i, key := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		writeRepr(b, key, depth+1)
		b.WriteString(": ")
		writeRepr(b, d.values[i], depth+1)
	}
	b.WriteByte('}')
}

// writeQuoted writes a string as Python does: in single quotes, unless it holds those and no double ones.
func writeQuoted(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case printable(r):
			b.WriteRune(r)
		case r < 0x100:
			b.WriteString(`\x` + hex(r, 2))
		case r < 0x10000:
			b.WriteString(`\u` + hex(r, 4))
		default:
			b.WriteString(`\U` + hex(r, 8))
		}
	}
	b.WriteRune(quote)
}

func printable(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r)
}

func hex(r rune, width int) string {
	text := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", width-len(text)) + text
}
