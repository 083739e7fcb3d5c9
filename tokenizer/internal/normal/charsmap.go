package normal

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// charsmap is SentencePiece's table of replacements: a double array (a trie in one array of 32-bit units) that leads
// from a string to an offset into a block of strings ended by NUL.
type charsmap struct {
	units  []uint32
	values string
	ascii  [128]string // the replacement of each ASCII character alone
	maps   [128]bool   // and whether there is one
}

func newCharsmap(data []byte, field string) (Normalizer, error) {
	if len(data) < 4 {
		return nil, fault.New(fault.BadValue, field, "has %d bytes; want a length of 4 bytes and a table", len(data))
	}
	size := binary.LittleEndian.Uint32(data)
	if uint64(size) > uint64(len(data)-4) || size%4 != 0 {
		return nil, fault.New(fault.BadValue, field, "says its table has %d bytes; %d follow", size, len(data)-4)
	}
	c := &charsmap{units: make([]uint32, size/4), values: string(data[4+size:])}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	if !utf8.ValidString(c.values) {
		return nil, fault.New(fault.InvalidUTF8, field, "a replacement is not UTF-8")
	}
	for b := range c.ascii {
		c.ascii[b], c.maps[b] = c.lookup(string(rune(b)))
	}
	return c, nil
}

// lookup gives the replacement of the SHORTEST prefix of s that has one: so does the reference.
func (c *charsmap) lookup(s string) (string, bool) {
	if len(c.units) == 0 {
		return "", false
	}
	at := offset(c.units[0])
	for i := range len(s) {
		if s[i] == 0 {
			return "", false
		}
		at ^= uint32(s[i])
		if at >= uint32(len(c.units)) {
			return "", false
		}
		unit := c.units[at]
		if unit&(1<<31|0xFF) != uint32(s[i]) { // the label, with the bit that marks a leaf
			return "", false
		}
		at ^= offset(unit)
		if at >= uint32(len(c.units)) {
			return "", false
		}
		if unit>>8&1 == 1 { // a string ends here
			return c.value(c.units[at] &^ (1 << 31)), true
		}
	}
	return "", false
}

func offset(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

func (c *charsmap) value(at uint32) string {
	if at >= uint32(len(c.values)) {
		return ""
	}
	value := c.values[at:]
	if end := strings.IndexByte(value, 0); end >= 0 {
		value = value[:end]
	}
	return value
}

func (c *charsmap) Normalize(t text.Text) text.Text {
	edits := make([]text.Edit, 0, len(t.S)+8)
	changed := false
	for s := t.S; s != ""; {
		cluster := alone(s)
		if len(cluster) == 1 {
			edits, changed = c.ascii1(edits, s[0], changed)
			s = s[1:]
			continue
		}
		if cluster == "" {
			cluster = firstCluster(s)
		}
		s = s[len(cluster):]
		if len(cluster) < 6 {
			if value, ok := c.lookup(cluster); ok {
				edits, changed = put(edits, cluster, value), true
				continue
			}
		}
		for i, r := range cluster {
			one := cluster[i : i+utf8.RuneLen(r)]
			if value, ok := c.lookup(one); ok {
				edits, changed = put(edits, one, value), true
			} else {
				edits = append(edits, text.Edit{R: r})
			}
		}
	}
	if !changed {
		return t
	}
	return t.Rewrite(edits, 0)
}

// alone is the first character of s where it is plain to see that nothing joins it: ASCII and Chinese characters
// before another such. "" otherwise.
func alone(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if r == '\r' || !joinsNothing(r) {
		return ""
	}
	if n < len(s) {
		if next, _ := utf8.DecodeRuneInString(s[n:]); !joinsNothing(next) {
			return ""
		}
	}
	return s[:n]
}

func joinsNothing(r rune) bool {
	return r < utf8.RuneSelf || 0x4E00 <= r && r <= 0x9FFF || 0x3000 <= r && r <= 0x3029 || 0xFF01 <= r && r <= 0xFF5E
}

// firstCluster is the grapheme cluster at the front of s. Marks that are newer than the library's tables belong to it.
func firstCluster(s string) string {
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(s, -1)
	last, _ := utf8.DecodeLastRuneInString(cluster)
	if last == '\r' || last == '\n' || unidata.Is(last, unidata.Cc) {
		return cluster
	}
	for len(cluster) < len(s) {
		r, n := utf8.DecodeRuneInString(s[len(cluster):])
		if !unidata.Is(r, unidata.Mark) || unicode.Is(unicode.M, r) {
			break
		}
		cluster = s[:len(cluster)+n]
		more, _, _, _ := uniseg.FirstGraphemeClusterInString("a"+s[len(cluster):], -1)
		cluster = s[:len(cluster)+len(more)-1]
	}
	return cluster
}

func (c *charsmap) ascii1(edits []text.Edit, b byte, changed bool) ([]text.Edit, bool) {
	if !c.maps[b] {
		return append(edits, text.Edit{R: rune(b)}), changed
	}
	return put(edits, string(rune(b)), c.ascii[b]), true
}

// put replaces old by its new form: where that is longer, its last characters count as inserted; where it is
// shorter, the last edit so far swallows the difference.
func put(edits []text.Edit, old, replacement string) []text.Edit {
	for _, r := range replacement {
		edits = append(edits, text.Edit{R: r})
	}
	diff := utf8.RuneCountInString(replacement) - utf8.RuneCountInString(old)
	for i := len(edits) - diff; diff > 0 && i < len(edits); i++ {
		edits[i].Change = 1
	}
	if diff < 0 && len(edits) > 0 {
		edits[len(edits)-1].Change += diff
	}
	return edits
}
