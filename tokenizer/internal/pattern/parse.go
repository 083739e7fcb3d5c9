package pattern

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is a parsed pattern.
type node struct {
	op       op
	set      *set    // opSet
	subs     []*node // opCat, opAlt; one element for opRepeat, opLook, opAtomic
	min, max int     // opRepeat; max −1 is unbounded
	lazy     bool    // opRepeat
	negative bool    // opLook
	behind   bool    // opLook
}

type op uint8

const (
	opEmpty op = iota
	opSet
	opCat
	opAlt
	opRepeat
	opLook
	opAtomic
	opLineStart
	opLineEnd
	opTextStart
	opTextEnd
	opTextEndNewline
	opWordEdge
	opNotWordEdge
)

// maxRepeat bounds {n,m}: the body is written out that often in the program.
const maxRepeat = 1000

// parser reads the Ruby dialect of Oniguruma, in which published tokenizers write their patterns: ^ and $ are ends of
// lines, a + after a quantifier makes it possessive, and [a[bc]] is one set.
type parser struct {
	s     string
	i     int
	depth int
	fold  bool // (?i)
	dot   bool // (?m): a dot matches a newline, too
}

type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func (p *parser) fail(what string) {
	panic(syntaxError("at character " + strconv.Itoa(p.i) + ": " + what))
}

func parse(pattern string) (n *node, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	p := &parser{s: pattern}
	n = p.alternatives()
	if p.i < len(p.s) {
		p.fail("unmatched )")
	}
	return n, nil
}

func (p *parser) more() bool { return p.i < len(p.s) }

func (p *parser) peek(text string) bool { return strings.HasPrefix(p.s[p.i:], text) }

func (p *parser) accept(text string) bool {
	if p.peek(text) {
		p.i += len(text)
		return true
	}
	return false
}

func (p *parser) rune() rune {
	if !p.more() {
		p.fail("ends too early")
	}
	r, n := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += n
	return r
}

func (p *parser) alternatives() *node {
	if p.depth++; p.depth > 100 {
		p.fail("nested too deep")
	}
	defer func() { p.depth-- }()
	fold, dot := p.fold, p.dot // options set inside end with the group
	alt := &node{op: opAlt}
	for {
		alt.subs = append(alt.subs, p.sequence())
		if !p.accept("|") {
			break
		}
	}
	p.fold, p.dot = fold, dot
	if len(alt.subs) == 1 {
		return alt.subs[0]
	}
	return alt
}

func (p *parser) sequence() *node {
	cat := &node{op: opCat}
	for p.more() && !p.peek("|") && !p.peek(")") {
		atom := p.atom()
		cat.subs = append(cat.subs, p.quantified(atom))
	}
	return cat
}

func (p *parser) quantified(atom *node) *node {
	for {
		least, most, interval, ok := p.quantifier()
		if !ok {
			return atom
		}
		r := &node{op: opRepeat, subs: []*node{atom}, min: least, max: most}
		switch {
		case p.accept("?"):
			r.lazy = true
		case !interval && p.accept("+"): // after {n,m} a + is another quantifier
			r = &node{op: opAtomic, subs: []*node{r}}
		}
		atom = r
	}
}

func (p *parser) quantifier() (least, most int, interval, ok bool) {
	switch {
	case p.accept("*"):
		return 0, -1, false, true
	case p.accept("+"):
		return 1, -1, false, true
	case p.accept("?"):
		return 0, 1, false, true
	case p.peek("{"):
		return p.interval()
	}
	return 0, 0, false, false
}

// interval reads {n}, {n,}, {,m} or {n,m}; anything else in braces is plain text.
func (p *parser) interval() (least, most int, interval, ok bool) {
	end := strings.IndexByte(p.s[p.i:], '}')
	if end < 0 {
		return 0, 0, false, false
	}
	low, high, comma := strings.Cut(p.s[p.i+1:p.i+end], ",")
	if low == "" && high == "" {
		return 0, 0, false, false
	}
	least, err := strconv.Atoi("0" + low)
	if err != nil {
		return 0, 0, false, false
	}
	most = least
	if comma {
		if most, err = strconv.Atoi("0" + high); err != nil {
			return 0, 0, false, false
		}
		if high == "" {
			most = -1
		}
	}
	if least > maxRepeat || most > maxRepeat || most >= 0 && most < least {
		p.fail("a repeat count out of range")
	}
	p.i += end + 1
	return least, most, true, true
}

func (p *parser) atom() *node {
	switch r := p.rune(); r {
	case '(':
		return p.group()
	case '[':
		return &node{op: opSet, set: p.class()}
	case '.':
		dot := &set{negative: !p.dot}
		if !p.dot {
			dot.addRange('\n', '\n')
		} else {
			dot.addRange(0, utf8.MaxRune)
		}
		return &node{op: opSet, set: dot.done()}
	case '^':
		return &node{op: opLineStart}
	case '$':
		return &node{op: opLineEnd}
	case '\\':
		return p.escape()
	case '*', '+', '?':
		p.fail("nothing to repeat")
		return nil
	default:
		return p.literal(r)
	}
}

func (p *parser) literal(r rune) *node {
	one := &set{fold: p.fold}
	one.addRange(r, r)
	return &node{op: opSet, set: one.done()}
}

func (p *parser) group() *node {
	if p.accept("?#") {
		for p.rune() != ')' {
		}
		return &node{op: opEmpty}
	}
	out := &node{op: opCat}
	switch {
	case p.accept("?:"):
	case p.accept("?="):
		out = &node{op: opLook}
	case p.accept("?!"):
		out = &node{op: opLook, negative: true}
	case p.accept("?<="):
		out = &node{op: opLook, behind: true}
	case p.accept("?<!"):
		out = &node{op: opLook, behind: true, negative: true}
	case p.accept("?>"):
		out = &node{op: opAtomic}
	case p.accept("?<"):
		for p.rune() != '>' { // a named group: the name does not matter
		}
	case p.accept("?"):
		return p.options()
	}
	out.subs = []*node{p.alternatives()}
	if !p.accept(")") {
		p.fail("unmatched (")
	}
	if out.behind {
		if _, ok := width(out.subs[0]); !ok {
			p.fail("a look-behind of variable length is not supported")
		}
	}
	return out
}

// options reads (?i:…), (?i)…, (?-i:…) after the "(?".
func (p *parser) options() *node {
	fold, dot, on := p.fold, p.dot, true
	for {
		switch r := p.rune(); r {
		case '-':
			on = false
		case 'i':
			p.fold = on
		case 'm':
			p.dot = on
		case ')': // holds to the end of the enclosing group
			return p.alternatives()
		case ':':
			inner := p.alternatives()
			p.fold, p.dot = fold, dot
			if !p.accept(")") {
				p.fail("unmatched (")
			}
			return inner
		default:
			p.fail("unknown option " + strconv.QuoteRune(r))
		}
	}
}

func (p *parser) escape() *node {
	start := p.i
	switch r := p.rune(); r {
	case 'A':
		return &node{op: opTextStart}
	case 'z':
		return &node{op: opTextEnd}
	case 'Z':
		return &node{op: opTextEndNewline}
	case 'b':
		return &node{op: opWordEdge}
	case 'B':
		return &node{op: opNotWordEdge}
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k', 'g':
		p.fail("a back-reference is not supported")
	case 'G', 'K', 'R', 'X', 'M', 'C', 'c':
		p.fail("\\" + string(r) + " is not supported")
	}
	p.i = start
	one := &set{fold: p.fold}
	p.classEscape(one)
	return &node{op: opSet, set: one.done()}
}

// width is the number of characters a node matches, where that is always the same.
func width(n *node) (int, bool) {
	switch n.op {
	case opSet:
		return 1, true
	case opCat, opAtomic:
		sum := 0
		for _, sub := range n.subs {
			w, ok := width(sub)
			if !ok {
				return 0, false
			}
			sum += w
		}
		return sum, true
	case opAlt:
		first, ok := width(n.subs[0])
		for _, sub := range n.subs[1:] {
			w, good := width(sub)
			ok = ok && good && w == first
		}
		return first, ok
	case opRepeat:
		w, ok := width(n.subs[0])
		return w * n.min, ok && n.min == n.max
	}
	return 0, true // assertions
}
