package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// matcher finds added tokens in a text: at each place the longest one that begins there.
type matcher struct {
	tokens []*addedToken
	nodes  []matchNode
	first  [256]bool // bytes that a token begins with
	only   int       // the one such byte, −1 where there are several
	plain  *matcher  // the same without control tokens; nil where there are no others
}

type matchNode struct {
	edges []matchEdge // few: a walk beats a map
	token *addedToken
}

type matchEdge struct {
	b  byte
	to int32
}

// next is the node below, −1 if there is none.
func (n *matchNode) next(b byte) int32 {
	for _, e := range n.edges {
		if e.b == b {
			return e.to
		}
	}
	return -1
}

// newMatcher builds one; text gives the form in which a token is looked for. No tokens give nil.
func newMatcher(tokens []*addedToken, text func(*addedToken) string) *matcher {
	m := &matcher{nodes: []matchNode{{}}, only: -1}
	for _, token := range tokens {
		if s := text(token); s != "" {
			m.add(s, token)
		}
	}
	if len(m.tokens) == 0 {
		return nil
	}
	count := 0
	for b, is := range m.first {
		if is {
			m.only = b
			count++
		}
	}
	if count > 1 {
		m.only = -1
	}
	return m
}

func (m *matcher) add(s string, token *addedToken) {
	m.tokens = append(m.tokens, token)
	m.first[s[0]] = true
	at := int32(0)
	for i := range len(s) {
		next := m.nodes[at].next(s[i])
		if next < 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, matchNode{})
			m.nodes[at].edges = append(m.nodes[at].edges, matchEdge{s[i], next})
		}
		at = next
	}
	m.nodes[at].token = token
}

// find gives the next token at or after from: its range, −1 if there is none.
func (m *matcher) find(s string, from int) (start, end int, token *addedToken) {
	for i := from; i < len(s); i++ {
		if m.only >= 0 {
			n := strings.IndexByte(s[i:], byte(m.only))
			if n < 0 {
				break
			}
			i += n
		} else if !m.first[s[i]] {
			continue
		}
		if end, token := m.longest(s, i); token != nil {
			return i, end, token
		}
	}
	return -1, -1, nil
}

func (m *matcher) longest(s string, i int) (end int, token *addedToken) {
	at := int32(0)
	for ; i < len(s); i++ {
		next := m.nodes[at].next(s[i])
		if next < 0 {
			break
		}
		at = next
		if t := m.nodes[at].token; t != nil {
			end, token = i+1, t
		}
	}
	return end, token
}

// longestAt is longest, for a matcher that may be nil.
func (m *matcher) longestAt(s string, i int) (end int, token *addedToken) {
	if m == nil {
		return -1, nil
	}
	return m.longest(s, i)
}

// part is a stretch of text: an added token, or text between them.
type part struct {
	start, end int
	token      *addedToken // nil for text
}

// parts cuts a text at the added tokens. forbid, when given, refuses control tokens.
func (m *matcher) parts(dst []part, s string, forbid func(start, end int) bool) []part {
	done := 0 // what is given out so far
	for from := 0; m != nil; {
		start, end, token := m.find(s, from)
		if token == nil {
			break
		}
		if forbid != nil && token.Special && forbid(start, end) {
			if end, token = m.plain.longestAt(s, start); token == nil {
				from = start + 1
				continue
			}
		}
		if token.SingleWord && insideWord(s, start, end) {
			from = end
			continue
		}
		from = end
		if token.LStrip {
			start = max(len(strings.TrimRightFunc(s[:start], unidata.IsSpace)), done)
		}
		if token.RStrip {
			end = len(s) - len(strings.TrimLeftFunc(s[end:], unidata.IsSpace))
		}
		if done < start {
			dst = append(dst, part{done, start, nil})
		}
		dst = append(dst, part{start, end, token})
		done = end
	}
	if done < len(s) {
		dst = append(dst, part{done, len(s), nil})
	}
	return dst
}

// insideWord tells whether a word goes on before or after the range.
func insideWord(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	return start > 0 && unidata.IsWordStrict(before) || end < len(s) && unidata.IsWordStrict(after)
}

// matchers are the two passes in which added tokens are found: before normalization, and after it.
type matchers struct{ before, after *matcher }

// newMatchers builds both passes over the tokens for which keep is true.
func newMatchers(tokens []*addedToken, normalized func(string) string, keep func(*addedToken) bool) matchers {
	var before, after []*addedToken
	for _, token := range tokens {
		switch {
		case !keep(token):
		case token.Normalized:
			after = append(after, token)
		default:
			before = append(before, token)
		}
	}
	return matchers{
		newMatcher(before, func(a *addedToken) string { return a.Content }),
		newMatcher(after, func(a *addedToken) string { return normalized(a.Content) }),
	}
}

// link gives the passes over all tokens those without control tokens.
func (m matchers) link(plain matchers) {
	if m.before != nil {
		m.before.plain = plain.before
	}
	if m.after != nil {
		m.after.plain = plain.after
	}
}

// sortAdded puts the tokens in the order of their ids.
func sortAdded(tokens []*addedToken) {
	slices.SortStableFunc(tokens, func(a, b *addedToken) int { return cmp.Compare(a.ID, b.ID) })
}
