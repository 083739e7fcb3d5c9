package pattern

import (
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// inst is one step of a compiled pattern.
type inst struct {
	code code
	set  *set
	x, y int32    // targets of jumps and forks; the fork tries x first
	sub  *program // of a look-around or an atomic group
	node *node
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
)

// program is a pattern compiled for a backtracking matcher.
type program []inst

// maxProgram bounds what nested repeat counts can blow a pattern up to.
const maxProgram = 50_000

func compile(n *node) *program {
	p := &program{}
	p.emit(n)
	p.add(inst{code: codeMatch})
	return p
}

func (p *program) add(i inst) int {
	if len(*p) > maxProgram {
		panic(syntaxError("the pattern is too large"))
	}
	*p = append(*p, i)
	return len(*p) - 1
}

func (p *program) emit(n *node) {
	switch n.op {
	case opEmpty:
	case opSet:
		p.add(inst{code: codeSet, set: n.set})
	case opCat:
		for _, sub := range n.subs {
			p.emit(sub)
		}
	case opAlt:
		p.alternatives(n.subs)
	case opRepeat:
		p.repeat(n)
	case opLook:
		p.add(inst{code: codeLook, sub: compile(n.subs[0]), node: n})
	case opAtomic:
		p.add(inst{code: codeAtomic, sub: compile(n.subs[0])})
	default:
		p.add(inst{code: codeAssert, node: n})
	}
}

func (p *program) alternatives(subs []*node) {
	var ends []int
	for i, sub := range subs {
		if i == len(subs)-1 {
			p.emit(sub)
			break
		}
		fork := p.add(inst{code: codeFork})
		(*p)[fork].x = int32(len(*p))
		p.emit(sub)
		ends = append(ends, p.add(inst{code: codeJump}))
		(*p)[fork].y = int32(len(*p))
	}
	for _, end := range ends {
		(*p)[end].x = int32(len(*p))
	}
}

func (p *program) repeat(n *node) {
	for range n.min {
		p.emit(n.subs[0])
	}
	if n.max < 0 {
		fork := p.add(inst{code: codeFork})
		body := int32(len(*p))
		p.emit(n.subs[0])
		p.add(inst{code: codeJump, x: int32(fork)})
		p.fork(fork, body, int32(len(*p)), n.lazy)
		return
	}
	var forks []int
	for range n.max - n.min {
		forks = append(forks, p.add(inst{code: codeFork}))
		p.emit(n.subs[0])
	}
	for _, fork := range forks {
		p.fork(fork, int32(fork+1), int32(len(*p)), n.lazy)
	}
}

func (p *program) fork(at int, body, after int32, lazy bool) {
	if lazy {
		body, after = after, body
	}
	(*p)[at].x, (*p)[at].y = body, after
}

// state is a place in the program and in the text.
type state struct{ pc, at int32 }

// matcher runs a program. Whether a state leads to a match depends on nothing else (there are no back-references), so
// one that failed need not be tried again: past a number of steps the states tried are remembered, and the time is
// bounded by the length of the program times that of the text, whatever the pattern.
type matcher struct {
	stack []state
	tried map[state]struct{}
}

const stepsBeforeMemo = 2000

// match gives the end of the match that begins at start, −1 if there is none.
func (m *matcher) match(p program, s string, start int) int {
	m.stack = append(m.stack[:0], state{0, int32(start)})
	steps := 0
	for len(m.stack) > 0 {
		top := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		for alive := true; alive; {
			if steps++; steps > stepsBeforeMemo || len(m.tried) > 0 {
				if _, seen := m.tried[top]; seen {
					break
				}
				if m.tried == nil {
					m.tried = map[state]struct{}{}
				}
				m.tried[top] = struct{}{}
			}
			in := &p[top.pc]
			if in.code == codeMatch {
				return int(top.at)
			}
			top, alive = m.step(in, s, top)
		}
	}
	return -1
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
		return state{at.pc + 1, at.at + int32(n)}, in.set.has(r)
	case codeJump:
		return state{in.x, at.at}, true
	case codeFork:
		m.stack = append(m.stack, state{in.y, at.at})
		return state{in.x, at.at}, true
	case codeAtomic:
		end := new(matcher).match(*in.sub, s, int(at.at))
		return state{at.pc + 1, int32(end)}, end >= 0
	case codeLook:
		return state{at.pc + 1, at.at}, look(in, s, int(at.at))
	}
	return state{at.pc + 1, at.at}, holds(in.node.op, s, int(at.at))
}

func look(in *inst, s string, at int) bool {
	start := at
	if in.node.behind {
		n, _ := width(in.node.subs[0])
		for ; n > 0; n-- {
			if start == 0 {
				return in.node.negative
			}
			_, size := utf8.DecodeLastRuneInString(s[:start])
			start -= size
		}
	}
	end := new(matcher).match(*in.sub, s, start)
	return end >= 0 != in.node.negative
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
type Regexp struct {
	program program
}

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
	return &Regexp{program: *compile(n)}, nil
}

// Find gives the first match at or after from: −1, −1 if there is none.
func (re *Regexp) Find(s string, from int) (start, end int) {
	var m matcher
	first := &re.program[0]
	for at := from; at <= len(s); {
		if first.code == codeSet { // skip to where it can begin
			n := strings.IndexFunc(s[at:], first.set.has)
			if n < 0 {
				return -1, -1
			}
			at += n
		}
		if end := m.match(re.program, s, at); end >= 0 {
			return at, end
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		at += max(n, 1)
	}
	return -1, -1
}
