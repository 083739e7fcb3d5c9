package jinja

func (n *literal) eval(*context) Value { return n.value }

func (n *name) eval(c *context) Value {
	if v, ok := c.scope.get(n.name); ok {
		return v
	}
	return Undefined{"'" + n.name + "' is undefined"}
}

func (n *list) eval(c *context) Value {
	out := &List{Items: make([]Value, len(n.items)), kind: n.kind}
	for i, x := range n.items {
		out.Items[i] = x.eval(c)
	}
	return out
}

func (n *dict) eval(c *context) Value {
	d := NewDict()
	for i, key := range n.keys {
		d.Set(key.eval(c), n.values[i].eval(c))
	}
	return d
}

func (n *unary) eval(c *context) Value {
	c.run.step()
	v := n.x.eval(c)
	if n.op == "not" {
		return !truth(v)
	}
	refuse(v)
	op, zero := n.op, Value(int64(0))
	if f, ok := v.(float64); ok && op == "-" {
		return -f
	}
	out, ok := arithmetic(op, zero, v)
	if !ok {
		raise("bad operand type for unary %s: '%s'", op, typeName(v))
	}
	return out
}

func (n *binary) eval(c *context) Value {
	c.run.step()
	a := n.a.eval(c)
	switch {
	case n.op == "or" && truth(a), n.op == "and" && !truth(a):
		return a
	case n.op == "or", n.op == "and":
		return n.b.eval(c)
	}
	return operate(n.op, a, n.b.eval(c))
}

// operate is a binary operator of Python.
func operate(op string, a, b Value) Value {
	refuse(a)
	refuse(b)
	if out, ok := arithmetic(op, a, b); ok {
		return out
	}
	switch op {
	case "+":
		if x, ok := a.(Str); ok {
			if y, ok := b.(Str); ok {
				return concat(x, y)
			}
			raise(`can only concatenate str (not "%s") to str`, typeName(b))
		}
		if x, ok := a.(*List); ok {
			if y, ok := b.(*List); ok && x.kind == y.kind && x.kind <= isTuple {
				checkSize(len(x.Items) + len(y.Items))
				return &List{Items: append(append([]Value{}, x.Items...), y.Items...), kind: x.kind}
			}
			raise(`can only concatenate %s (not "%s") to %s`, typeName(a), typeName(b), typeName(a))
		}
	case "*":
		if out, ok := repeat(a, b); ok {
			return out
		}
		if out, ok := repeat(b, a); ok {
			return out
		}
	case "%":
		if x, ok := a.(Str); ok {
			return percent(x, b)
		}
	}
	raise("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	return nil
}

func repeat(v, times Value) (Value, bool) {
	n, ok := small(times)
	if !ok {
		return nil, false
	}
	n = max(n, 0)
	switch v := v.(type) {
	case Str:
		if n > 0 && len(v.S) > maxOutput/n {
			raise("a string longer than %d bytes", maxOutput)
		}
		var b builder
		for range n {
			b.add(v)
		}
		return b.str(), true
	case *List:
		if v.kind > isTuple {
			return nil, false
		}
		if n > 0 && len(v.Items) > maxItems/n {
			checkSize(maxItems + 1)
		}
		out := &List{kind: v.kind}
		for range n {
			out.Items = append(out.Items, v.Items...)
		}
		return out, true
	}
	return nil, false
}

func (n *concatenation) eval(c *context) Value {
	c.run.step()
	var b builder
	for _, part := range n.parts {
		b.add(toStr(part.eval(c)))
	}
	return b.str()
}

func (n *comparison) eval(c *context) Value {
	c.run.step()
	a := n.first.eval(c)
	for i, op := range n.ops {
		b := n.rest[i].eval(c)
		if !holds(op, a, b) {
			return false
		}
		a = b
	}
	return true
}

func holds(op string, a, b Value) bool {
	switch op {
	case "==":
		return equal(a, b)
	case "!=":
		return !equal(a, b)
	case "in":
		return contains(b, a)
	case "not in":
		return !contains(b, a)
	}
	order := compare(op, a, b)
	if order == 2 { // not a number
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (n *conditional) eval(c *context) Value {
	c.run.step()
	switch {
	case truth(n.test.eval(c)):
		return n.yes.eval(c)
	case n.no == nil:
		return Undefined{"the inline if-expression evaluated to false and no else section was defined."}
	}
	return n.no.eval(c)
}

func (n *attribute) eval(c *context) Value {
	c.run.step()
	return getAttr(n.x.eval(c), n.name)
}

// getAttr is x.name: an attribute, else the item of that key.
func getAttr(x Value, name string) Value {
	refuse(x)
	if len(name) > 0 && name[0] == '_' {
		if v, ok := itemOf(x, Str{S: name}); ok {
			return v
		}
		return Undefined{"access to attribute '" + name + "' of '" + typeName(x) + "' object is unsafe."}
	}
	if v, ok := attrOf(x, name); ok {
		return v
	}
	if v, ok := itemOf(x, Str{S: name}); ok {
		return v
	}
	return missing(x, name)
}

func missing(x Value, name string) Value {
	return Undefined{"'" + typeName(x) + " object' has no attribute '" + name + "'"}
}

func (n *item) eval(c *context) Value {
	c.run.step()
	x := n.x.eval(c)
	return getItem(x, n.key.eval(c))
}

// getItem is x[key]: the item, else the attribute of that name.
func getItem(x, key Value) Value {
	refuse(x)
	if v, ok := itemOf(x, key); ok {
		return v
	}
	if s, ok := key.(Str); ok && (s.S == "" || s.S[0] != '_') {
		if v, ok := attrOf(x, s.S); ok {
			return v
		}
		return missing(x, s.S)
	}
	return Undefined{typeName(x) + " object has no element " + repr(key)}
}

func itemOf(x, key Value) (Value, bool) {
	switch x := x.(type) {
	case *Dict:
		if !hashable(key) {
			return nil, false
		}
		return x.Get(key)
	case *List:
		i, ok := small(key)
		if !ok || x.isView() {
			return nil, false
		}
		if i < 0 {
			i += len(x.Items)
		}
		if i < 0 || i >= len(x.Items) {
			return nil, false
		}
		return x.Items[i], true
	case Str:
		i, ok := small(key)
		if !ok {
			return nil, false
		}
		chars := offsets(x.S)
		n := len(chars) - 1
		if i < 0 {
			i += n
		}
		if i < 0 || i >= n {
			return nil, false
		}
		return x.slice(chars[i], chars[i+1]), true
	}
	return nil, false
}

func hashable(v Value) bool {
	switch v := v.(type) {
	case *Dict:
		return false
	case *List:
		if v.kind != isTuple {
			return false
		}
		for _, item := range v.Items {
			if !hashable(item) {
				return false
			}
		}
	}
	return true
}

// offsets are the places where characters begin, and the end.
func offsets(s string) []int {
	out := make([]int, 0, len(s)+1)
	for i := range s {
		out = append(out, i)
	}
	return append(out, len(s))
}

func (n *slice) eval(c *context) Value {
	c.run.step()
	x := n.x.eval(c)
	refuse(x)
	bound := func(e expr) (int, bool) {
		if e == nil {
			return 0, false
		}
		v := e.eval(c)
		if v == nil {
			return 0, false
		}
		i, ok := small(v)
		if !ok {
			raise("slice indices must be integers or None or have an __index__ method")
		}
		return i, true
	}
	start, hasStart := bound(n.start)
	stop, hasStop := bound(n.stop)
	step, hasStep := bound(n.step)
	if !hasStep {
		step = 1
	}
	if step == 0 {
		raise("slice step cannot be zero")
	}
	switch x := x.(type) {
	case *List:
		if x.isView() {
			break
		}
		out := &List{kind: x.kind}
		for _, i := range indices(len(x.Items), start, stop, step, hasStart, hasStop) {
			out.Items = append(out.Items, x.Items[i])
		}
		return out
	case Str:
		chars := offsets(x.S)
		picked := indices(len(chars)-1, start, stop, step, hasStart, hasStop)
		if step == 1 {
			if len(picked) == 0 {
				return Str{}
			}
			return x.slice(chars[picked[0]], chars[picked[len(picked)-1]+1])
		}
		var b builder
		for _, i := range picked {
			b.add(x.slice(chars[i], chars[i+1]))
		}
		return b.str()
	case *Dict:
		return Undefined{"dict object has no such slice"}
	}
	return Undefined{"'" + typeName(x) + " object' is not subscriptable"}
}

// indices are the places that start:stop:step picks of n.
func indices(n, start, stop, step int, hasStart, hasStop bool) []int {
	clamp := func(i, low, high int) int {
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	low, high := 0, n
	if step < 0 {
		low, high = -1, n-1
	}
	from, to := low, high
	if step < 0 {
		from, to = high, low
	}
	if hasStart {
		from = clamp(start, low, high)
	}
	if hasStop {
		to = clamp(stop, low, high)
	}
	var out []int
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		out = append(out, i)
	}
	return out
}

func (n *call) eval(c *context) Value {
	c.run.step()
	f := n.x.eval(c)
	return invoke(c, f, n.args.eval(c))
}

func (a callArgs) eval(c *context) arguments {
	var out arguments
	for _, x := range a.list {
		out.list = append(out.list, x.eval(c))
	}
	if a.spread != nil {
		out.list = append(out.list, iterate(a.spread.eval(c))...)
	}
	for i, x := range a.named {
		out.named = append(out.named, namedValue{a.names[i], x.eval(c)})
	}
	if a.spreadNamed != nil {
		d, ok := a.spreadNamed.eval(c).(*Dict)
		if !ok {
			raise("argument after ** must be a mapping")
		}
		for i, key := range d.keys {
			s, ok := key.(Str)
			if !ok {
				raise("keywords must be strings")
			}
			out.named = append(out.named, namedValue{s.S, d.values[i]})
		}
	}
	return out
}

func invoke(c *context, f Value, a arguments) Value {
	switch f := f.(type) {
	case *function:
		return f.call(c, a)
	case *loop:
		if f.recurse == nil {
			raise("The loop must have the 'recursive' marker to be called recursively.")
		}
		values, _ := a.bind("loop", "iterable")
		return f.recurse(c, iterate(values[0]), f.depth+1)
	}
	refuse(f)
	raise("'%s' object is not callable", typeName(f))
	return nil
}

func (n *filter) eval(c *context) Value { return n.apply(c, n.x.eval(c)) }

func (n *filter) apply(c *context, v Value) Value {
	c.run.step()
	return applyFilter(c, n.name, v, n.args.eval(c))
}

func (n *test) eval(c *context) Value {
	c.run.step()
	return applyTest(c, n.name, n.x.eval(c), n.args.eval(c))
}
