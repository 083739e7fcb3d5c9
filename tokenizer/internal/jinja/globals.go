package jinja

import (
	"strings"
	"time"
)

// globals are the names that every template knows.
var globals = &scope{table: map[string]Value{}}

func init() {
	for name, f := range map[string]func(*context, arguments) Value{
		"range":           rangeOf,
		"dict":            newDict,
		"namespace":       newNamespace,
		"raise_exception": raiseException,
		"strftime_now":    strftimeNow,
		"joiner":          newJoiner,
		"cycler":          newCycler,
	} {
		globals.table[name] = &function{name, f}
	}
}

const maxRange = 100_000 // as in the sandbox

func rangeOf(_ *context, a arguments) Value {
	var n [3]int
	for i, v := range a.list {
		var ok bool
		if i > 2 {
			raise("range expected at most 3 arguments, got %d", len(a.list))
		}
		if n[i], ok = small(v); !ok {
			refuse(v)
			raise("'%s' object cannot be interpreted as an integer", typeName(v))
		}
	}
	start, stop, step := n[0], n[1], n[2]
	switch len(a.list) {
	case 0:
		raise("range expected at least 1 argument, got 0")
	case 1:
		start, stop, step = 0, n[0], 1
	case 2:
		step = 1
	}
	if step == 0 {
		raise("range() arg 3 must not be zero")
	}
	out := &List{kind: isRange}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(out.Items) >= maxRange {
			raise("Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
		}
		out.Items = append(out.Items, int64(i))
	}
	return out
}

func newDict(_ *context, a arguments) Value {
	d := NewDict()
	for _, v := range a.list {
		update(d, v)
	}
	for _, n := range a.named {
		d.Set(Str{S: n.name}, n.value)
	}
	return d
}

// update copies a dict or a list of pairs.
func update(d *Dict, v Value) {
	if other, ok := v.(*Dict); ok {
		for i, key := range other.keys {
			d.Set(key, other.values[i])
		}
		return
	}
	for _, pair := range iterate(v) {
		items := iterate(pair)
		if len(items) != 2 {
			raise("dictionary update sequence element has length %d; 2 is required", len(items))
		}
		d.Set(items[0], items[1])
	}
}

func newNamespace(c *context, a arguments) Value {
	d := newDict(c, a).(*Dict)
	for _, key := range d.keys {
		if s, ok := key.(Str); ok {
			checkName(s.S)
		}
	}
	return &namespace{d}
}

func raiseException(_ *context, a arguments) Value {
	values, _ := a.bind("raise_exception", "message")
	panic(&Error{Msg: toStr(values[0]).S, Own: true})
}

func newJoiner(_ *context, a arguments) Value {
	values, given := a.bind("joiner", "sep")
	sep, used := Value(Str{S: ", "}), false
	if given[0] {
		sep = values[0]
	}
	return &function{"joiner", func(*context, arguments) Value {
		if !used {
			used = true
			return Str{}
		}
		return sep
	}}
}

func newCycler(_ *context, a arguments) Value {
	if len(a.list) == 0 {
		raise("at least one item has to be provided")
	}
	return &cycler{items: a.list}
}

// cycler gives one item after the other.
type cycler struct {
	items []Value
	at    int
}

func (y *cycler) attr(name string) (Value, bool) {
	switch name {
	case "current":
		return y.items[y.at], true
	case "next":
		return &function{"next", func(*context, arguments) Value {
			v := y.items[y.at]
			y.at = (y.at + 1) % len(y.items)
			return v
		}}, true
	case "reset":
		return &function{"reset", func(*context, arguments) Value { y.at = 0; return nil }}, true
	}
	return nil, false
}

func strftimeNow(c *context, a arguments) Value {
	values, _ := a.bind("strftime_now", "format")
	format, ok := values[0].(Str)
	if !ok {
		raise("strftime() argument 1 must be str, not %s", typeName(values[0]))
	}
	return Str{S: strftime(c.run.now(), format.S)}
}

var strftimeCodes = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'B': "January", 'b': "Jan",
	'h': "Jan", 'A': "Monday", 'a': "Mon", 'y': "06", 'j': "002", 'e': "_2", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02",
	'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'f': "000000", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05",
}

// strftime formats a time as C does in the default locale; a minus after the percent sign drops leading zeros.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		minus := format[i] == '-' && i+1 < len(format)
		if minus {
			i++
		}
		text := strftimeCode(t, format[i])
		if minus {
			if text = strings.TrimLeft(text, "0 "); text == "" {
				text = "0"
			}
		}
		b.WriteString(text)
	}
	return b.String()
}

func strftimeCode(t time.Time, code byte) string {
	switch code {
	case '%':
		return "%"
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'f':
		return strings.TrimPrefix(t.Format(".000000"), ".")
	case 'w':
		return itoa(int(t.Weekday()))
	case 'u':
		return itoa((int(t.Weekday())+6)%7 + 1)
	case 's':
		return itoa(int(t.Unix()))
	}
	if layout, ok := strftimeCodes[code]; ok {
		return t.Format(layout)
	}
	return "%" + string(code)
}
