package model

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// linear is the number of symbols up to which scanning for the best pair beats keeping a heap.
const linear = 96

// rank is the merge of two neighbours: its priority in the upper half, the token it makes in the lower.
func (m *BPE) rank(a, b symbol) uint64 { return m.pairs.get(a.id, b.id) }

// mergeShort joins the best pair until none is left.
func (m *BPE) mergeShort(sym []symbol, piece string, s *Scratch) []symbol {
	if len(sym) < 2 {
		return sym
	}
	ranks := s.ranks[:0]
	if m.first != nil && len(sym) == len(piece) { // every symbol is a byte: one look-up in a plain table
		for i := range len(piece) - 1 {
			ranks = append(ranks, m.first[int(piece[i])<<8|int(piece[i+1])])
		}
	} else {
		for i := range len(sym) - 1 {
			ranks = append(ranks, m.rank(sym[i], sym[i+1]))
		}
	}
	for {
		best, at := uint64(noMerge), 0
		for i, r := range ranks {
			if r < best {
				best, at = r, i
			}
		}
		if best == noMerge {
			break
		}
		sym[at] = symbol{int32(uint32(best)), sym[at].len + sym[at+1].len}
		sym = append(sym[:at+1], sym[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		if at > 0 {
			ranks[at-1] = m.rank(sym[at-1], sym[at])
		}
		if at < len(ranks) {
			ranks[at] = m.rank(sym[at], sym[at+1])
		}
	}
	s.ranks = ranks
	return sym
}

// link chains the symbols that are left; the pair of a symbol is with its next.
type link struct {
	prev, next int32
	rank       uint64 // of the pair
}

// candidate is a pair waiting in the heap; it is stale when the pair at its place has another rank by now.
type candidate struct {
	rank uint64
	at   int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// mergeLong does the same with a heap: n log n.
func (m *BPE) mergeLong(sym []symbol, s *Scratch) []symbol {
	n := len(sym)
	links, heap := s.links[:0], s.heap[:0]
	for i := range n {
		l := link{int32(i - 1), int32(i + 1), noMerge}
		if i+1 < n {
			l.rank = m.rank(sym[i], sym[i+1])
		}
		links = append(links, l)
		if l.rank != noMerge {
			heap = push(heap, candidate{l.rank, int32(i)})
		}
	}
	update := func(i int32) {
		links[i].rank = noMerge
		if next := links[i].next; int(next) < n {
			links[i].rank = m.rank(sym[i], sym[next])
		}
		if links[i].rank != noMerge {
			heap = push(heap, candidate{links[i].rank, i})
		}
	}
	for len(heap) > 0 {
		top := heap[0]
		heap = pop(heap)
		if sym[top.at].len == 0 || links[top.at].rank != top.rank {
			continue
		}
		next := links[top.at].next
		sym[top.at] = symbol{int32(uint32(top.rank)), sym[top.at].len + sym[next].len}
		sym[next].len = 0
		after := links[next].next
		links[top.at].next = after
		if int(after) < n {
			links[after].prev = top.at
		}
		update(top.at)
		if before := links[top.at].prev; before >= 0 {
			update(before)
		}
	}
	s.links, s.heap = links, heap
	kept := sym[:0]
	for _, one := range sym {
		if one.len > 0 {
			kept = append(kept, one)
		}
	}
	return kept
}

func push(heap []candidate, c candidate) []candidate {
	heap = append(heap, c)
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !heap[i].before(heap[parent]) {
			break
		}
		heap[i], heap[parent] = heap[parent], heap[i]
		i = parent
	}
	return heap
}

func pop(heap []candidate) []candidate {
	last := len(heap) - 1
	heap[0] = heap[last]
	heap = heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return heap
		}
		if child+1 < last && heap[child+1].before(heap[child]) {
			child++
		}
		if !heap[child].before(heap[i]) {
			return heap
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// pairTable maps two tokens to their merge: open addressing, at most half full.
type pairTable struct {
	entries []pairEntry
	shift   uint
}

type pairEntry struct{ key, value uint64 }

func newPairTable(n int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	t := pairTable{entries: make([]pairEntry, 1<<bits), shift: 64 - bits}
	for i := range t.entries {
		t.entries[i].value = noMerge
	}
	return t
}

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

func (t *pairTable) slot(key uint64) uint64 { return key * 0x9E3779B97F4A7C15 >> t.shift }

// put stores a merge; of a pair listed twice the last counts.
func (t *pairTable) put(a, b int32, value uint64) {
	key := pairKey(a, b)
	for i := t.slot(key); ; i = (i + 1) & uint64(len(t.entries)-1) {
		if e := &t.entries[i]; e.value == noMerge || e.key == key {
			*e = pairEntry{key, value}
			return
		}
	}
}

func (t *pairTable) get(a, b int32) uint64 {
	key := pairKey(a, b)
	for i := t.slot(key); ; i = (i + 1) & uint64(len(t.entries)-1) {
		if e := &t.entries[i]; e.value == noMerge || e.key == key {
			return e.value
		}
	}
}
