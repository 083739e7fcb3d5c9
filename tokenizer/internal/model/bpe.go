package model

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// BPEConfig is what a BPE model is made of.
type BPEConfig struct {
	Vocab        map[string]int32 // as in the file: where ByteLevel, in its alphabet
	Merges       [][2]string
	ByteLevel    bool // symbols are bytes, otherwise characters
	ByteFallback bool // an unknown character becomes its bytes, written <0x0A>
	FuseUnk      bool // neighbouring unknown characters are one token
	IgnoreMerges bool // a piece that is a token is that token, whatever the merges say
	Unk          string
	Prefix       string // continuing_subword_prefix: of every symbol but the first
	Suffix       string // end_of_word_suffix: of the last symbol
	Fallback     func(b byte) (int32, bool)
}

// BPE is byte-pair encoding (Sennrich et al. 2016): the symbols of a piece are joined pair by pair, always the pair
// that was learned first.
type BPE struct {
	config   BPEConfig
	bytes    [256]int32       // ByteLevel: the symbol of each byte, −1 if none
	first    []uint64         // plain ByteLevel: the merge of each two bytes
	whole    map[string]int32 // IgnoreMerges: the tokens as pieces are written
	chars    charTable
	fallback [256]int32
	pairs    pairTable
	unk      int32
	chunks   bool // a long piece may be cut where no merge can join
}

// symbol is a part of a piece: a token, and the bytes it covers.
type symbol struct {
	id  int32
	len int32
}

const noMerge = math.MaxUint64

// NewBPE builds the tables. The Merges are in order of priority.
func NewBPE(c BPEConfig) (*BPE, error) {
	m := &BPE{config: c, unk: -1}
	if c.Unk != "" {
		id, ok := c.Vocab[c.Unk]
		if !ok {
			return nil, fault.New(fault.BadValue, "model.unk_token", "%q is not in the vocabulary", c.Unk)
		}
		m.unk = id
	}
	if err := m.addMerges(c.Merges); err != nil {
		return nil, err
	}
	if c.ByteLevel {
		return m, m.addBytes()
	}
	m.whole = c.Vocab
	for token, id := range c.Vocab {
		if r, n := utf8.DecodeRuneInString(token); n == len(token) && n > 0 {
			m.chars.at(r).id = id
		}
	}
	for b := range m.fallback {
		m.fallback[b] = -1
		if id, ok := c.Fallback(byte(b)); ok {
			m.fallback[b] = id
		}
	}
	m.chunks = m.canChunk()
	return m, nil
}

func (m *BPE) addMerges(merges [][2]string) error {
	m.pairs = newPairTable(len(merges))
	for rank, pair := range merges {
		ids := [3]int32{}
		joined := pair[0] + strings.TrimPrefix(pair[1], m.config.Prefix)
		for i, token := range []string{pair[0], pair[1], joined} {
			id, ok := m.config.Vocab[token]
			if !ok {
				return fault.New(fault.BadMerge, mergeField(rank), "%q is not in the vocabulary", token)
			}
			ids[i] = id
		}
		m.pairs.put(ids[0], ids[1], uint64(rank)<<32|uint64(uint32(ids[2])))
		if !m.config.ByteLevel {
			m.mark(pair)
		}
	}
	return nil
}

// mark notes which characters a merge can join at: the last of its left and the first of its right part.
func (m *BPE) mark(pair [2]string) {
	last, _ := utf8.DecodeLastRuneInString(pair[0])
	first, _ := utf8.DecodeRuneInString(strings.TrimPrefix(pair[1], m.config.Prefix))
	m.chars.at(last).joinsRight = true
	m.chars.at(first).joinsLeft = true
	if first == metaspace && last != metaspace {
		m.chars.at(metaspace).joinsWord = true
	}
}

func mergeField(rank int) string { return "model.merges[" + itoa(rank) + "]" }

// addBytes fills the tables of the byte level. A byte that can occur in text and has no token would vanish.
func (m *BPE) addBytes() error {
	for b := range m.bytes {
		id, ok := m.config.Vocab[string(bytelevel.Runes[b])]
		switch {
		case ok:
			m.bytes[b] = id
		case m.unk < 0 && b != 0xC0 && b != 0xC1 && b < 0xF5:
			return fault.New(fault.IncompleteAlphabet, "model.vocab",
				"byte 0x%02X has no token and there is no unknown token; text that holds it would vanish", b)
		default:
			m.bytes[b] = -1
		}
	}
	if m.config.Prefix == "" && m.config.Suffix == "" && m.unk < 0 {
		m.first = make([]uint64, 1<<16)
		for i := range m.first {
			m.first[i] = m.pairs.get(m.bytes[i>>8], m.bytes[i&255])
		}
	}
	if m.config.IgnoreMerges {
		m.whole = make(map[string]int32, len(m.config.Vocab))
		for token, id := range m.config.Vocab {
			if raw, ok := bytelevel.Raw(nil, token); ok {
				m.whole[string(raw)] = id
			}
		}
	}
	return nil
}

// Append cuts a piece.
func (m *BPE) Append(dst []Token, piece string, s *Scratch) []Token {
	if m.config.IgnoreMerges {
		if id, ok := m.whole[piece]; ok {
			return append(dst, Token{id, 0, len(piece)})
		}
	}
	s.symbols = m.start(s.symbols[:0], piece)
	if len(s.symbols) <= linear {
		s.symbols = m.mergeShort(s.symbols, piece, s)
	} else {
		s.symbols = m.mergeLong(s.symbols, s)
	}
	at := 0
	for _, sym := range s.symbols {
		dst = append(dst, Token{sym.id, at, at + int(sym.len)})
		at += int(sym.len)
	}
	return dst
}

// start gives the symbols before any merge.
func (m *BPE) start(out []symbol, piece string) []symbol {
	if m.first != nil {
		for i := range len(piece) {
			if id := m.bytes[piece[i]]; id >= 0 { // others cannot occur in UTF-8
				out = append(out, symbol{id, 1})
			}
		}
		return out
	}
	unk := 0 // bytes of unknown characters not yet given out
	for i := 0; i < len(piece); {
		id, n := m.symbol(piece, i)
		switch {
		case id >= 0:
			out, unk = m.flush(out, unk), 0
			out = append(out, symbol{id, int32(n)})
		case m.hasFallback(piece[i : i+n]):
			for _, b := range []byte(piece[i : i+n]) {
				out = append(out, symbol{m.fallback[b], 1})
			}
		case m.unk >= 0:
			if unk > 0 && !m.config.FuseUnk {
				out, unk = m.flush(out, unk), 0
			}
			unk += n
		}
		i += n
	}
	return m.flush(out, unk)
}

func (m *BPE) flush(out []symbol, unk int) []symbol {
	if unk > 0 {
		out = append(out, symbol{m.unk, int32(unk)})
	}
	return out
}

// symbol is the token of the character (or byte) at i, −1 if it has none.
func (m *BPE) symbol(piece string, i int) (id int32, n int) {
	if m.config.ByteLevel {
		n = 1
	} else {
		_, n = utf8.DecodeRuneInString(piece[i:])
	}
	if m.config.Prefix != "" || m.config.Suffix != "" {
		return m.affixed(piece, i, n), n
	}
	if m.config.ByteLevel {
		return m.bytes[piece[i]], 1
	}
	r, _ := utf8.DecodeRuneInString(piece[i:])
	return m.chars.get(r).id, n
}

// affixed looks a symbol up with its marks: a prefix unless it is the first, a suffix if it is the last.
func (m *BPE) affixed(piece string, i, n int) int32 {
	token := piece[i : i+n]
	if m.config.ByteLevel {
		token = string(bytelevel.Runes[piece[i]])
	}
	if i > 0 {
		token = m.config.Prefix + token
	}
	if i+n == len(piece) {
		token += m.config.Suffix
	}
	if id, ok := m.config.Vocab[token]; ok {
		return id
	}
	return -1
}

func (m *BPE) hasFallback(char string) bool {
	if !m.config.ByteFallback {
		return false
	}
	for i := range len(char) {
		if m.fallback[char[i]] < 0 {
			return false
		}
	}
	return true
}
