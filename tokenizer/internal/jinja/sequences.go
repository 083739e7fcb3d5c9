package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// attributeOf makes a function of a path such as "function.name" or 0: what attribute= means to many filters.
func attributeOf(path Value, fallback Value, hasFallback bool) func(Value) Value {
	var keys []Value
	switch p := path.(type) {
	case nil:
	case Str:
		for _, part := range strings.Split(p.S, ".") {
			if n, err := strconv.Atoi(part); err == nil && n >= 0 {
				keys = append(keys, int64(n))
			} else {
				keys = append(keys, Str{S: part})
			}
		}
	default:
		keys = []Value{path}
	}
	return func(v Value) Value {
		for _, key := range keys {
			v = getItem(v, key)
			if _, undefined := v.(Undefined); undefined && hasFallback {
				return fallback
			}
		}
		return v
	}
}

// ordering gives the key that sorting compares by: without case_sensitive strings in lower case.
func ordering(path Value, sensitive bool) func(Value) Value {
	attribute := attributeOf(path, nil, false)
	return func(v Value) Value {
		v = attribute(v)
		if s, ok := v.(Str); ok && !sensitive {
			return Str{S: strings.ToLower(s.S)}
		}
		return v
	}
}

func filterSort(_ *context, v Value, a arguments) Value {
	values, _ := a.bind("sort", "reverse", "case_sensitive", "attribute")
	keys := []func(Value) Value{ordering(values[2], truth(values[1]))}
	if s, ok := values[2].(Str); ok && strings.Contains(s.S, ",") {
		keys = nil
		for _, part := range strings.Split(s.S, ",") {
			keys = append(keys, ordering(Str{S: part}, truth(values[1])))
		}
	}
	out := append([]Value{}, iterate(v)...)
	sortBy(out, keys, truth(values[0]))
	return NewList(out...)
}

func sortBy(items []Value, keys []func(Value) Value, reversed bool) {
	slices.SortStableFunc(items, func(x, y Value) int {
		for _, key := range keys {
			a, b := key(x), key(y)
			if equal(a, b) {
				continue
			}
			order := compare("<", a, b)
			if reversed {
				order = -order
			}
			return order
		}
		return 0
	})
}

func filterDictSort(_ *context, v Value, a arguments) Value {
	values, given := a.bind("dictsort", "case_sensitive", "by", "reverse")
	by := "key"
	if given[1] {
		by = toStr(values[1]).S
	}
	at := Value(int64(0))
	switch by {
	case "key":
	case "value":
		at = int64(1)
	default:
		raise(`You can only sort by either "key" or "value"`)
	}
	d, ok := v.(*Dict)
	if !ok {
		refuse(v)
		raise("'%s' object has no attribute 'items'", typeName(v))
	}
	pairs := dictMethods["items"](d, arguments{}).(*List).Items
	sortBy(pairs, []func(Value) Value{ordering(at, truth(values[0]))}, truth(values[2]))
	return NewList(pairs...)
}

func filterUnique(_ *context, v Value, a arguments) Value {
	values, _ := a.bind("unique", "case_sensitive", "attribute")
	key := ordering(values[1], truth(values[0]))
	seen := map[string]bool{}
	out := &generator{}
	for _, item := range iterate(v) {
		if h := hash(key(item)); !seen[h] {
			seen[h] = true
			out.items = append(out.items, item)
		}
	}
	return out
}

func extreme(_ *context, name string, v Value, a arguments, sign int) Value {
	values, _ := a.bind(name, "case_sensitive", "attribute")
	key := ordering(values[1], truth(values[0]))
	items := iterate(v)
	if len(items) == 0 {
		return Undefined{"No aggregated item, sequence was empty."}
	}
	best := items[0]
	for _, item := range items[1:] {
		if compare("<", key(item), key(best))*sign > 0 {
			best = item
		}
	}
	return best
}

func filterSum(_ *context, v Value, a arguments) Value {
	values, given := a.bind("sum", "attribute", "start")
	total := Value(int64(0))
	if given[1] {
		total = values[1]
	}
	attribute := attributeOf(values[0], nil, false)
	for _, item := range iterate(v) {
		total = operate("+", total, attribute(item))
	}
	return total
}

func filterJoin(_ *context, v Value, a arguments) Value {
	values, given := a.bind("join", "d", "attribute")
	var sep Str
	if given[0] {
		sep = toStr(values[0])
	}
	attribute := attributeOf(values[1], nil, false)
	var b builder
	for i, item := range iterate(v) {
		if i > 0 {
			b.add(sep)
		}
		b.add(toStr(attribute(item)))
	}
	return b.str()
}

// filterMap is map('filter', args…) or map(attribute=…, default=…).
func filterMap(c *context, v Value, a arguments) Value {
	var f func(Value) Value
	if len(a.list) == 0 {
		values, given := a.bind("map", "attribute", "default")
		if !given[0] {
			raise("map requires a filter argument")
		}
		f = attributeOf(values[0], values[1], given[1])
	} else {
		name, rest := toStr(a.list[0]).S, arguments{a.list[1:], a.named}
		f = func(v Value) Value { return applyFilter(c, name, v, rest) }
	}
	out := &generator{}
	if _, undefined := v.(Undefined); undefined {
		return out
	}
	for _, item := range iterate(v) {
		out.items = append(out.items, f(item))
	}
	return out
}

// filterSelect is select and reject, and with attr selectattr and rejectattr.
func filterSelect(c *context, v Value, a arguments, attr, keep bool) Value {
	list := a.list
	of := func(v Value) Value { return v }
	if attr {
		if len(list) == 0 {
			raise("Missing parameter for attribute name")
		}
		of, list = attributeOf(list[0], nil, false), list[1:]
	}
	is := truth
	if len(list) > 0 {
		name, rest := toStr(list[0]).S, arguments{list[1:], a.named}
		is = func(v Value) bool { return applyTest(c, name, v, rest) }
	}
	out := &generator{}
	for _, item := range iterate(v) {
		if is(of(item)) == keep {
			out.items = append(out.items, item)
		}
	}
	return out
}

func filterGroupBy(_ *context, v Value, a arguments) Value {
	values, given := a.bind("groupby", "attribute", "default", "case_sensitive")
	of := attributeOf(values[0], values[1], given[1])
	key := func(v Value) Value {
		v = of(v)
		if s, ok := v.(Str); ok && !truth(values[2]) {
			return Str{S: strings.ToLower(s.S)}
		}
		return v
	}
	all := append([]Value{}, iterate(v)...)
	sortBy(all, []func(Value) Value{key}, false)
	out := NewList()
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && equal(key(all[j]), key(all[i])) {
			j++
		}
		group := &List{Items: []Value{of(all[i]), NewList(all[i:j]...)}, kind: isTuple}
		out.Items = append(out.Items, group)
		i = j
	}
	return out
}

func filterBatch(_ *context, v Value, a arguments) Value {
	values, given := a.bind("batch", "linecount", "fill_with")
	n, ok := small(values[0])
	if !ok || n < 1 {
		raise("batch needs a count")
	}
	out := &generator{}
	all := iterate(v)
	for i := 0; i < len(all); i += n {
		row := append([]Value{}, all[i:min(i+n, len(all))]...)
		for given[1] && values[1] != nil && len(row) < min(n, maxRange) {
			row = append(row, values[1])
		}
		out.items = append(out.items, NewList(row...))
	}
	return out
}

func filterSlice(_ *context, v Value, a arguments) Value {
	values, given := a.bind("slice", "slices", "fill_with")
	n, ok := small(values[0])
	if !ok || n < 1 || n > maxRange {
		raise("slice needs a count")
	}
	out := &generator{}
	all := iterate(v)
	size, extra, at := len(all)/n, len(all)%n, 0
	for i := range n {
		end := at + size
		if i < extra {
			end++
		}
		row := append([]Value{}, all[at:end]...)
		if given[1] && values[1] != nil && i >= extra && extra > 0 {
			row = append(row, values[1])
		}
		at = end
		out.items = append(out.items, NewList(row...))
	}
	return out
}
