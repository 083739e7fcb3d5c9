package jinja

import (
	"fmt"
	"slices"
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
