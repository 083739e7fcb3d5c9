package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var strMethods map[string]func(Str, arguments) Value

func init() { // at run time, as format refers to attributes of strings
	strMethods = map[string]func(Str, arguments) Value{
		"strip":  func(s Str, a arguments) Value { return s.strip(a, true, true) },
		"lstrip": func(s Str, a arguments) Value { return s.strip(a, true, false) },
		"rstrip": func(s Str, a arguments) Value { return s.strip(a, false, true) },
		"split":  func(s Str, a arguments) Value { return s.split(a, false) },
		"rsplit": func(s Str, a arguments) Value { return s.split(a, true) },
		"splitlines": func(s Str, a arguments) Value {
			values, _ := a.bind("splitlines", "keepends")
			return s.lines(truth(values[0]))
		},
		"replace":      func(s Str, a arguments) Value { return s.replaceArgs(a) },
		"startswith":   func(s Str, a arguments) Value { return s.affix(a, strings.HasPrefix) },
		"endswith":     func(s Str, a arguments) Value { return s.affix(a, strings.HasSuffix) },
		"removeprefix": func(s Str, a arguments) Value { return s.remove(a, true) },
		"removesuffix": func(s Str, a arguments) Value { return s.remove(a, false) },
		"find":         func(s Str, a arguments) Value { return s.find(a, strings.Index, false) },
		"rfind":        func(s Str, a arguments) Value { return s.find(a, strings.LastIndex, false) },
		"index":        func(s Str, a arguments) Value { return s.find(a, strings.Index, true) },
		"rindex":       func(s Str, a arguments) Value { return s.find(a, strings.LastIndex, true) },
		"count":        func(s Str, a arguments) Value { return s.count(a) },
		"join":         func(s Str, a arguments) Value { return s.join(a) },
		"format":       func(s Str, a arguments) Value { return formatMethod(s, a) },
		"partition":    func(s Str, a arguments) Value { return s.partition(a, strings.Index, false) },
		"rpartition":   func(s Str, a arguments) Value { return s.partition(a, strings.LastIndex, true) },
		"center":       func(s Str, a arguments) Value { return s.pad(a, 1, 1) },
		"ljust":        func(s Str, a arguments) Value { return s.pad(a, 0, 1) },
		"rjust":        func(s Str, a arguments) Value { return s.pad(a, 1, 0) },
		"zfill":        func(s Str, a arguments) Value { return s.zfill(a) },
	}
	for name, f := range map[string]func(string) string{"upper": strings.ToUpper, "lower": strings.ToLower, "casefold": strings.ToLower, "title": titleMethod, "capitalize": capitalize, "swapcase": swapCase} {
		strMethods[name] = func(s Str, a arguments) Value { a.bind(name); return s.like(f(s.S)) }
	}
	for name, f := range map[string]func(rune) bool{
		"isdigit": unicode.IsDigit, "isdecimal": unicode.IsDigit, "isnumeric": unicode.IsNumber, "isalpha": unicode.IsLetter,
		"isspace": isSpace, "isalnum": func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) },
		"isprintable": printable, "isascii": func(r rune) bool { return r < 0x80 },
	} {
		emptyIs := name == "isprintable" || name == "isascii"
		strMethods[name] = func(s Str, a arguments) Value {
			a.bind(name)
			return strings.IndexFunc(s.S, func(r rune) bool { return !f(r) }) < 0 && (s.S != "" || emptyIs)
		}
	}
	strMethods["islower"] = func(s Str, a arguments) Value { return tests["lower"](s) }
	strMethods["isupper"] = func(s Str, a arguments) Value { return tests["upper"](s) }
}

// text reads an argument that must be a string.
func text(what string, v Value) Str {
	s, ok := v.(Str)
	if !ok {
		refuse(v)
		raise("%s must be str, not %s", what, typeName(v))
	}
	return s
}

func (s Str) strip(a arguments, left, right bool) Value {
	values, _ := a.bind("strip", "chars")
	in := isSpace
	if values[0] != nil {
		chars := text("strip arg", values[0]).S
		in = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	return s.trim(in, left, right)
}

func (s Str) trim(in func(rune) bool, left, right bool) Str {
	end := len(s.S)
	if right {
		end = len(strings.TrimRightFunc(s.S, in))
	}
	start := 0
	if left {
		start = end - len(strings.TrimLeftFunc(s.S[:end], in))
	}
	return s.slice(start, end)
}

func (s Str) split(a arguments, fromRight bool) Value {
	values, given := a.bind("split", "sep", "maxsplit")
	most := -1
	if given[1] {
		var ok bool
		if most, ok = small(values[1]); !ok {
			raise("'%s' object cannot be interpreted as an integer", typeName(values[1]))
		}
	}
	var cuts [][2]int // of the separators
	if values[0] == nil {
		return s.fields(most, fromRight)
	}
	sep := text("split arg", values[0]).S
	if sep == "" {
		raise("empty separator")
	}
	if fromRight {
		for end := len(s.S); most < 0 || len(cuts) < most; {
			i := strings.LastIndex(s.S[:end], sep)
			if i < 0 {
				break
			}
			cuts = append(cuts, [2]int{i, i + len(sep)})
			checkSize(len(cuts))
			end = i
		}
		slices.Reverse(cuts)
	} else {
		for at := 0; most < 0 || len(cuts) < most; {
			i := strings.Index(s.S[at:], sep)
			if i < 0 {
				break
			}
			cuts = append(cuts, [2]int{at + i, at + i + len(sep)})
			checkSize(len(cuts))
			at += i + len(sep)
		}
	}
	out, at := NewList(), 0
	for _, cut := range cuts {
		out.Items = append(out.Items, s.slice(at, cut[0]))
		at = cut[1]
	}
	out.Items = append(out.Items, s.slice(at, len(s.S)))
	return out
}

// fields splits at runs of white space.
func (s Str) fields(most int, fromRight bool) Value {
	out := NewList()
	s = s.trim(isSpace, true, true)
	for s.S != "" {
		checkSize(len(out.Items))
		if most >= 0 && len(out.Items) == most {
			break
		}
		var i int
		if fromRight {
			i = strings.LastIndexFunc(s.S, isSpace)
		} else {
			i = strings.IndexFunc(s.S, isSpace)
		}
		if i < 0 {
			break
		}
		if fromRight {
			_, n := utf8.DecodeRuneInString(s.S[i:])
			out.Items = append(out.Items, s.slice(i+n, len(s.S)))
			s = s.slice(0, i).trim(isSpace, false, true)
		} else {
			out.Items = append(out.Items, s.slice(0, i))
			s = s.slice(i, len(s.S)).trim(isSpace, true, false)
		}
	}
	if s.S != "" {
		out.Items = append(out.Items, s)
	}
	if fromRight {
		slices.Reverse(out.Items)
	}
	return out
}

func (s Str) lines(keep bool) Value {
	out := NewList()
	for at := 0; at < len(s.S); {
		end, after := len(s.S), len(s.S)
		if i := strings.IndexFunc(s.S[at:], isLineBreak); i >= 0 {
			_, n := utf8.DecodeRuneInString(s.S[at+i:])
			end, after = at+i, at+i+n
			if strings.HasPrefix(s.S[end:], "\r\n") {
				after++
			}
		}
		if keep {
			end = after
		}
		out.Items = append(out.Items, s.slice(at, end))
		checkSize(len(out.Items))
		at = after
	}
	return out
}

func isLineBreak(r rune) bool {
	return '\n' <= r && r <= '\r' || 0x1C <= r && r <= 0x1E || r == 0x85 || r == 0x2028 || r == 0x2029
}

func (s Str) replaceArgs(a arguments) Value {
	values, given := a.bind("replace", "old", "new", "count")
	most := -1
	if given[2] && values[2] != nil {
		most, _ = small(values[2])
	}
	return s.replace(text("replace() argument 1", values[0]), text("replace() argument 2", values[1]), most)
}

func (s Str) replace(old, replacement Str, most int) Str {
	var b builder
	at := 0
	for n := 0; most < 0 || n < most; n++ {
		i := strings.Index(s.S[at:], old.S)
		if i < 0 {
			break
		}
		if old.S == "" { // before each character, and at the end
			if at > len(s.S) {
				break
			}
			b.add(replacement)
			if at == len(s.S) {
				return b.str()
			}
			_, size := utf8.DecodeRuneInString(s.S[at:])
			b.add(s.slice(at, at+size))
			at += size
			continue
		}
		b.add(s.slice(at, at+i))
		b.add(replacement)
		at += i + len(old.S)
	}
	b.add(s.slice(at, len(s.S)))
	return b.str()
}

func (s Str) affix(a arguments, has func(s, affix string) bool) Value {
	values, given := a.bind("startswith", "prefix", "start", "end")
	part := s
	if given[1] || given[2] {
		part = s.between(values[1], values[2])
	}
	if l, ok := values[0].(*List); ok && l.kind == isTuple {
		for _, item := range l.Items {
			if has(part.S, text("startswith first arg", item).S) {
				return true
			}
		}
		return false
	}
	return has(part.S, text("startswith first arg", values[0]).S)
}

// between is s[start:end], with None for an open end.
func (s Str) between(start, end Value) Str {
	bound := func(v Value) expr {
		if v == nil {
			return nil
		}
		return &literal{v}
	}
	return (&slice{&literal{s}, bound(start), bound(end), nil}).eval(&context{run: &run{}}).(Str)
}

func (s Str) remove(a arguments, prefix bool) Value {
	values, _ := a.bind("removeprefix", "affix")
	affix := text("removeprefix() argument", values[0]).S
	switch {
	case prefix && strings.HasPrefix(s.S, affix):
		return s.slice(len(affix), len(s.S))
	case !prefix && strings.HasSuffix(s.S, affix):
		return s.slice(0, len(s.S)-len(affix))
	}
	return s
}

func (s Str) find(a arguments, index func(s, part string) int, must bool) Value {
	values, given := a.bind("find", "sub", "start", "end")
	part, skipped := s, 0
	if given[1] || given[2] {
		part = s.between(values[1], values[2])
		if n, ok := small(values[1]); ok {
			if n < 0 {
				n = max(0, n+utf8.RuneCountInString(s.S))
			}
			skipped = n
		}
	}
	i := index(part.S, text("find() argument 1", values[0]).S)
	if i < 0 {
		if must {
			raise("substring not found")
		}
		return int64(-1)
	}
	return int64(skipped + utf8.RuneCountInString(part.S[:i]))
}

func (s Str) count(a arguments) Value {
	values, given := a.bind("count", "sub", "start", "end")
	part := s
	if given[1] || given[2] {
		part = s.between(values[1], values[2])
	}
	return int64(strings.Count(part.S, text("count() argument 1", values[0]).S))
}

func (s Str) join(a arguments) Value {
	values, _ := a.bind("join", "iterable")
	refuse(values[0])
	var b builder
	for i, item := range iterate(values[0]) {
		if i > 0 {
			b.add(s)
		}
		part, ok := item.(Str)
		if !ok {
			raise("sequence item %d: expected str instance, %s found", i, typeName(item))
		}
		b.add(part)
	}
	return b.str()
}

func (s Str) partition(a arguments, index func(s, part string) int, right bool) Value {
	values, _ := a.bind("partition", "sep")
	sep := text("partition arg", values[0])
	if sep.S == "" {
		raise("empty separator")
	}
	parts := []Value{s, Str{}, Str{}}
	if i := index(s.S, sep.S); i >= 0 {
		parts = []Value{s.slice(0, i), s.slice(i, i+len(sep.S)), s.slice(i+len(sep.S), len(s.S))}
	} else if right {
		parts = []Value{Str{}, Str{}, s}
	}
	return &List{Items: parts, kind: isTuple}
}

// pad fills up to a width: the shares say on which sides.
func (s Str) pad(a arguments, left, right int) Value {
	values, given := a.bind("center", "width", "fillchar")
	width, ok := small(values[0])
	if !ok {
		raise("'%s' object cannot be interpreted as an integer", typeName(values[0]))
	}
	fill := Str{S: " "}
	if given[1] {
		fill = text("The fill character", values[1])
		if utf8.RuneCountInString(fill.S) != 1 {
			raise("The fill character must be exactly one character long")
		}
	}
	n := width - utf8.RuneCountInString(s.S)
	if n <= 0 {
		return s
	}
	if n > maxOutput {
		raise("a string longer than %d bytes", maxOutput)
	}
	before := n * left / (left + right)
	if left == right && n%2 == 1 && width%2 == 1 {
		before++ // Python puts the odd one on the left when the width is odd
	}
	return concat(Str{S: strings.Repeat(fill.S, before)}, s, Str{S: strings.Repeat(fill.S, n-before)})
}

func (s Str) zfill(a arguments) Value {
	values, _ := a.bind("zfill", "width")
	width, _ := small(values[0])
	n := width - utf8.RuneCountInString(s.S)
	if n <= 0 || n > maxOutput {
		return s
	}
	zeros := Str{S: strings.Repeat("0", n)}
	if s.S != "" && (s.S[0] == '-' || s.S[0] == '+') {
		return concat(s.slice(0, 1), zeros, s.slice(1, len(s.S)))
	}
	return concat(zeros, s)
}

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

// titleMethod is str.title: a letter after something that is no letter is a capital.
func titleMethod(s string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		was := inside
		inside = unicode.IsLetter(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}
