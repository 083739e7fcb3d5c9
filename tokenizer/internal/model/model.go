// Package model cuts pieces of text into tokens: BPE, Unigram, WordPiece and WordLevel.
package model

// Token is one token of a piece, and the bytes of the piece that it stands for.
type Token struct {
	ID         int32
	Start, End int
}

// Model cuts a piece. It is immutable; the scratch belongs to the goroutine.
type Model interface {
	Append(dst []Token, piece string, s *Scratch) []Token
}

// Scratch is the working memory of one goroutine: buffers, and the pieces met before.
type Scratch struct {
	tokens  []Token
	symbols []symbol
	ranks   []uint64
	links   []link
	heap    []candidate
	lattice []lattice
	cache   cache
}

// AppendIDs is Append where only the ids are wanted; short pieces met before come from the cache.
func AppendIDs(m Model, dst []int32, piece string, s *Scratch) []int32 {
	if b, ok := m.(*BPE); ok && b.chunks {
		for piece != "" {
			end := b.chunk(piece)
			dst = appendCached(m, dst, piece[:end], s)
			piece = piece[end:]
		}
		return dst
	}
	return appendCached(m, dst, piece, s)
}

func appendCached(m Model, dst []int32, piece string, s *Scratch) []int32 {
	if len(piece) > maxKey {
		return appendNew(m, dst, piece, s)
	}
	slot := s.cache.slot(piece)
	if slot.holds(piece) {
		return append(dst, slot.ids[:slot.n]...)
	}
	from := len(dst)
	dst = appendNew(m, dst, piece, s)
	if ids := dst[from:]; len(ids) <= len(slot.ids) {
		s.cache.put(piece, ids)
	}
	return dst
}

func appendNew(m Model, dst []int32, piece string, s *Scratch) []int32 {
	s.tokens = m.Append(s.tokens[:0], piece, s)
	for _, t := range s.tokens {
		dst = append(dst, t.ID)
	}
	return dst
}
