package model

import "unicode/utf8"

// metaspace is the mark that SentencePiece writes for a space.
const metaspace = '▁'

// char is what a BPE model knows of a character.
type char struct {
	id         int32 // its token, −1 if none
	joinsLeft  bool  // a merge has it at the start of its right part
	joinsRight bool  // a merge has it at the end of its left part
	joinsWord  bool  // of the mark: a merge joins it to a character before it
}

// charTable holds the characters by pages of 256.
type charTable struct{ pages [0x110000 >> 8]*[256]char }

var unknownChar = char{id: -1}

func (t *charTable) get(r rune) *char {
	if page := t.pages[r>>8]; page != nil {
		return &page[r&255]
	}
	return &unknownChar
}

func (t *charTable) at(r rune) *char {
	if t.pages[r>>8] == nil {
		page := new([256]char)
		for i := range page {
			page[i].id = -1
		}
		t.pages[r>>8] = page
	}
	return &t.pages[r>>8][r&255]
}

// canChunk tells whether a piece may be cut where no merge can join two characters. Such a model has no splitter
// before it, so that a piece is a whole document; cut, its words come from the cache. The result is the same unless
// unknown characters would have been joined across the cut.
func (m *BPE) canChunk() bool {
	if m.config.IgnoreMerges || m.config.Prefix != "" || m.config.Suffix != "" || m.chars.get(metaspace).id < 0 {
		return false
	}
	if m.unk < 0 || !m.config.FuseUnk {
		return true
	}
	for _, id := range m.fallback {
		if id < 0 {
			return false
		}
	}
	return m.config.ByteFallback
}

// chunk is the end of the first part of a piece that no merge joins to what follows.
func (m *BPE) chunk(piece string) int {
	r, i := utf8.DecodeRuneInString(piece)
	last := m.chars.get(r)
	for i < len(piece) {
		next, n := utf8.DecodeRuneInString(piece[i:])
		c := m.chars.get(next)
		if !last.joinsRight || !c.joinsLeft || next == metaspace && r != metaspace && !c.joinsWord {
			return i
		}
		r, last, i = next, c, i+n
	}
	return len(piece)
}
