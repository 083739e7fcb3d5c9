package model

import (
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// WordPiece takes the longest token from the left; a word that cannot be cut to its end is unknown as a whole.
type WordPiece struct {
	trie *trie
	rest uint32 // where tokens that continue a word begin
	unk  int32
	max  int // characters of the longest word that is cut
}

// NewWordPiece builds the tables; prefix marks the tokens that continue a word.
func NewWordPiece(vocab map[string]int32, unk, prefix string, most int) (*WordPiece, error) {
	id, ok := vocab[unk]
	if !ok {
		return nil, fault.New(fault.BadValue, "model.unk_token", "%q is not in the vocabulary", unk)
	}
	m := &WordPiece{trie: newTrie(), unk: id, max: most}
	size := len(prefix)
	for token, id := range vocab {
		if size += len(token); size > maxTrieBytes {
			return nil, fault.New(fault.BadValue, "model.vocab", "has more than %d bytes of text", maxTrieBytes)
		}
		m.trie.add(token, id)
	}
	m.rest = m.trie.path(prefix)
	return m, nil
}

// Append cuts a word.
func (m *WordPiece) Append(dst []Token, piece string, _ *Scratch) []Token {
	from := len(dst)
	if utf8.RuneCountInString(piece) > m.max {
		return append(dst, Token{m.unk, 0, len(piece)})
	}
	node := uint32(0)
	for at := 0; at < len(piece); node = m.rest {
		id, n := m.longest(node, piece[at:])
		if n == 0 {
			return append(dst[:from], Token{m.unk, 0, len(piece)})
		}
		dst = append(dst, Token{id, at, at + n})
		at += n
	}
	return dst
}

func (m *WordPiece) longest(node uint32, s string) (id int32, n int) {
	for i := range len(s) {
		next := m.trie.child(node, s[i])
		if next == 0 {
			break
		}
		if node = next; m.trie.values[node] >= 0 {
			id, n = m.trie.values[node], i+1
		}
	}
	return id, n
}

// WordLevel knows whole words only.
type WordLevel struct {
	vocab map[string]int32
	unk   int32 // −1 if none
}

// NewWordLevel builds the model.
func NewWordLevel(vocab map[string]int32, unk string) *WordLevel {
	m := &WordLevel{vocab, -1}
	if id, ok := vocab[unk]; ok {
		m.unk = id
	}
	return m
}

// Append looks a word up.
func (m *WordLevel) Append(dst []Token, piece string, _ *Scratch) []Token {
	if id, ok := m.vocab[piece]; ok {
		return append(dst, Token{id, 0, len(piece)})
	}
	if m.unk < 0 {
		return dst
	}
	return append(dst, Token{m.unk, 0, len(piece)})
}
