package jinja

import "slices"

func (n *data) exec(_ *context, out *output) signal {
	out.write(Str{S: n.text})
	return goOn
}

func (n *print_) exec(c *context, out *output) signal {
	c.run.line = n.line
	out.write(toStr(n.x.eval(c)))
	return goOn
}

func (n *if_) exec(c *context, out *output) signal {
	for i, test := range n.tests {
		if truth(test.eval(c)) {
			return execAll(c, n.bodies[i], out)
		}
	}
	return execAll(c, n.other, out)
}

func (n *leave) exec(*context, *output) signal { return n.how }

func (n *set) exec(c *context, _ *output) signal {
	c.run.line = n.line
	n.target.assign(c, n.x.eval(c))
	return goOn
}

func (n *setBlock) exec(c *context, _ *output) signal {
	c.run.line = n.line
	var v Value = capture(c.inner(), n.body)
	for _, f := range n.filters {
		v = f.apply(c, v)
	}
	n.target.assign(c, v)
	return goOn
}

func (n *filterBlock) exec(c *context, out *output) signal {
	var v Value = capture(c.inner(), n.body)
	c.run.line = n.line
	for _, f := range n.filters {
		v = f.apply(c, v)
	}
	out.write(toStr(v))
	return goOn
}

func (n *with) exec(c *context, out *output) signal {
	inner := c.inner()
	for i, v := range n.values {
		n.targets[i].assign(inner, v.eval(c)) // values see the scope outside
	}
	return execAll(inner, n.body, out)
}

// exec tracks where the text of a {% generation %} block lands. As in the reference the block is a call: its
// assignments stay inside, and inside a macro the place counted is that of the call.
func (n *generation) exec(c *context, out *output) signal {
	text := capture(c.inner(), n.body)
	root := c.run.root
	points := &output{}
	points.write(text)
	c.run.points = append(c.run.points, [2]int{root.points, root.points + points.points})
	c.run.blocks++
	if text.S != "" { // the mark goes where the text goes, out of macros, too
		text.gens = []Mark{{0, len(text.S), c.run.blocks}}
	}
	out.write(text)
	return goOn
}

// assign stores a value.
func (t target) assign(c *context, v Value) {
	switch {
	case t.attr != "":
		owner, ok := c.scope.get(t.name)
		ns, isNS := owner.(*namespace)
		if !ok || !isNS {
			raise("cannot assign attribute on non-namespace object")
		}
		checkName(t.attr)
		ns.vars.Set(Str{S: t.attr}, v)
	case t.parts != nil:
		items := iterate(v)
		if len(items) != len(t.parts) {
			raise("cannot unpack %d values into %d names", len(items), len(t.parts))
		}
		for i, part := range t.parts {
			part.assign(c, items[i])
		}
	default:
		c.scope.set(t.name, v)
	}
}

func checkName(name string) {
	if len(name) > 0 && name[0] == '_' {
		raise("Chat templates cannot store underscore-prefixed attributes on a namespace, but got '%s'. Please rename the attribute.", name)
	}
}

// loop is the variable loop.
type loop struct {
	items   []Value
	at      int
	depth   int
	changed []Value
	recurse func(c *context, items []Value, depth int) Value
}

// take gives what is left to walk: a template may iterate over loop itself.
func (l *loop) take() []Value {
	rest := l.items[min(l.at+1, len(l.items)):]
	l.at = len(l.items)
	return rest
}

func (n *for_) exec(c *context, out *output) signal {
	c.run.line = n.line
	return n.run(c, out, iterate(n.iter.eval(c)), 0)
}

func (n *for_) run(c *context, out *output, items []Value, depth int) signal {
	if n.test != nil {
		items = n.selected(c, items)
	}
	l := &loop{items: items, depth: depth}
	if n.recursive {
		l.recurse = func(c *context, items []Value, depth int) Value {
			return c.run.call(func() Value {
				out := &output{run: c.run}
				n.run(c, out, items, depth)
				return out.str()
			})
		}
	}
	if len(items) == 0 {
		return execAll(c.inner(), n.other, out)
	}
	for ; l.at < len(l.items); l.at++ {
		c.run.step()
		inner := c.inner()
		n.target.assign(inner, l.items[l.at])
		inner.scope.set("loop", l)
		switch execAll(inner, n.body, out) {
		case breakLoop:
			return goOn
		case continueLoop, goOn:
		}
	}
	return goOn
}

func (n *for_) selected(c *context, items []Value) []Value {
	var kept []Value
	for _, v := range items {
		c.run.step()
		inner := c.inner()
		n.target.assign(inner, v)
		if truth(n.test.eval(inner)) {
			kept = append(kept, v)
		}
	}
	return kept
}

// attr is an attribute of loop.
func (l *loop) attr(name string) (Value, bool) {
	n := len(l.items)
	neighbour := func(i int, what string) Value {
		if i < 0 || i >= n {
			return Undefined{what}
		}
		return l.items[i]
	}
	switch name {
	case "index":
		return int64(l.at + 1), true
	case "index0":
		return int64(l.at), true
	case "revindex":
		return int64(n - l.at), true
	case "revindex0":
		return int64(n - l.at - 1), true
	case "first":
		return l.at == 0, true
	case "last":
		return l.at == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "previtem":
		return neighbour(l.at-1, "there is no previous item"), true
	case "nextitem":
		return neighbour(l.at+1, "there is no next item"), true
	case "cycle":
		return &function{"cycle", l.cycle}, true
	case "changed":
		return &function{"changed", l.hasChanged}, true
	}
	return nil, false
}

func (l *loop) cycle(_ *context, a arguments) Value {
	if len(a.list) == 0 {
		raise("no items for cycling given")
	}
	return a.list[l.at%len(a.list)]
}

func (l *loop) hasChanged(_ *context, a arguments) Value {
	if l.changed != nil && equalItems(l.changed, a.list) {
		return false
	}
	l.changed = append([]Value{}, a.list...)
	return true
}

// exec of a macro defines it.
func (n *macro) exec(c *context, _ *output) signal {
	c.scope.set(n.name, n.bind(c))
	return goOn
}

// bind makes a callable of a macro; its body sees the scope where it was defined.
func (n *macro) bind(defined *context) *function {
	return &function{n.name, func(c *context, a arguments) Value {
		inner := &context{c.run, &scope{parent: defined.scope, table: n.arguments(defined, a)}}
		return c.run.call(func() Value { return capture(inner, n.body) })
	}}
}

func (n *macro) arguments(c *context, a arguments) map[string]Value {
	vars := map[string]Value{}
	inner := &context{c.run, &scope{parent: c.scope, table: vars}} // defaults see the parameters before them
	left := slices.Clone(a.named)
	for i, name := range n.params {
		if i < len(a.list) {
			vars[name] = a.list[i]
			if slices.ContainsFunc(left, func(v namedValue) bool { return v.name == name }) {
				raise("macro '%s' got multiple values for argument '%s'", n.name, name)
			}
			continue
		}
		k := slices.IndexFunc(left, func(v namedValue) bool { return v.name == name })
		d := i - (len(n.params) - len(n.defaults))
		switch {
		case k >= 0:
			vars[name] = left[k].value
			left = slices.Delete(left, k, k+1)
		case d >= 0:
			vars[name] = n.defaults[d].eval(inner)
		default:
			vars[name] = Undefined{"parameter '" + name + "' was not provided"}
		}
	}
	n.extras(vars, a, left)
	return vars
}

// extras are the arguments beyond the parameters.
func (n *macro) extras(vars map[string]Value, a arguments, named []namedValue) {
	if k := slices.IndexFunc(named, func(v namedValue) bool { return v.name == "caller" }); k >= 0 {
		if !n.uses.caller {
			raise("macro '%s' was invoked with two values for the special caller argument. This is most likely a bug.", n.name)
		}
		vars["caller"] = named[k].value
		named = slices.Delete(named, k, k+1)
	} else if n.uses.caller && !slices.Contains(n.params, "caller") {
		vars["caller"] = Undefined{"No caller defined"}
	}
	if n.uses.kwargs {
		d := NewDict()
		for _, v := range named {
			d.Set(Str{S: v.name}, v.value)
		}
		vars["kwargs"] = d
	} else if len(named) > 0 {
		raise("macro '%s' takes no keyword argument '%s'", n.name, named[0].name)
	}
	rest := a.list[min(len(n.params), len(a.list)):]
	if n.uses.varargs {
		vars["varargs"] = &List{Items: rest, kind: isTuple}
	} else if len(rest) > 0 {
		raise("macro '%s' takes not more than %d argument(s)", n.name, len(n.params))
	}
}

func (n *callBlock) exec(c *context, out *output) signal {
	c.run.line = n.line
	target := n.call.(*call)
	args := target.args.eval(c)
	args.named = append(args.named, namedValue{"caller", n.caller.bind(c)})
	out.write(toStr(invoke(c, target.x.eval(c), args)))
	return goOn
}
