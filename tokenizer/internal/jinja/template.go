package jinja

import (
	"maps"
	"time"
	"unicode/utf8"
)

// Template is a compiled template. It is safe for concurrent use.
type Template struct {
	body       []stmt
	generation bool
}

// Parse compiles a template.
func Parse(source string) (t *Template, err error) {
	defer caught(&err, func() int { return 0 })
	p := &parser{tokens: lex(source)}
	t = &Template{}
	t.body = p.body()
	t.generation = p.gens
	return t, nil
}

// HasGeneration tells whether the template marks what the model generates, with {% generation %}.
func (t *Template) HasGeneration() bool { return t.generation }

// Options of one rendering.
type Options struct {
	Now func() time.Time // the clock of strftime_now; nil is time.Now
}

// Output is a rendered template.
type Output struct {
	Text        string
	Marks       []Mark   // the parts that came from data
	Generations [][2]int // of each {% generation %}: its range in code points, as the reference counts it
	GenBytes    [][2]int // where their text is, in bytes; without those that hold none
}

// Render runs a template over its variables.
func (t *Template) Render(vars map[string]Value, o Options) (out Output, err error) {
	r := &run{now: o.Now, began: time.Now()}
	if r.now == nil {
		r.now = time.Now
	}
	defer caught(&err, func() int { return r.line })
	top := &scope{table: maps.Clone(vars), parent: globals}
	r.root = &output{run: r}
	execAll(&context{r, top}, t.body, r.root)
	text := r.root.str()
	return Output{text.S, text.marks, r.points, blockRanges(text.gens)}, nil
}

// blockRanges joins the marks of each block.
func blockRanges(gens []Mark) [][2]int {
	var out [][2]int
	last := 0
	for _, m := range gens {
		if m.Source == last {
			out[len(out)-1][1] = m.End
		} else {
			out = append(out, [2]int{m.Start, m.End})
		}
		last = m.Source
	}
	return out
}

// run is one rendering.
type run struct {
	root   *output
	now    func() time.Time
	began  time.Time
	line   int
	steps  int
	depth  int
	points [][2]int
	blocks int // {% generation %} blocks so far
}

// Bounds of one rendering: what a hostile template can cost.
const (
	maxSteps  = 3_000_000
	maxTime   = 2 * time.Second // few steps can cost much, on long strings
	maxOutput = 16 << 20        // bytes, of the result and of any string
	maxItems  = 1_000_000       // of any list
	maxDepth  = 400             // of calls
)

func (r *run) step() {
	if r.steps++; r.steps > maxSteps {
		raise("the template runs for more than %d steps", maxSteps)
	}
	if r.steps%64 == 0 && time.Since(r.began) > maxTime {
		raise("the template runs for more than %v", maxTime)
	}
}

// call runs f one level deeper.
func (r *run) call(f func() Value) Value {
	if r.depth++; r.depth > maxDepth {
		raise("maximum recursion depth exceeded")
	}
	defer func() { r.depth-- }()
	return f()
}

// context is where an expression is evaluated.
type context struct {
	run   *run
	scope *scope
}

// inner is a context whose assignments are not seen outside.
func (c *context) inner() *context { return &context{c.run, &scope{parent: c.scope}} }

// scope holds variables. Most have a handful, which a walk finds faster than a map does.
type scope struct {
	names  []string
	values []Value
	table  map[string]Value // in place of the lists, once there are many
	parent *scope
}

const manyNames = 12

func (s *scope) get(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		if s.table != nil {
			if v, ok := s.table[name]; ok {
				return v, true
			}
			continue
		}
		for i, n := range s.names {
			if n == name {
				return s.values[i], true
			}
		}
	}
	return nil, false
}

func (s *scope) set(name string, v Value) {
	if s.table != nil {
		s.table[name] = v
		return
	}
	for i, n := range s.names {
		if n == name {
			s.values[i] = v
			return
		}
	}
	if len(s.names) < manyNames {
		s.names, s.values = append(s.names, name), append(s.values, v)
		return
	}
	s.table = map[string]Value{name: v}
	for i, n := range s.names {
		s.table[n] = s.values[i]
	}
}

// output collects text.
type output struct {
	builder
	run    *run
	points int // code points so far
}

func (o *output) write(s Str) {
	o.add(s)
	o.points += utf8.RuneCountInString(s.S)
}

func execAll(c *context, body []stmt, out *output) signal {
	for _, s := range body {
		c.run.step()
		if how := s.exec(c, out); how != goOn {
			return how
		}
	}
	return goOn
}

// capture is the text of a body.
func capture(c *context, body []stmt) Str {
	out := &output{run: c.run}
	if execAll(c, body, out) != goOn {
		raise("'break' or 'continue' outside loop")
	}
	return out.str()
}
