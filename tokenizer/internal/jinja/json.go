package jinja

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// jsonStyle is how json.dumps writes.
type jsonStyle struct {
	ascii     bool
	indent    string
	pretty    bool
	item, key string // separators
	sorted    bool
}

// toJSON is json.dumps: non-ASCII characters stay, HTML is not escaped.
func toJSON(v Value, s jsonStyle) Str {
	var b strings.Builder
	s.write(&b, v, 0)
	return from(v, b.String())
}

func (s jsonStyle) write(b *strings.Builder, v Value, depth int) {
	if depth > maxNesting || b.Len() > maxOutput {
		raise("a value is too large for JSON")
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64, *big.Int:
		b.WriteString(repr(v))
	case float64:
		b.WriteString(jsonFloat(v))
	case Str:
		s.quote(b, v.S)
	case *List:
		if v.kind > isTuple {
			raise("Object of type %s is not JSON serializable", typeName(v))
		}
		s.list(b, len(v.Items), depth, '[', ']', func(i int) { s.write(b, v.Items[i], depth+1) })
	case *Dict:
		s.dict(b, v, depth)
	default:
		raise("Object of type %s is not JSON serializable", typeName(v))
	}
}

func (s jsonStyle) list(b *strings.Builder, n, depth int, open, shut byte, item func(int)) {
	b.WriteByte(open)
	for i := range n {
		if i > 0 {
			b.WriteString(s.item)
		}
		s.newline(b, depth+1)
		item(i)
	}
	if n > 0 {
		s.newline(b, depth)
	}
	b.WriteByte(shut)
}

func (s jsonStyle) newline(b *strings.Builder, depth int) {
	if s.pretty {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat(s.indent, depth))
	}
}

func (s jsonStyle) dict(b *strings.Builder, d *Dict, depth int) {
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if s.sorted {
		slices.SortStableFunc(order, func(i, j int) int { return compare("<", d.keys[i], d.keys[j]) })
	}
	s.list(b, len(order), depth, '{', '}', func(i int) {
		s.quote(b, jsonKey(d.keys[order[i]]))
		b.WriteString(s.key)
		s.write(b, d.values[order[i]], depth+1)
	})
}

func jsonKey(v Value) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return jsonFloat(v)
	case int64, *big.Int:
		return repr(v)
	case Str:
		return v.S
	}
	raise("keys must be str, int, float, bool or None, not %s", typeName(v))
	return ""
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatText(f)
}

func (s jsonStyle) quote(b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == '\b':
			b.WriteString(`\b`)
		case r < 0x20, s.ascii && r > 0x7E && r < 0x10000 && r != 0x7F:
			b.WriteString(`\u` + hex(r, 4))
		case s.ascii && r >= 0x10000:
			r -= 0x10000
			b.WriteString(`\u` + hex(0xD800+r>>10, 4) + `\u` + hex(0xDC00+r&0x3FF, 4))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// tojson is the filter: tojson(ensure_ascii, indent, separators, sort_keys).
func tojson(v Value, a arguments) Value {
	values, given := a.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	s := jsonStyle{item: ", ", key: ": "}
	s.ascii = given[0] && truth(values[0])
	s.sorted = given[3] && truth(values[3])
	if values[1] != nil {
		s.pretty, s.item = true, ","
		switch indent := values[1].(type) {
		case Str:
			s.indent = indent.S
		default:
			n, ok := small(indent)
			if !ok || n > 1000 {
				raise("tojson: indent is %s", repr(indent))
			}
			s.indent = strings.Repeat(" ", max(n, 0))
		}
	}
	if values[2] != nil {
		parts := iterate(values[2])
		if len(parts) != 2 {
			raise("not enough values to unpack (expected 2, got %d)", len(parts))
		}
		s.item, s.key = toStr(parts[0]).S, toStr(parts[1]).S
	}
	return toJSON(v, s)
}

// parseNumber reads a JSON number as Python does: with a point or an exponent it is a float.
func parseNumber(n json.Number) Value {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") {
		if i, ok := new(big.Int).SetString(text, 10); ok && len(text) < 4300 {
			return normal(i)
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range is infinite, as in Python
	return f
}

// ParseNumber is described at parseNumber.
func ParseNumber(n json.Number) (v Value) {
	defer func() {
		if recover() != nil { // an integer of more bits than a template may use
			v = math.Inf(1)
		}
	}()
	return parseNumber(n)
}
