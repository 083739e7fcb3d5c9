package model

import "hash/maphash"

// maxKey is the longest piece that is cached, in bytes. Longer ones hardly repeat.
const maxKey = 30

// slot is one cached piece: 64 bytes, a cache line.
type slot struct {
	len uint8
	n   uint8
	key [maxKey]byte
	ids [8]int32
}

func (s *slot) holds(piece string) bool {
	return int(s.len) == len(piece) && string(s.key[:s.len]) == piece
}

// cache remembers the ids of pieces. It is a table with one place per hash, in which newer pieces displace older ones:
// its size is bounded, and it makes no garbage.
type cache struct {
	slots []slot
	used  int
}

const (
	minSlots = 1 << 10
	maxSlots = 1 << 15 // 2 MiB
)

var seed = maphash.MakeSeed()

func (c *cache) slot(piece string) *slot {
	if c.slots == nil {
		c.slots = make([]slot, minSlots)
	}
	return &c.slots[maphash.String(seed, piece)&uint64(len(c.slots)-1)]
}

func (c *cache) put(piece string, ids []int32) {
	s := c.slot(piece)
	if s.len == 0 {
		c.used++
	}
	s.len, s.n = uint8(len(piece)), uint8(len(ids))
	copy(s.key[:], piece)
	copy(s.ids[:], ids)
	if c.used > len(c.slots)/2 && len(c.slots) < maxSlots {
		c.grow()
	}
}

func (c *cache) grow() {
	old := c.slots
	c.slots, c.used = make([]slot, 4*len(old)), 0
	for i := range old {
		if old[i].len > 0 {
			place := c.slot(string(old[i].key[:old[i].len]))
			if place.len == 0 {
				c.used++
			}
			*place = old[i]
		}
	}
}
