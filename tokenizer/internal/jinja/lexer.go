package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a lexical element of a template.
type token struct {
	kind tokenKind
	text string // names, operators, string contents and numbers; the text between tags
	line int
}

type tokenKind uint8

const (
	tokenEOF tokenKind = iota
	tokenData
	tokenBlockBegin
	tokenBlockEnd
	tokenVarBegin
	tokenVarEnd
	tokenName
	tokenString
	tokenInt
	tokenFloat
	tokenOperator
)

// lexer cuts a template into tokens, with trim_blocks and lstrip_blocks.
type lexer struct {
	s         string
	i         int
	line      int
	lineStart bool // the last match ended a line
	out       []token
}

var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func lex(source string) []token {
	source = strings.TrimSuffix(newlines.Replace(source), "\n") // one newline at the end does not count
	l := &lexer{s: source, line: 1, lineStart: true}
	for l.i < len(l.s) {
		l.data()
	}
	l.out = append(l.out, token{kind: tokenEOF, line: l.line})
	return l.out
}

func (l *lexer) fail(format string, args ...any) {
	defer func() {
		e := recover().(*Error)
		e.Line = l.line
		panic(e)
	}()
	raise(format, args...)
}

// advance moves on by n bytes.
func (l *lexer) advance(n int) {
	part := l.s[l.i : l.i+n]
	l.line += strings.Count(part, "\n")
	l.i += n
	if n > 0 {
		l.lineStart = strings.HasSuffix(part, "\n")
	}
}

func (l *lexer) put(kind tokenKind, text string) {
	l.out = append(l.out, token{kind, text, l.line})
}

// data reads the text up to the next tag, and the tag.
func (l *lexer) data() {
	at, begin := nextTag(l.s[l.i:])
	if at < 0 {
		l.put(tokenData, l.s[l.i:])
		l.advance(len(l.s) - l.i)
		return
	}
	text, rest := l.s[l.i:l.i+at], l.s[l.i+at+2:]
	sign := byte(0)
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign = rest[0]
	}
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign == 0 && begin != "{{":
		text = l.lstrip(text)
	}
	if text != "" {
		l.put(tokenData, text)
	}
	l.advance(at + 2)
	if sign != 0 {
		l.advance(1)
	}
	switch {
	case begin == "{#":
		l.comment()
	case begin == "{{":
		l.put(tokenVarBegin, begin)
		l.tag(tokenVarEnd, "}}")
	case l.raw():
	default:
		l.put(tokenBlockBegin, begin)
		l.tag(tokenBlockEnd, "%}")
	}
}

func nextTag(s string) (at int, begin string) {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '%' || s[i+1] == '{' || s[i+1] == '#') {
			return i, s[i : i+2]
		}
	}
	return -1, ""
}

// lstrip removes the white space between the start of the line and a tag.
func (l *lexer) lstrip(text string) string {
	start := strings.LastIndexByte(text, '\n') + 1
	if (start > 0 || l.lineStart) && strings.TrimFunc(text[start:], isSpace) == "" {
		return text[:start]
	}
	return text
}

func (l *lexer) comment() {
	end := strings.Index(l.s[l.i:], "#}")
	if end < 0 {
		l.fail("Missing end of comment tag")
	}
	sign := byte(0)
	if end > 0 {
		sign = l.s[l.i+end-1]
	}
	l.advance(end + 2)
	l.trim(sign)
}

// trim removes what follows a tag: white space after a minus, one newline otherwise.
func (l *lexer) trim(sign byte) {
	rest := l.s[l.i:]
	switch {
	case sign == '-':
		l.advance(len(rest) - len(strings.TrimLeftFunc(rest, isSpace)))
	case sign != '+' && strings.HasPrefix(rest, "\n"):
		l.advance(1)
	}
}

// raw reads {% raw %}…{% endraw %} after its {%.
func (l *lexer) raw() bool {
	rest := strings.TrimLeftFunc(l.s[l.i:], isSpace)
	if !strings.HasPrefix(rest, "raw") {
		return false
	}
	rest = strings.TrimLeftFunc(rest[3:], isSpace)
	minus := strings.HasPrefix(rest, "-%}")
	if !minus && !strings.HasPrefix(rest, "%}") {
		return false
	}
	rest = rest[strings.Index(rest, "%}")+2:]
	if minus {
		rest = strings.TrimLeftFunc(rest, isSpace)
	}
	l.advance(len(l.s) - l.i - len(rest))
	for from := 0; ; from += 2 {
		at := strings.Index(rest[from:], "{%")
		if at < 0 {
			l.fail("Missing end of raw directive")
		}
		from += at
		if size, before, after, ok := endraw(rest[from:]); ok {
			l.rawText(rest[:from], before)
			l.advance(from + size)
			l.trim(after)
			return true
		}
	}
}

func (l *lexer) rawText(text string, sign byte) {
	switch sign {
	case '-':
		text = strings.TrimRightFunc(text, isSpace)
	case '+':
	default:
		text = l.lstrip(text)
	}
	l.put(tokenData, text)
}

func endraw(s string) (size int, before, after byte, ok bool) {
	rest := s[2:]
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		before, rest = rest[0], rest[1:]
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if !strings.HasPrefix(rest, "endraw") {
		return 0, 0, 0, false
	}
	rest = strings.TrimLeftFunc(rest[6:], isSpace)
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		after, rest = rest[0], rest[1:]
	}
	if !strings.HasPrefix(rest, "%}") {
		return 0, 0, 0, false
	}
	return len(s) - len(rest) + 2, before, after, true
}

// tag reads the tokens of a tag up to its end.
func (l *lexer) tag(endKind tokenKind, end string) {
	var open []byte // brackets: within them }} and %} are operators
	for {
		rest := l.s[l.i:]
		blank := len(rest) - len(strings.TrimLeftFunc(rest, isSpace))
		l.advance(blank)
		rest = rest[blank:]
		if rest == "" {
			l.fail("unexpected end of template, expected '%s'", end)
		}
		if len(open) == 0 && l.endOfTag(rest, endKind, end) {
			return
		}
		open = l.one(rest, open)
	}
}

func (l *lexer) endOfTag(rest string, kind tokenKind, end string) bool {
	sign := byte(0)
	if rest[0] == '-' || rest[0] == '+' && kind == tokenBlockEnd {
		sign, rest = rest[0], rest[1:]
	}
	if !strings.HasPrefix(rest, end) {
		return false
	}
	l.put(kind, end)
	l.advance(len(end))
	if sign != 0 {
		l.advance(1)
	}
	if sign == '-' || kind == tokenBlockEnd {
		l.trim(sign)
	}
	return true
}

// one reads one token inside a tag.
func (l *lexer) one(rest string, open []byte) []byte {
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case '0' <= r && r <= '9':
		l.number(rest)
	case r == '\'' || r == '"':
		l.quoted(rest)
	case isNameRune(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return !isNameRune(r) })
		if n < 0 {
			n = len(rest)
		}
		l.put(tokenName, rest[:n])
		l.advance(n)
	default:
		return l.operator(rest, open)
	}
	return open
}

func isNameRune(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || r > 0x7F && unicode.Is(unicode.M, r)
}

var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

func (l *lexer) operator(rest string, open []byte) []byte {
	for _, op := range operators {
		if !strings.HasPrefix(rest, op) {
			continue
		}
		switch op {
		case "(", "[", "{":
			open = append(open, op[0])
		case ")", "]", "}":
			if len(open) == 0 || !matching(open[len(open)-1], op[0]) {
				l.fail("unexpected '%s'", op)
			}
			open = open[:len(open)-1]
		}
		l.put(tokenOperator, op)
		l.advance(len(op))
		return open
	}
	r, _ := utf8.DecodeRuneInString(rest)
	l.fail("unexpected char %s", strconv.QuoteRune(r))
	return nil
}

func matching(open, shut byte) bool {
	return open == '(' && shut == ')' || open == '[' && shut == ']' || open == '{' && shut == '}'
}

// number reads an integer or a float.
func (l *lexer) number(rest string) {
	digits := func(s string) int {
		n := 0
		for n < len(s) && ('0' <= s[n] && s[n] <= '9' || s[n] == '_' && n > 0) {
			n++
		}
		return n
	}
	if len(rest) > 2 && rest[0] == '0' && strings.ContainsRune("xXoObB", rune(rest[1])) {
		n := 2
		for n < len(rest) && (rest[n] == '_' || strings.IndexByte("0123456789abcdefABCDEF", rest[n]) >= 0) {
			n++
		}
		l.put(tokenInt, rest[:n])
		l.advance(n)
		return
	}
	n, kind := digits(rest), tokenInt
	previous := token{}
	if len(l.out) > 0 {
		previous = l.out[len(l.out)-1]
	}
	member := previous.kind == tokenOperator && previous.text == "." // a.0.1 is no float
	if f := 0; !member && n+1 < len(rest) && rest[n] == '.' {
		if f = digits(rest[n+1:]); f > 0 {
			n, kind = n+1+f, tokenFloat
		}
	}
	if n+1 < len(rest) && (rest[n] == 'e' || rest[n] == 'E') && !member {
		k := n + 1
		if rest[k] == '+' || rest[k] == '-' {
			k++
		}
		if e := digits(rest[k:]); e > 0 {
			n, kind = k+e, tokenFloat
		}
	}
	l.put(kind, strings.ReplaceAll(rest[:n], "_", ""))
	l.advance(n)
}

// quoted reads a string with Python's escapes.
func (l *lexer) quoted(rest string) {
	var b strings.Builder
	for i := 1; i < len(rest); {
		switch c := rest[i]; {
		case c == rest[0]:
			l.put(tokenString, b.String())
			l.advance(i + 1)
			return
		case c != '\\':
			b.WriteByte(c)
			i++
		case i+1 < len(rest):
			i += l.escape(&b, rest[i:])
		default:
			i++
		}
	}
	l.fail("unexpected char %s", strconv.QuoteRune(rune(rest[0])))
}

var simpleEscapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': ""}

// escape reads an escape at the start of s and gives its length; an unknown one stays as it is.
func (l *lexer) escape(b *strings.Builder, s string) int {
	c := s[1]
	if text, ok := simpleEscapes[c]; ok {
		b.WriteString(text)
		return 2
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if width > 0 {
		if len(s) < 2+width {
			l.fail("truncated \\%c escape", c)
		}
		n, err := strconv.ParseUint(s[2:2+width], 16, 32)
		if err != nil || n > utf8.MaxRune {
			l.fail("a bad \\%c escape", c)
		}
		b.WriteRune(rune(n))
		return 2 + width
	}
	if '0' <= c && c <= '7' {
		n, value := 1, 0
		for n < 4 && n < len(s) && '0' <= s[n] && s[n] <= '7' {
			value = value*8 + int(s[n]-'0')
			n++
		}
		b.WriteRune(rune(value))
		return n
	}
	b.WriteByte('\\')
	return 1
}

// isSpace is what Python takes for white space in a string.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || 0x1C <= r && r <= 0x1F
}
