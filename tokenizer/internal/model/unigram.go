package model

import (
	"math"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// Piece is an entry of a Unigram vocabulary; its id is its place in the list.
type Piece struct {
	Text  string
	Score float64 // log-probability
}

// Unigram cuts a piece into the tokens of largest total log-probability (Kudo 2018).
type Unigram struct {
	pieces   []Piece
	trie     *trie
	unk      int32 // −1 if none
	unkScore float64
	fallback [256]int32 // the byte tokens, −1 without
}

// unkPenalty is how far below the worst token an unknown character scores.
const unkPenalty = 10

// NewUnigram builds the tables. fallback gives the token of a byte, nil when unknown characters stay unknown.
func NewUnigram(pieces []Piece, unk int32, fallback func(byte) (int32, bool)) (*Unigram, error) {
	m := &Unigram{pieces: pieces, trie: newTrie(), unk: unk}
	if int(unk) >= len(pieces) {
		return nil, fault.New(fault.BadValue, "model.unk_id", "is %d; the vocabulary has %d entries", unk, len(pieces))
	}
	size, worst := 0, math.Inf(1)
	for i, p := range pieces {
		if size += len(p.Text); size > maxTrieBytes {
			return nil, fault.New(fault.BadValue, "model.vocab", "has more than %d bytes of text", maxTrieBytes)
		}
		if p.Text != "" {
			m.trie.add(p.Text, int32(i))
		}
		worst = min(worst, p.Score)
	}
	m.unkScore = worst - unkPenalty
	for b := range m.fallback {
		m.fallback[b] = -1
		if fallback == nil {
			continue
		}
		if id, ok := fallback(byte(b)); ok {
			m.fallback[b] = id
		}
	}
	return m, nil
}

// lattice is the best way to reach a place in the piece.
type lattice struct {
	score float64
	start int32 // where the token that ends here begins, −1 while unreached
	id    int32
}

// Append cuts a piece; neighbouring unknown characters are one token.
func (m *Unigram) Append(dst []Token, piece string, s *Scratch) []Token {
	best := m.search(piece, s)
	from := len(dst)
	for end := len(piece); end > 0; {
		start := int(best[end].start)
		if best[end].id == m.unk && m.unk >= 0 {
			for start > 0 && best[start].id == m.unk {
				start = int(best[start].start)
			}
		}
		dst = m.put(dst, piece, start, end, best[end].id)
		end = start
	}
	for i, j := from, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst
}

// put appends a token, or the bytes of an unknown one, last first. Each of the bytes stands for the whole.
func (m *Unigram) put(dst []Token, piece string, start, end int, id int32) []Token {
	if id >= 0 && id != m.unk {
		return append(dst, Token{id, start, end})
	}
	part := piece[start:end]
	if known, ok := m.lookup(part); ok {
		return append(dst, Token{known, start, end})
	}
	for i := range len(part) {
		if m.fallback[part[i]] < 0 {
			if m.unk < 0 {
				return dst
			}
			return append(dst, Token{m.unk, start, end})
		}
	}
	for i := len(part) - 1; i >= 0; i-- {
		dst = append(dst, Token{m.fallback[part[i]], start, end})
	}
	return dst
}

func (m *Unigram) lookup(text string) (int32, bool) {
	node := uint32(0)
	for i := range len(text) {
		if node = m.trie.child(node, text[i]); node == 0 {
			return 0, false
		}
	}
	return m.trie.values[node], m.trie.values[node] >= 0
}

// search fills the lattice from left to right; of equal scores the first found stays.
func (m *Unigram) search(piece string, s *Scratch) []lattice {
	best := s.lattice[:0]
	for range len(piece) + 1 {
		best = append(best, lattice{start: -1})
	}
	s.lattice = best
	reach := func(end, start int, id int32, score float64) {
		if b := &best[end]; b.start < 0 || score > b.score {
			*b = lattice{score, int32(start), id}
		}
	}
	for at := 0; at < len(piece); {
		_, n := utf8.DecodeRuneInString(piece[at:])
		here, single := best[at].score, false
		node := uint32(0)
		for end := at; end < len(piece); {
			if node = m.trie.child(node, piece[end]); node == 0 {
				break
			}
			end++
			if id := m.trie.values[node]; id >= 0 {
				reach(end, at, id, m.pieces[id].Score+here)
				single = single || end-at == n
			}
		}
		if !single {
			reach(at+n, at, m.unk, m.unkScore+here)
		}
		at += n
	}
	return best
}

// IsUnk tells whether an id is the unknown token.
func (m *Unigram) IsUnk(id int32) bool { return id == m.unk }
