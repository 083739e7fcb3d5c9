package jinja

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// percent is the operator % of strings, and the filter format.
func percent(s Str, arg Value) Value {
	args := []Value{arg}
	if l, ok := arg.(*List); ok && l.kind == isTuple {
		args = l.Items
	}
	named, _ := arg.(*Dict)
	var b builder
	used := 0
	for i := 0; i < len(s.S); {
		at := strings.IndexByte(s.S[i:], '%')
		if at < 0 {
			b.add(s.slice(i, len(s.S)))
			break
		}
		b.add(s.slice(i, i+at))
		i += at + 1
		spec, name, n := percentSpec(s.S[i:])
		i += n
		if spec.verb == '%' {
			b.text("%")
			continue
		}
		var v Value
		switch {
		case name != "" && named != nil:
			var ok bool
			if v, ok = named.get(name); !ok {
				raise("KeyError: '%s'", name)
			}
		case used < len(args):
			v = args[used]
			used++
		default:
			raise("not enough arguments for format string")
		}
		b.add(spec.percent(v))
	}
	if named == nil && used < len(args) {
		raise("not all arguments converted during string formatting")
	}
	return b.str()
}

// formatSpec is [[fill]align][sign][0][width][,][.precision][verb].
type formatSpec struct {
	fill      string
	align     byte
	sign      byte
	width     int
	comma     bool
	precision int // −1 without
	verb      byte
}

func percentSpec(s string) (spec formatSpec, name string, n int) {
	spec = formatSpec{fill: " ", align: '>', precision: -1}
	if strings.HasPrefix(s, "(") {
		end := strings.IndexByte(s, ')')
		if end < 0 {
			raise("incomplete format key")
		}
		name, n = s[1:end], end+1
	}
	for ; n < len(s) && strings.IndexByte("-+ 0#", s[n]) >= 0; n++ {
		switch s[n] {
		case '-':
			spec.align = '<'
		case '0':
			spec.fill = "0"
		case '+', ' ':
			spec.sign = s[n]
		}
	}
	spec.width, n = digitsAt(s, n)
	if n < len(s) && s[n] == '.' {
		spec.precision, n = digitsAt(s, n+1)
	}
	if n == len(s) {
		raise("incomplete format")
	}
	spec.verb = s[n]
	return spec, name, n + 1
}

func digitsAt(s string, n int) (value, end int) {
	for ; n < len(s) && '0' <= s[n] && s[n] <= '9' && value < maxOutput; n++ {
		value = value*10 + int(s[n]-'0')
	}
	if value > 1<<20 {
		raise("a width or precision of %d", value)
	}
	return value, n
}

func (f formatSpec) percent(v Value) Str {
	switch f.verb {
	case 's':
		return f.fit(f.cut(toStr(v)))
	case 'r', 'a':
		return f.fit(f.cut(from(v, repr(v))))
	case 'd', 'i', 'u':
		if x, ok := v.(float64); ok {
			v = int64(x)
		}
		f.verb = 'd'
	}
	return f.number(v)
}

func (f formatSpec) cut(s Str) Str {
	chars := offsets(s.S)
	if f.precision >= 0 && f.precision < len(chars)-1 {
		return s.slice(0, chars[f.precision])
	}
	return s
}

func (f formatSpec) fit(s Str) Str {
	n := f.width - utf8.RuneCountInString(s.S)
	if n <= 0 {
		return s
	}
	left := n
	switch f.align {
	case '<':
		left = 0
	case '^':
		left = n / 2
	case '=':
		if s.S != "" && (s.S[0] == '-' || s.S[0] == '+') {
			return concat(s.slice(0, 1), Str{S: strings.Repeat(f.fill, n)}, s.slice(1, len(s.S)))
		}
	}
	return concat(Str{S: strings.Repeat(f.fill, left)}, s, Str{S: strings.Repeat(f.fill, n-left)})
}

func (f formatSpec) number(v Value) Str {
	if f.fill == "0" && f.align == '>' {
		f.align = '='
	}
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	var text string
	n, isInt := integer(v)
	x, isNumber := number(v)
	switch {
	case !isNumber:
		refuse(v)
		raise("a number is required for format '%c', not %s", f.verb, typeName(v))
	case strings.IndexByte("dxXob", f.verb) >= 0 && !isInt:
		raise("format '%c' needs an integer, not %s", f.verb, typeName(v))
	case f.verb == 'd':
		text = n.String()
	case f.verb == 'x', f.verb == 'o', f.verb == 'b':
		text = n.Text(map[byte]int{'x': 16, 'o': 8, 'b': 2}[f.verb])
	case f.verb == 'X':
		text = strings.ToUpper(n.Text(16))
	case f.verb == '%':
		text = strconv.FormatFloat(x*100, 'f', precision, 64) + "%"
	case strings.IndexByte("fFeEgG", f.verb) >= 0:
		text = strconv.FormatFloat(x, f.verb|0x20, precision, 64)
	default:
		raise("unsupported format character '%c'", f.verb)
	}
	if f.comma {
		text = thousands(text)
	}
	if f.sign != 0 && f.sign != '-' && !strings.HasPrefix(text, "-") {
		text = string(f.sign) + text
	}
	return f.fit(Str{S: text})
}

// thousands puts commas between groups of three digits.
func thousands(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, rest, _ := strings.Cut(text, ".")
	if rest != "" {
		rest = "." + rest
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + rest
}

// formatMethod is str.format.
func formatMethod(s Str, a arguments) Value {
	var b builder
	next := 0
	for i := 0; i < len(s.S); {
		switch c := s.S[i]; {
		case (c == '{' || c == '}') && i+1 < len(s.S) && s.S[i+1] == c:
			b.add(s.slice(i, i+1))
			i += 2
		case c == '}':
			raise("Single '}' encountered in format string")
		case c == '{':
			end := strings.IndexByte(s.S[i:], '}')
			if end < 0 {
				raise("expected '}' before end of string")
			}
			b.add(formatField(s.S[i+1:i+end], a, &next))
			i += end + 1
		default:
			end := strings.IndexAny(s.S[i:], "{}")
			if end < 0 {
				end = len(s.S) - i
			}
			b.add(s.slice(i, i+end))
			i += end
		}
	}
	return b.str()
}

func formatField(field string, a arguments, next *int) Str {
	path, layout, hasSpec := strings.Cut(field, ":")
	path, conversion, _ := strings.Cut(path, "!")
	v := formatValue(path, a, next)
	switch conversion {
	case "r", "a":
		v = from(v, repr(v))
	case "s":
		v = toStr(v)
	}
	if !hasSpec || layout == "" {
		return toStr(v)
	}
	return parseSpec(layout).format(v)
}

// formatValue finds "0.name[key]" or "name" among the arguments.
func formatValue(path string, a arguments, next *int) Value {
	n := strings.IndexAny(path, ".[")
	if n < 0 {
		n = len(path)
	}
	v := formatArgument(path[:n], a, next)
	for rest := path[n:]; rest != ""; {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			v = getAttr(v, rest[1:1+end])
			rest = rest[1+end:]
			continue
		}
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			raise("expected ']' before end of string")
		}
		var key Value = Str{S: rest[1:end]}
		if i, err := strconv.Atoi(rest[1:end]); err == nil {
			key = int64(i)
		}
		v = getItem(v, key)
		rest = rest[end+1:]
	}
	return v
}

func formatArgument(name string, a arguments, next *int) Value {
	index := *next
	if name == "" {
		*next++
	} else if n, err := strconv.Atoi(name); err == nil {
		index = n
	} else {
		for _, n := range a.named {
			if n.name == name {
				return n.value
			}
		}
		raise("KeyError: '%s'", name)
	}
	if index < 0 || index >= len(a.list) {
		raise("Replacement index %d out of range for positional args tuple", index)
	}
	return a.list[index]
}

func parseSpec(s string) formatSpec {
	f := formatSpec{fill: " ", precision: -1}
	r, n := utf8.DecodeRuneInString(s)
	if n < len(s) && strings.IndexByte("<>^=", s[n]) >= 0 {
		f.fill, f.align = string(r), s[n]
		s = s[n+1:]
	} else if s != "" && strings.IndexByte("<>^=", s[0]) >= 0 {
		f.align, s = s[0], s[1:]
	}
	if s != "" && strings.IndexByte("+- ", s[0]) >= 0 {
		f.sign, s = s[0], s[1:]
	}
	if strings.HasPrefix(s, "0") {
		f.fill = "0"
		if f.align == 0 {
			f.align = '='
		}
	}
	f.width, n = digitsAt(s, 0)
	s = s[n:]
	if strings.HasPrefix(s, ",") {
		f.comma, s = true, s[1:]
	}
	if strings.HasPrefix(s, ".") {
		f.precision, n = digitsAt(s, 1)
		s = s[n:]
	}
	if len(s) > 1 {
		raise("Invalid format specifier")
	}
	if s != "" {
		f.verb = s[0]
	}
	return f
}

func (f formatSpec) format(v Value) Str {
	if s, ok := v.(Str); ok {
		if f.verb != 0 && f.verb != 's' {
			raise("Unknown format code '%c' for object of type 'str'", f.verb)
		}
		if f.align == 0 {
			f.align = '<'
		}
		return f.fit(f.cut(s))
	}
	if f.align == 0 {
		f.align = '>'
	}
	if f.verb == 0 {
		if f.verb = 'd'; !isInteger(v) {
			if f.precision < 0 {
				return f.fit(toStr(v))
			}
			f.verb = 'g'
		}
	}
	return f.number(v)
}
