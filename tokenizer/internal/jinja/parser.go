package jinja

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// parser builds the tree of a template.
type parser struct {
	tokens []token
	i      int
	depth  int
	gens   bool     // the template has {% generation %}
	macros []*macro // the open ones
	loops  int      // the open loops
}

// maxNesting bounds the nesting of a template.
const maxNesting = 200

func (p *parser) now() token { return p.tokens[p.i] }

func (p *parser) ahead() token {
	if p.i+1 < len(p.tokens) {
		return p.tokens[p.i+1]
	}
	return p.tokens[len(p.tokens)-1]
}

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokenEOF {
		p.i++
	}
	return t
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{Line: p.now().line, Msg: fmt.Sprintf(format, args...)})
}

func (p *parser) enter() func() {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested deeper than %d", maxNesting)
	}
	return func() { p.depth-- }
}

func (p *parser) isOp(text string) bool { return p.now().kind == tokenOperator && p.now().text == text }

func (p *parser) isName(names ...string) bool {
	return p.now().kind == tokenName && slices.Contains(names, p.now().text)
}

func (p *parser) skipOp(text string) bool {
	if p.isOp(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expectOp(text string) {
	if !p.skipOp(text) {
		p.fail("expected token '%s', got '%s'", text, p.now().text)
	}
}

func (p *parser) expectName(name string) {
	if !p.skipName(name) {
		p.fail("expected token '%s', got '%s'", name, p.now().text)
	}
}

func (p *parser) ident() string {
	if p.now().kind != tokenName {
		p.fail("expected a name, got '%s'", p.now().text)
	}
	return p.next().text
}

func (p *parser) expectEnd(kind tokenKind) {
	if p.now().kind != kind {
		p.fail("expected token 'end of tag', got '%s'", p.now().text)
	}
	p.next()
}

// body reads statements up to one of the end tags, whose name is then the current token.
func (p *parser) body(ends ...string) []stmt {
	defer p.enter()()
	var out []stmt
	for {
		switch t := p.now(); t.kind {
		case tokenData:
			out = append(out, &data{p.next().text})
		case tokenVarBegin:
			p.next()
			out = append(out, &print_{p.tuple(true, false), t.line})
			p.expectEnd(tokenVarEnd)
		case tokenBlockBegin:
			p.next()
			if p.isName(ends...) {
				return out
			}
			out = append(out, p.statement()...)
		case tokenEOF:
			if len(ends) == 0 {
				return out
			}
			p.fail("Unexpected end of template. Jinja was looking for the following tags: '%s'", strings.Join(ends, "' or '"))
		default:
			p.fail("unexpected '%s'", t.text)
		}
	}
}

// block reads a body and its end tag.
func (p *parser) block(end string) []stmt {
	p.expectEnd(tokenBlockEnd)
	body := p.body(end)
	p.next()
	p.expectEnd(tokenBlockEnd)
	return body
}

func (p *parser) statement() []stmt {
	line := p.now().line
	switch keyword := p.ident(); keyword {
	case "if":
		return []stmt{p.if_()}
	case "for":
		return []stmt{p.for_(line)}
	case "set":
		return []stmt{p.set(line)}
	case "macro":
		return []stmt{p.macro()}
	case "call":
		return []stmt{p.callBlock(line)}
	case "filter":
		filters := p.filters(nil)
		return []stmt{&filterBlock{filters, p.block("endfilter"), line}}
	case "with":
		return []stmt{p.with()}
	case "generation":
		p.gens = true
		return []stmt{&generation{p.block("endgeneration")}}
	case "print":
		return p.print(line)
	case "break":
		return p.leave(breakLoop, keyword)
	case "continue":
		return p.leave(continueLoop, keyword)
	case "block":
		return []stmt{p.inherited()}
	case "extends", "include", "import", "from", "autoescape", "do", "trans":
		p.fail("{%% %s %%} is not supported in a chat template", keyword)
	default:
		p.fail("Encountered unknown tag '%s'.", keyword)
	}
	return nil
}

func (p *parser) leave(how signal, keyword string) []stmt {
	if p.loops == 0 {
		p.fail("'%s' outside loop", keyword)
	}
	p.expectEnd(tokenBlockEnd)
	return []stmt{&leave{how}}
}

// inherited reads {% block name %}: with no template above it is just its body.
func (p *parser) inherited() stmt {
	name := p.ident()
	p.expectEnd(tokenBlockEnd)
	n := &with{body: p.body("endblock")}
	p.next()
	p.skipName(name)
	p.expectEnd(tokenBlockEnd)
	return n
}

func (p *parser) print(line int) []stmt {
	var out []stmt
	for p.now().kind != tokenBlockEnd {
		if len(out) > 0 {
			p.expectOp(",")
		}
		out = append(out, &print_{p.expression(), line})
	}
	p.next()
	return out
}

func (p *parser) if_() stmt {
	n := &if_{}
	for {
		n.tests = append(n.tests, p.tuple(false, false))
		p.expectEnd(tokenBlockEnd)
		n.bodies = append(n.bodies, p.body("elif", "else", "endif"))
		if p.skipName("elif") {
			continue
		}
		break
	}
	if p.skipName("else") {
		p.expectEnd(tokenBlockEnd)
		n.other = p.body("endif")
	}
	p.expectName("endif")
	p.expectEnd(tokenBlockEnd)
	return n
}

func (p *parser) for_(line int) stmt {
	n := &for_{line: line}
	n.target = p.target(false, true)
	p.expectName("in")
	n.iter = p.tuple(false, false, "recursive")
	if p.skipName("if") {
		n.test = p.expression()
	}
	n.recursive = p.skipName("recursive")
	p.expectEnd(tokenBlockEnd)
	p.loops++
	n.body = p.body("endfor", "else")
	p.loops--
	if p.skipName("else") {
		p.expectEnd(tokenBlockEnd)
		n.other = p.body("endfor")
	}
	p.expectName("endfor")
	p.expectEnd(tokenBlockEnd)
	return n
}

// target reads what is assigned to.
func (p *parser) target(attr, tuple bool) target {
	if attr && p.now().kind == tokenName && p.ahead().kind == tokenOperator && p.ahead().text == "." {
		name := p.ident()
		p.next()
		return target{name: name, attr: p.ident()}
	}
	first := p.oneTarget(attr, tuple)
	if !tuple || !p.isOp(",") {
		return first
	}
	parts := []target{first}
	for p.skipOp(",") {
		if p.now().kind == tokenBlockEnd || p.isName("in") || p.isOp("=") || p.isOp(")") {
			break
		}
		parts = append(parts, p.oneTarget(attr, tuple))
	}
	return target{parts: parts}
}

func (p *parser) oneTarget(attr, tuple bool) target {
	if tuple && p.skipOp("(") {
		inner := p.target(attr, true)
		p.expectOp(")")
		return inner
	}
	name := p.ident()
	if slices.Contains([]string{"true", "false", "none", "True", "False", "None"}, name) {
		p.fail("can't assign to '%s'", name)
	}
	if attr && p.skipOp(".") {
		return target{name: name, attr: p.ident()}
	}
	return target{name: name}
}

func (p *parser) set(line int) stmt {
	t := p.target(true, true)
	if p.skipOp("=") {
		n := &set{t, p.tuple(true, false), line}
		p.expectEnd(tokenBlockEnd)
		return n
	}
	var filters []*filter
	if p.isOp("|") {
		filters = p.filters(filters)
	}
	return &setBlock{t, filters, p.block("endset"), line}
}

// filters reads a chain of filters that works on the text of a block.
func (p *parser) filters(out []*filter) []*filter {
	p.skipOp("|")
	for {
		f := p.filter(nil)
		out = append(out, f)
		if !p.skipOp("|") {
			return out
		}
	}
}

func (p *parser) macro() stmt {
	m := &macro{name: p.ident()}
	p.signature(m)
	p.macroBody(m, "endmacro")
	return m
}

func (p *parser) macroBody(m *macro, end string) {
	loops := p.loops
	p.macros, p.loops = append(p.macros, m), 0
	m.body = p.block(end)
	p.macros, p.loops = p.macros[:len(p.macros)-1], loops
}

// notice remembers that a macro takes more arguments than it names: it says so by using them.
func (p *parser) notice(name string) {
	if len(p.macros) == 0 {
		return
	}
	uses := &p.macros[len(p.macros)-1].uses
	switch name {
	case "varargs":
		uses.varargs = true
	case "kwargs":
		uses.kwargs = true
	case "caller":
		uses.caller = true
	}
}

func (p *parser) signature(m *macro) {
	p.expectOp("(")
	for !p.isOp(")") {
		if len(m.params) > 0 {
			p.expectOp(",")
		}
		if p.isOp(")") {
			break
		}
		m.params = append(m.params, p.ident())
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			p.fail("non-default argument follows default argument")
		}
	}
	p.next()
}

func (p *parser) callBlock(line int) stmt {
	m := &macro{name: "caller"}
	if p.isOp("(") {
		p.signature(m)
	}
	target := p.expression()
	if _, ok := target.(*call); !ok {
		p.fail("expected call")
	}
	p.macroBody(m, "endcall")
	return &callBlock{m, target, line}
}

func (p *parser) with() stmt {
	n := &with{}
	for p.now().kind != tokenBlockEnd {
		if len(n.targets) > 0 {
			p.expectOp(",")
		}
		n.targets = append(n.targets, p.target(false, false))
		p.expectOp("=")
		n.values = append(n.values, p.expression())
	}
	n.body = p.block("endwith")
	return n
}

// tuple reads an expression, or several with commas between.
func (p *parser) tuple(conditional, parenthesised bool, ends ...string) expr {
	one := func() expr {
		if conditional {
			return p.expression()
		}
		return p.or()
	}
	var items []expr
	commas := false
	for !p.tupleEnd(ends) {
		items = append(items, one())
		if !p.skipOp(",") {
			break
		}
		commas = true
	}
	if !commas {
		if len(items) == 1 {
			return items[0]
		}
		if !parenthesised {
			p.fail("Expected an expression, got '%s'", p.now().text)
		}
	}
	return &list{items, isTuple}
}

func (p *parser) tupleEnd(ends []string) bool {
	t := p.now()
	return t.kind == tokenVarEnd || t.kind == tokenBlockEnd || t.kind == tokenEOF || p.isOp(")") || p.isName(ends...)
}

func (p *parser) expression() expr {
	defer p.enter()()
	x := p.or()
	for p.skipName("if") {
		c := &conditional{yes: x}
		c.test = p.or()
		if p.skipName("else") {
			c.no = p.expression()
		}
		x = c
	}
	return x
}

func (p *parser) or() expr {
	x := p.and()
	for p.skipName("or") {
		x = &binary{"or", x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.skipName("and") {
		x = &binary{"and", x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	defer p.enter()()
	if p.isName("not") && !(p.ahead().kind == tokenName && p.ahead().text == "in") {
		p.next()
		return &unary{"not", p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	first := p.sum()
	c := &comparison{first: first}
	for {
		t := p.now()
		switch {
		case t.kind == tokenOperator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			p.next()
			c.ops = append(c.ops, t.text)
		case p.skipName("in"):
			c.ops = append(c.ops, "in")
		case p.isName("not") && p.ahead().kind == tokenName && p.ahead().text == "in":
			p.next()
			p.next()
			c.ops = append(c.ops, "not in")
		default:
			if len(c.ops) == 0 {
				return first
			}
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
}

func (p *parser) sum() expr {
	x := p.concat()
	for p.isOp("+") || p.isOp("-") {
		x = &binary{p.next().text, x, p.concat()}
	}
	return x
}

func (p *parser) concat() expr {
	parts := []expr{p.product()}
	for p.skipOp("~") {
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &concatenation{parts}
}

func (p *parser) product() expr {
	x := p.power()
	for p.isOp("*") || p.isOp("/") || p.isOp("//") || p.isOp("%") {
		x = &binary{p.next().text, x, p.power()}
	}
	return x
}

func (p *parser) power() expr {
	x := p.unary(true)
	for p.skipOp("**") {
		x = &binary{"**", x, p.unary(true)}
	}
	return x
}

func (p *parser) unary(filters bool) expr {
	defer p.enter()()
	var x expr
	switch {
	case p.skipOp("-"):
		x = &unary{"-", p.unary(false)}
	case p.skipOp("+"):
		x = &unary{"+", p.unary(false)}
	default:
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filtered(x)
	}
	return x
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case tokenName:
		switch t.text {
		case "true", "True":
			return &literal{true}
		case "false", "False":
			return &literal{false}
		case "none", "None":
			return &literal{nil}
		}
		p.notice(t.text)
		return &name{t.text}
	case tokenString:
		text := t.text
		for p.now().kind == tokenString { // neighbouring strings are one
			text += p.next().text
		}
		return &literal{Str{S: text}}
	case tokenInt:
		return &literal{p.integer(t.text)}
	case tokenFloat:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinite, as in Python
			p.fail("a bad number '%s'", t.text)
		}
		return &literal{f}
	}
	p.i--
	switch {
	case p.skipOp("("):
		x := p.tuple(true, true)
		p.expectOp(")")
		return x
	case p.isOp("["):
		return p.list()
	case p.isOp("{"):
		return p.dict()
	}
	p.fail("unexpected '%s'", t.text)
	return nil
}

func (p *parser) integer(text string) Value {
	n, ok := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 0)
	if !ok {
		n, ok = new(big.Int).SetString(text, 10)
	}
	if !ok || len(text) > 4000 {
		p.fail("a bad number '%s'", text)
	}
	return normal(n)
}

func (p *parser) list() expr {
	p.expectOp("[")
	n := &list{kind: isList}
	for !p.isOp("]") {
		if len(n.items) > 0 {
			p.expectOp(",")
		}
		if p.isOp("]") {
			break
		}
		n.items = append(n.items, p.expression())
	}
	p.next()
	return n
}

func (p *parser) dict() expr {
	p.expectOp("{")
	n := &dict{}
	for !p.isOp("}") {
		if len(n.keys) > 0 {
			p.expectOp(",")
		}
		if p.isOp("}") {
			break
		}
		n.keys = append(n.keys, p.expression())
		p.expectOp(":")
		n.values = append(n.values, p.expression())
	}
	p.next()
	return n
}

func (p *parser) postfix(x expr) expr {
	for {
		switch {
		case p.isOp("."), p.isOp("["):
			x = p.subscript(x)
		case p.isOp("("):
			x = &call{x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) filtered(x expr) expr {
	for {
		switch {
		case p.skipOp("|"):
			x = p.filter(x)
		case p.isName("is"):
			x = p.test(x)
		case p.isOp("("):
			x = &call{x, p.args()}
		default:
			return x
		}
	}
}

func (p *parser) filter(x expr) *filter {
	f := &filter{x: x, line: p.now().line, name: p.dotted()}
	if p.isOp("(") {
		f.args = p.args()
	}
	return f
}

func (p *parser) dotted() string {
	text := p.ident()
	for p.skipOp(".") {
		text += "." + p.ident()
	}
	return text
}

func (p *parser) test(x expr) expr {
	p.next()
	negated := p.skipName("not")
	n := &test{x: x, name: p.dotted()}
	switch t := p.now(); {
	case p.isOp("("):
		n.args = p.args()
	case t.kind == tokenName && p.isName("else", "or", "and", "if", "is", "in", "not", "recursive"):
		if t.text == "is" {
			p.fail("You cannot chain multiple tests with is")
		}
	case t.kind == tokenName, t.kind == tokenString, t.kind == tokenInt, t.kind == tokenFloat, p.isOp("["), p.isOp("{"):
		n.args.list = []expr{p.postfix(p.primary())}
	}
	if negated {
		return &unary{"not", n}
	}
	return n
}

func (p *parser) subscript(x expr) expr {
	if p.skipOp(".") {
		switch t := p.next(); t.kind {
		case tokenName:
			return &attribute{x, t.text}
		case tokenInt:
			return &item{x, &literal{p.integer(t.text)}}
		}
		p.i--
		p.fail("expected name or number")
	}
	p.expectOp("[")
	keys := []expr{p.subscripted(x)}
	commas := false
	for p.skipOp(",") {
		commas = true
		if p.isOp("]") {
			break
		}
		keys = append(keys, p.subscripted(x))
	}
	p.expectOp("]")
	if commas {
		return &item{x, &list{keys, isTuple}}
	}
	if s, ok := keys[0].(*slice); ok {
		return s
	}
	return &item{x, keys[0]}
}

func (p *parser) subscripted(x expr) expr {
	end := func() bool { return p.isOp("]") || p.isOp(",") }
	var start, stop, step expr
	if !p.isOp(":") {
		start = p.expression()
		if !p.isOp(":") {
			return start
		}
	}
	p.next()
	if !p.isOp(":") && !end() {
		stop = p.expression()
	}
	if p.skipOp(":") && !end() {
		step = p.expression()
	}
	return &slice{x, start, stop, step}
}

func (p *parser) args() callArgs {
	defer p.enter()()
	p.expectOp("(")
	var a callArgs
	for first := true; !p.isOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.isOp(")") {
				break
			}
		}
		switch {
		case p.skipOp("**"):
			a.spreadNamed = p.expression()
		case p.skipOp("*"):
			a.spread = p.expression()
		case p.now().kind == tokenName && p.ahead().kind == tokenOperator && p.ahead().text == "=":
			a.names = append(a.names, p.ident())
			p.next()
			a.named = append(a.named, p.expression())
		default:
			if len(a.named) > 0 || a.spreadNamed != nil {
				p.fail("invalid syntax for function call expression")
			}
			a.list = append(a.list, p.expression())
		}
	}
	p.next()
	return a
}
