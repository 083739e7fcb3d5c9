package jinja

import (
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

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
