package pattern

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// inst is one step of a compiled pattern.
type inst struct {
	code  code
	set   *set
	x, y  int32   // targets of jumps and forks; the fork tries x first
	sub   program // of a look-around or an atomic group
	plain program // the same without runs
	min   int     // of a run
	node  *node
}

type code uint8

const (
	codeMatch code = iota
	codeSet
	codeJump
	codeFork
	codeAssert
	codeLook
	codeAtomic
	codeRun // greedy repetition of a set
)

// program is a pattern compiled for a backtracking matcher.
type program []inst

// maxProgram bounds what nested repeat counts can blow a pattern up to.
const maxProgram = 50_000

func compile(n *node, runs bool) program {
	return (&compiler{runs: runs, subs: map[subKey]program{}}).compile(n)
}

func (c *compiler) compile(n *node) program {
	c.emit(n)
	c.add(inst{code: codeMatch})
	return c.program
}

// compiler writes a program. With runs the repetition of a set is one instruction, which is fast; without, every
// character is a state of its own, which is what bounds the time of hostile patterns.
type compiler struct {
	program program
	runs    bool
	subs    map[subKey]program // each group is compiled once, however often it is repeated
}

type subKey struct {
	n    *node
	runs bool
}

// sub compiles the content of a look-around or an atomic group.
func (c *compiler) sub(n *node, runs bool) program {
	key := subKey{n, runs}
	p, ok := c.subs[key]
	if !ok {
		p = (&compiler{runs: runs, subs: c.subs}).compile(n)
		c.subs[key] = p
	}
	return p
}

func (c *compiler) add(i inst) int {
	if len(c.program) > maxProgram {
		panic(syntaxError("the pattern is too large"))
	}
	c.program = append(c.program, i)
	return len(c.program) - 1
}

func (c *compiler) emit(n *node) {
	switch n.op {
	case opEmpty:
	case opSet:
		c.add(inst{code: codeSet, set: n.set})
	case opCat:
		for _, sub := range n.subs {
			c.emit(sub)
		}
	case opAlt:
		c.alternatives(n.subs)
	case opRepeat:
		c.repeat(n)
	case opLook:
		c.add(inst{code: codeLook, sub: c.sub(n.subs[0], c.runs), plain: c.sub(n.subs[0], false), node: n})
	case opAtomic:
		c.add(inst{code: codeAtomic, sub: c.sub(n.subs[0], c.runs), plain: c.sub(n.subs[0], false)})
	default:
		c.add(inst{code: codeAssert, node: n})
	}
}

func (c *compiler) alternatives(subs []*node) {
	var ends []int
	for i, sub := range subs {
		if i == len(subs)-1 {
			c.emit(sub)
			break
		}
		fork := c.add(inst{code: codeFork})
		c.program[fork].x = int32(len(c.program))
		c.emit(sub)
		ends = append(ends, c.add(inst{code: codeJump}))
		c.program[fork].y = int32(len(c.program))
	}
	for _, end := range ends {
		c.program[end].x = int32(len(c.program))
	}
}

func (c *compiler) repeat(n *node) {
	if c.runs && n.subs[0].op == opSet && n.max < 0 && !n.lazy {
		c.add(inst{code: codeRun, set: n.subs[0].set, min: n.min})
		return
	}
	for range n.min {
		c.emit(n.subs[0])
	}
	if n.max < 0 {
		fork := c.add(inst{code: codeFork})
		body := int32(len(c.program))
		c.emit(n.subs[0])
		c.add(inst{code: codeJump, x: int32(fork)})
		c.fork(fork, body, int32(len(c.program)), n.lazy)
		return
	}
	var forks []int
	for range n.max - n.min {
		forks = append(forks, c.add(inst{code: codeFork}))
		c.emit(n.subs[0])
	}
	for _, fork := range forks {
		c.fork(fork, int32(fork+1), int32(len(c.program)), n.lazy)
	}
}

func (c *compiler) fork(at int, body, after int32, lazy bool) {
	if lazy {
		body, after = after, body
	}
	c.program[at].x, c.program[at].y = body, after
}

// state is a place in the program and in the text. A run that may give back characters, down to low, is kept as the
// state behind it.
type state struct{ pc, at, low int32 }

// search is one Find. Whether a state leads to a match depends on nothing else (there are no back-references), so
// one that failed need not be tried again, and a group gives the same result wherever it is asked for. Where an attempt
// takes many steps, both are remembered from then on, and the time is bounded whatever the pattern.
type search struct {
	s       string
	steps   int
	memory  bool
	results map[groupAt]int // of groups, with memory
}

type groupAt struct {
	in *inst
	at int32
}

const (
	maxSteps  = 20_000    // what an attempt, with its groups, may take without memory
	maxSearch = 5_000_000 // what a search may take with it: about a second
)

// over tells that the steps are used up: the attempt is given up, to be made again with memory; with memory, the search.
func (f *search) over() bool { return f.steps > maxSteps && (!f.memory || f.steps > maxSearch) }

// matcher runs one program.
type matcher struct {
	*search
	own   search // of the matcher that begins one
	stack []state
	tried map[[2]int32]struct{} // with memory
}

// pop takes the last choice left open. One of a run gives back a character more, and stays while it can.
func (m *matcher) pop(s string) state {
	last := len(m.stack) - 1
	top := &m.stack[last]
	out := state{pc: top.pc, at: top.at}
	if top.at == top.low {
		m.stack = m.stack[:last]
		return out
	}
	_, n := utf8.DecodeLastRuneInString(s[:top.at])
	top.at -= int32(n)
	return out
}

// match gives the end of the match that begins at start, −1 if there is none or the search is over.
func (m *matcher) match(p program, start int) int {
	m.stack = append(m.stack[:0], state{0, int32(start), int32(start)})
	for len(m.stack) > 0 {
		top := m.pop(m.s)
		for alive := true; alive; {
			if m.memory && m.seen(top) {
				break
			}
			if m.steps++; m.steps > maxSteps && m.over() {
				return -1
			}
			in := &p[top.pc]
			if in.code == codeMatch {
				return int(top.at)
			}
			top, alive = m.step(in, m.s, top)
		}
	}
	return -1
}

// seen tells whether a state was tried, and notes it.
func (m *matcher) seen(at state) bool {
	place := [2]int32{at.pc, at.at}
	_, seen := m.tried[place]
	m.tried[place] = struct{}{}
	return seen
}

func (m *matcher) step(in *inst, s string, at state) (state, bool) {
	switch in.code {
	case codeSet:
		if int(at.at) >= len(s) {
			return at, false
		}
		r, n := rune(s[at.at]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[at.at:])
		}
		return state{pc: at.pc + 1, at: at.at + int32(n)}, in.set.has(r)
	case codeRun:
		return m.run(in, s, at)
	case codeJump:
		return state{pc: in.x, at: at.at}, true
	case codeFork:
		m.stack = append(m.stack, state{in.y, at.at, at.at})
		return state{pc: in.x, at: at.at}, true
	case codeAtomic:
		end := m.group(in, at.at)
		return state{pc: at.pc + 1, at: int32(end)}, end >= 0
	case codeLook:
		return state{pc: at.pc + 1, at: at.at}, m.look(in, int(at.at))
	}
	return state{pc: at.pc + 1, at: at.at}, holds(in.node.op, s, int(at.at))
}

// run takes as many characters of a set as there are, and leaves it open to give some back.
func (m *matcher) run(in *inst, s string, from state) (state, bool) {
	at, low, count := from.at, from.at, 0
	for int(at) < len(s) {
		r, n := rune(s[at]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[at:])
		}
		if !in.set.has(r) {
			break
		}
		at += int32(n)
		if count++; count == in.min {
			low = at
		}
	}
	if at > low {
		_, n := utf8.DecodeLastRuneInString(s[:at])
		m.stack = append(m.stack, state{from.pc + 1, at - int32(n), low})
	}
	return state{pc: from.pc + 1, at: at}, count >= in.min
}

// matchers are kept for their memory.
var matchers = sync.Pool{New: func() any { return &matcher{} }}

func newMatcher(f *search) *matcher {
	m := matchers.Get().(*matcher)
	if m.search, m.tried = f, nil; f.memory {
		m.tried = map[[2]int32]struct{}{}
	}
	return m
}

func (m *matcher) free() {
	m.search, m.tried, m.own = nil, nil, search{}
	matchers.Put(m)
}

// group runs the sub-program of a look-around or an atomic group.
func (m *matcher) group(in *inst, at int32) int {
	if end, known := m.results[groupAt{in, at}]; known {
		return end
	}
	inner := newMatcher(m.search)
	defer inner.free()
	if !m.memory {
		return inner.match(in.sub, int(at))
	}
	end := inner.match(in.plain, int(at))
	m.results[groupAt{in, at}] = end
	return end
}

func (m *matcher) look(in *inst, at int) bool {
	start := at
	if in.node.behind {
		n, _ := width(in.node.subs[0])
		for ; n > 0; n-- {
			if start == 0 {
				return in.node.negative
			}
			_, size := utf8.DecodeLastRuneInString(m.s[:start])
			start -= size
		}
	}
	return m.group(in, int32(start)) >= 0 != in.node.negative
}

func holds(o op, s string, at int) bool {
	switch o {
	case opLineStart:
		return at == 0 || s[at-1] == '\n' && at < len(s)
	case opLineEnd:
		return at == len(s) || s[at] == '\n'
	case opTextStart:
		return at == 0
	case opTextEnd:
		return at == len(s)
	case opTextEndNewline:
		return at == len(s) || at == len(s)-1 && s[at] == '\n'
	}
	before, _ := utf8.DecodeLastRuneInString(s[:at])
	after, _ := utf8.DecodeRuneInString(s[at:])
	edge := (at > 0 && unidata.IsWord(before)) != (at < len(s) && unidata.IsWord(after))
	return edge == (o == opWordEdge)
}

// Regexp is a compiled pattern. It is safe for concurrent use.
type Regexp struct{ fast, plain program }

// Compile reads a pattern in Oniguruma's Ruby dialect.
func Compile(pattern string) (re *Regexp, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	n, err := parse(pattern)
	if err != nil {
		return nil, err
	}
	return &Regexp{compile(n, true), compile(n, false)}, nil
}

// Find gives the first match at or after from: −1, −1 if there is none, or if finding it takes too long: then the rest
// of the text is one piece.
func (re *Regexp) Find(s string, from int) (start, end int) {
	m := matchers.Get().(*matcher)
	m.own.s, m.search, m.tried = s, &m.own, nil
	defer m.free()
	f := m.search
	program, first := re.fast, &re.fast[0]
	for at := from; at <= len(s); {
		if first.code == codeSet || first.code == codeRun && first.min > 0 { // skip to where it can begin
			n := strings.IndexFunc(s[at:], first.set.has)
			if n < 0 {
				return -1, -1
			}
			at += n
		}
		if !f.memory {
			f.steps = 0
		}
		end := m.match(program, at)
		if f.over() && !f.memory { // from here on with memory, which later attempts share
			f.memory, f.results = true, map[groupAt]int{}
			program, m.tried = re.plain, map[[2]int32]struct{}{}
			end = m.match(program, at)
		}
		switch {
		case f.over():
			return -1, -1
		case end >= 0:
			return at, end
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		at += max(n, 1)
	}
	return -1, -1
}
