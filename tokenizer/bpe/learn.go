package bpe

import (
	"container/heap"
	"context"
	"slices"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
)

// pair is two neighbouring tokens, the first in the upper half, so that pairs compare by the first id, then the second.
type pair uint64

func join(first, second int32) pair       { return pair(first)<<32 | pair(second) }
func (p pair) ids() (first, second int32) { return int32(p >> 32), int32(p) }

// learner is the state of training. Each distinct piece is a word, kept as the tokens that it consists of so far.
type learner struct {
	config Config
	tokens []string // by id, in the byte-level alphabet
	ids    map[string]int32
	bytes  [256]int32 // the token of each byte
	merges []pair

	words  [][]int32
	counts []int64 // of each word in the texts
	met    map[pair]int64
	fresh  map[pair][]int32 // words in which a pair was first seen since the last turn
	queue  queue
}

// newLearner numbers the tokens that are there from the start: the control tokens, then the bytes by their characters.
func newLearner(c Config) *learner {
	l := &learner{config: c, ids: map[string]int32{}, met: map[pair]int64{}, fresh: map[pair][]int32{}}
	for _, s := range c.Special {
		l.token(s)
	}
	for _, r := range slices.Sorted(slices.Values(bytelevel.Runes[:])) {
		b, _ := bytelevel.Byte(r)
		l.bytes[b] = l.token(string(r))
	}
	return l
}

// token gives the id of a token, a new one if there is none yet.
func (l *learner) token(s string) int32 {
	id, ok := l.ids[s]
	if !ok {
		id = int32(len(l.tokens))
		l.tokens, l.ids[s] = append(l.tokens, s), id
	}
	return id
}

func (l *learner) addPiece(piece string, n int64) {
	word := make([]int32, len(piece))
	for i := range len(piece) {
		word[i] = l.bytes[piece[i]]
	}
	at := int32(len(l.words))
	l.words, l.counts = append(l.words, word), append(l.counts, n)
	for i := 1; i < len(word); i++ {
		l.note(join(word[i-1], word[i]), n, at)
	}
}

// note counts a pair that was met n times more (or less) in a word.
func (l *learner) note(p pair, n int64, word int32) {
	l.met[p] += n
	if n < 0 {
		return
	}
	if at := l.fresh[p]; len(at) == 0 || at[len(at)-1] != word {
		l.fresh[p] = append(at, word)
	}
}

// learn makes the pair met most often a token, again and again.
func (l *learner) learn(ctx context.Context) error {
	for l.enqueue(); len(l.tokens) < l.config.VocabSize && len(l.queue) > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		top := &l.queue[0]
		if now := l.met[top.pair]; now != top.count { // changed since it was queued: back to its place
			top.count = now
			heap.Fix(&l.queue, 0)
			continue
		}
		if top.count < int64(l.config.MinCount) {
			return nil
		}
		l.merge(heap.Pop(&l.queue).(candidate))
		l.enqueue()
	}
	return nil
}

func (l *learner) merge(c candidate) {
	first, second := c.pair.ids()
	id := l.token(l.tokens[first] + l.tokens[second])
	if int(id) < len(l.config.Special) {
		return // plain text must not become a control token
	}
	l.merges = append(l.merges, c.pair)
	for _, word := range c.words {
		l.rewrite(word, first, second, id)
	}
}

// rewrite puts the new token in place of its pair throughout a word, and corrects the counts of the pairs beside it. The
// count of the pair itself stays: as in the reference, what decides about it later is what it was.
func (l *learner) rewrite(at int32, first, second, id int32) {
	word, n := l.words[at], l.counts[at]
	end := 0 // of the part that is done
	for i := 0; i < len(word); i++ {
		if word[i] != first || i+1 == len(word) || word[i+1] != second {
			word[end] = word[i]
			end++
			continue
		}
		if end > 0 {
			l.note(join(word[end-1], first), -n, at)
			l.note(join(word[end-1], id), n, at)
		}
		if i+2 < len(word) {
			l.note(join(second, word[i+2]), -n, at)
			l.note(join(id, word[i+2]), n, at)
		}
		word[end] = id
		end++
		i++
	}
	l.words[at] = word[:end]
}

// enqueue makes candidates of the pairs that are new since the last turn.
func (l *learner) enqueue() {
	for p, words := range l.fresh {
		if n := l.met[p]; n > 0 {
			heap.Push(&l.queue, candidate{p, n, len(l.merges), words})
		}
	}
	clear(l.fresh)
}

// distinctMerges lists the merges in the order of their rank. A pair that was merged again, after other merges had made
// new ones of it, counts with its last turn, as in the reference.
func (l *learner) distinctMerges() [][2]string {
	last := make(map[pair]int, len(l.merges))
	for i, p := range l.merges {
		last[p] = i
	}
	merges := make([][2]string, 0, len(last))
	for i, p := range l.merges {
		if last[p] == i {
			first, second := p.ids()
			merges = append(merges, [2]string{l.tokens[first], l.tokens[second]})
		}
	}
	return merges
}
