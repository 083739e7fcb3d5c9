package jinja

// attrOf is an attribute of a value: for data a method, which is bound to it.
func attrOf(x Value, name string) (Value, bool) {
	switch x := x.(type) {
	case Str:
		if f, ok := strMethods[name]; ok {
			return bound(name, func(a arguments) Value { return f(x, a) })
		}
	case *Dict:
		if f, ok := dictMethods[name]; ok {
			return bound(name, func(a arguments) Value { return f(x, a) })
		}
		return blocked(name, "dict", "clear", "pop", "popitem", "setdefault", "update")
	case *List:
		if f, ok := listMethods[name]; ok && !x.isView() {
			return bound(name, func(a arguments) Value { return f(x, a) })
		}
		if x.kind == isList {
			return blocked(name, "list", "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")
		}
	case *namespace:
		return x.vars.get(name)
	case *loop:
		return x.attr(name)
	case *cycler:
		return x.attr(name)
	case *function:
		if name == "name" {
			return Str{S: x.name}, true
		}
	case int64, bool:
		if name == "real" {
			return x, true
		}
	case float64:
		if name == "is_integer" {
			return bound(name, func(arguments) Value { return x == float64(int64(x)) })
		}
	}
	return nil, false
}

func bound(name string, f func(arguments) Value) (Value, bool) {
	return &function{name, func(_ *context, a arguments) Value { return f(a) }}, true
}

// blocked are the methods that change data: the immutable sandbox refuses to call them.
func blocked(name, kind string, names ...string) (Value, bool) {
	for _, n := range names {
		if n == name {
			return Undefined{"access to attribute '" + name + "' of '" + kind + "' object is unsafe."}, true
		}
	}
	return nil, false
}

var dictMethods = map[string]func(*Dict, arguments) Value{
	"items": func(d *Dict, a arguments) Value {
		a.bind("items")
		out := &List{kind: isItems}
		for i, key := range d.keys {
			out.Items = append(out.Items, &List{Items: []Value{key, d.values[i]}, kind: isTuple})
		}
		return out
	},
	"keys": func(d *Dict, a arguments) Value {
		a.bind("keys")
		return &List{Items: d.keys, kind: isKeys}
	},
	"values": func(d *Dict, a arguments) Value {
		a.bind("values")
		return &List{Items: d.values, kind: isValues}
	},
	"get": func(d *Dict, a arguments) Value {
		if len(a.named) > 0 || len(a.list) == 0 || len(a.list) > 2 {
			raise("get expected at least 1 argument and at most 2, got %d", len(a.list)+len(a.named))
		}
		if v, ok := d.Get(a.list[0]); ok {
			return v
		}
		if len(a.list) == 2 {
			return a.list[1]
		}
		return nil
	},
	"copy": func(d *Dict, a arguments) Value {
		a.bind("copy")
		out := NewDict()
		update(out, d)
		return out
	},
}

var listMethods = map[string]func(*List, arguments) Value{
	"index": func(l *List, a arguments) Value {
		values, _ := a.bind("index", "value")
		for i, item := range l.Items {
			if equal(item, values[0]) {
				return int64(i)
			}
		}
		raise("%s is not in list", repr(values[0]))
		return nil
	},
	"count": func(l *List, a arguments) Value {
		values, _ := a.bind("count", "value")
		n := 0
		for _, item := range l.Items {
			if equal(item, values[0]) {
				n++
			}
		}
		return int64(n)
	},
	"copy": func(l *List, a arguments) Value {
		a.bind("copy")
		return &List{Items: append([]Value{}, l.Items...), kind: l.kind}
	},
}
