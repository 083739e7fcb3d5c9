package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gofinetune/finetune/internal/torch"
)

// Prefix is what many prompts begin with, such as a system message and its examples: its keys and values are computed once, and every
// generation that is given it starts behind it. It holds Model.Config.KVBytesPerToken for each of its tokens until Close, and is of no use
// after the weights have changed.
type Prefix struct {
	m       *Model
	ids     []int32
	adapter AdapterSet
	cache   *cache // one slot; nil when closed
}

// NewPrefix computes the keys and values of ids, at least one token, with the adapter that the generations will use (nil: those in force).
func (m *Model) NewPrefix(ctx context.Context, ids []int32, adapter AdapterSet) (*Prefix, error) {
	if err := m.usable(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("model: a prefix of no tokens")
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("model: prefix: %w", cause)
	}
	p := &Prefix{m: m, ids: slices.Clone(ids), adapter: adapter}
	err := torch.Do(func(s *torch.Scope) {
		p.cache = m.newCache(s, 1, len(ids))
		m.With(adapter, func() { p.cache.fill(s, m, ids, 0) })
	})
	if err != nil {
		err = errors.Join(fmt.Errorf("model: prefix: %w", err), p.Close())
		return nil, err
	}
	return p, nil
}

// Len is the number of tokens.
func (p *Prefix) Len() int { return len(p.ids) }

// Close frees the keys and values. A second Close does nothing.
func (p *Prefix) Close() error {
	if p.cache == nil {
		return nil
	}
	c := p.cache
	p.cache = nil
	return torch.Do(c.free)
}

// fill runs ids through the network and leaves their keys and values in the slot.
func (c *cache) fill(s *torch.Scope, m *Model, ids []int32, slot int) {
	s.Inner(func(s *torch.Scope) {
		var b Batch
		b.appendFrom(ids, 0, len(ids), slot)
		r := m.newRun(s, b, Pass{}, true)
		r.cache, r.past = c, []int64{0}
		m.hidden(s, b, r, m.index(s, []int32{0})) // the result of one row is the least that can be asked for
	})
}

// take copies the first n tokens of another cache's slot.
func (c *cache) take(s *torch.Scope, from *cache, slot, into, n int) {
	part := func(t *torch.Tensor, slot int) *torch.Tensor {
		return s.Narrow(s.Narrow(t, 0, int64(slot), 1), 1, 0, int64(n))
	}
	for i := range c.keys {
		s.Copy(part(c.keys[i], into), part(from.keys[i], slot))
		s.Copy(part(c.values[i], into), part(from.values[i], slot))
	}
}

// leastShared is the length from which what all prompts begin with is worth a pass of its own.
const leastShared = 32

// begin fills the cache with what the prompts share with the prefix, or among each other, so that it is computed once.
func (g *generation) begin() error {
	from, shared := (*cache)(nil), 0
	if g.config.Prefix != nil {
		from = g.config.Prefix.cache
	} else if shared = g.shared(); len(g.sequences) < 2 || shared < leastShared {
		return nil
	}
	return torch.Do(func(s *torch.Scope) {
		if from == nil {
			g.m.With(g.config.Adapter, func() { g.cache.fill(s, g.m, g.sequences[0].ids[:shared], 0) })
			g.sequences[0].cached = shared
			for i := 1; i < len(g.sequences); i++ {
				g.cache.take(s, g.cache, 0, i, shared)
				g.sequences[i].cached = shared
			}
			return
		}
		for i, q := range g.sequences {
			n := min(common(q.ids, g.config.Prefix.ids), len(q.ids)-1) // one token must be left to go through the network
			if n > 0 && !g.m.changesWith(n, len(g.config.Prefix.ids)) {
				g.cache.take(s, from, 0, i, n)
				q.cached = n
			}
		}
	})
}

// changesWith says whether the keys of n tokens depend on how many stand behind them: where angles are those of the whole length.
func (m *Model) changesWith(n, length int) bool {
	return n != length && m.Config.RoPE.Scaling.ByLength()
}

// shared is the number of tokens that all prompts begin with, less the last of the shortest.
func (g *generation) shared() int {
	n := len(g.sequences[0].ids) - 1
	for _, q := range g.sequences[1:] {
		n = min(n, common(q.ids, g.sequences[0].ids), len(q.ids)-1)
	}
	if g.m.Config.RoPE.Scaling.ByLength() {
		return 0
	}
	return n
}

func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
