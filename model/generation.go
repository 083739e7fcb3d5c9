package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gofinetune/finetune/internal/torch"
)

// generation is a batch of sequences that grow together, each with a slot in the KV cache.
type generation struct {
	m         *Model
	config    GenerateConfig
	stop      []int32
	sequences []*sequence
	active    []int // sequences that still grow
	left      int
	cache     *cache
}

// sequence is one text of a generation.
type sequence struct {
	ids    []int32    // prompt and what was generated
	prompt int        // length of the prompt
	cached int        // tokens that are in the cache
	random *rand.Rand // its own: the text does not depend on its neighbours
	writer *writer    // nil without a tokenizer
	tokens []Token
	reason string // "" while it grows
}

func (m *Model) newGeneration(prompts [][]int32, c GenerateConfig) (*generation, error) {
	if err := c.validate(m); err != nil {
		return nil, err
	}
	g := &generation{m: m, config: c, stop: c.stops(m), left: c.MaxTokens}
	if g.left == 0 {
		g.left = defaultMaxTokens
	}
	longest := 0
	for i, p := range prompts {
		if len(p) == 0 {
			return nil, fmt.Errorf("model: prompt %d is empty; generation needs at least one token to start from", i)
		}
		longest = max(longest, len(p))
		s := &sequence{ids: slices.Clone(p), prompt: len(p), random: rand.New(rand.NewPCG(c.Seed, uint64(i)))}
		if m.Tokenizer != nil {
			s.writer = newWriter(m.Tokenizer, c.StopText)
		}
		g.sequences = append(g.sequences, s)
		g.active = append(g.active, i)
	}
	if len(prompts) == 0 {
		return g, nil
	}
	if err := torch.Do(func(s *torch.Scope) { g.cache = m.newCache(s, len(prompts), longest+g.left) }); err != nil {
		return nil, fmt.Errorf("model: generation: %w", err)
	}
	if err := g.begin(); err != nil {
		g.close()
		return nil, fmt.Errorf("model: generation: %w", err)
	}
	return g, nil
}

func (g *generation) done() bool { return g.left == 0 || len(g.active) == 0 }

func (g *generation) close() {
	if g.cache != nil {
		_ = torch.Do(g.cache.free)
	}
}

// step adds one token to every active sequence: what is not yet in the cache goes through the network, at first the whole prompt.
func (g *generation) step(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("model: generation stopped: %w", cause)
	}
	scores, err := g.forward()
	if err != nil {
		return fmt.Errorf("model: generation: %w", err)
	}
	if slices.ContainsFunc(scores, func(x float32) bool { return x != x }) {
		return errors.New("model: generation: the logits are NaN: a weight is NaN or infinite, or the numbers have overflowed " + g.m.dtype.String())
	}
	g.extend(scores)
	return nil
}

// forward runs the new tokens of every active sequence and returns the scores of the last of each: [active, V].
func (g *generation) forward() (scores []float32, err error) {
	var b Batch
	var past []int64
	var last []int32 // row of each active sequence's last token
	for _, i := range g.active {
		q := g.sequences[i]
		if g.m.outgrown(q.cached, len(q.ids)) {
			q.cached = 0
		}
		past = append(past, int64(q.cached))
		b.appendFrom(q.ids, q.cached, len(q.ids), i)
		last = append(last, int32(len(b.IDs)-1))
	}
	return scores, torch.Do(func(s *torch.Scope) {
		g.m.With(g.config.Adapter, func() {
			r := g.m.newRun(s, b, Pass{}, true)
			r.cache, r.past = g.cache, past
			s.FewRows(func() { scores = s.ToFloat32s(g.m.Logits(s, g.m.hidden(s, b, r, g.m.index(s, last)))) })
		})
	})
}

// appendFrom adds tokens [from, to) of a sequence at their positions, as one segment of the cache's slot.
func (b *Batch) appendFrom(ids []int32, from, to, slot int) {
	start := len(b.IDs)
	for p := from; p < to; p++ {
		b.IDs = append(b.IDs, ids[p])
		b.Positions = append(b.Positions, int32(p))
	}
	b.Segments = append(b.Segments, Segment{Start: start, End: len(b.IDs), Prefix: slot})
}

// outgrown says whether keys that were cached while the sequence was short have other angles now that it is longer: LongRoPE changes its
// factors where the original context ends, and the sequence must go through the network again (transformers does the same).
func (m *Model) outgrown(cached, length int) bool {
	s := m.Config.RoPE.Scaling
	return s.Type == "longrope" && cached > 0 && cached <= s.OriginalMaxTrain && length > s.OriginalMaxTrain
}

// extend picks the next token of every active sequence from scores [active, V].
func (g *generation) extend(scores []float32) {
	v := g.m.Config.VocabSize
	g.left--
	still := g.active[:0]
	for row, i := range g.active {
		q := g.sequences[i]
		q.cached = len(q.ids)
		q.pick(scores[row*v:(row+1)*v], g.config, g.stop)
		if q.reason == "" && g.left == 0 {
			q.reason = "length"
		}
		if q.reason == "" {
			still = append(still, i)
		} else if q.writer != nil && q.reason != "text" {
			q.tokens[len(q.tokens)-1].Text += q.writer.flush()
		}
	}
	g.active = still
}

// pick adds the next token, drawn from scores [V], which it changes.
func (q *sequence) pick(scores []float32, c GenerateConfig, stop []int32) {
	var list logProbs
	if c.LogProbs > 0 {
		list = newLogProbs(scores, c.LogProbs)
	}
	t := Token{ID: c.Next(scores, q.ids, q.random)}
	if c.LogProbs > 0 {
		t.LogProb, t.Top = list.of(t.ID), list.top
	}
	q.ids = append(q.ids, t.ID)
	if slices.Contains(stop, t.ID) { // it ends the text and is none, special token or not
		q.reason = "stop"
	} else if q.writer != nil {
		var ended bool
		if t.Text, ended = q.writer.push(t.ID); ended {
			q.reason = "text"
		}
	}
	q.tokens = append(q.tokens, t)
}

// logProbs are the log-probabilities of one row of scores, taken before anything changes them.
type logProbs struct {
	scores []float32
	norm   float64 // log Σ eˣ
	top    []Alternative
}

func newLogProbs(scores []float32, n int) logProbs {
	l := logProbs{scores: slices.Clone(scores)}
	most := float64(scores[argmax(scores)])
	var sum float64
	for _, x := range scores {
		sum += math.Exp(float64(x) - most)
	}
	l.norm = most + math.Log(sum)
	for range n { // few are asked for, of many
		best := -1
		for i, x := range l.scores {
			if (best < 0 || x > l.scores[best]) && !slices.ContainsFunc(l.top, func(a Alternative) bool { return int(a.ID) == i }) {
				best = i
			}
		}
		l.top = append(l.top, Alternative{ID: int32(best), LogProb: l.of(int32(best))})
	}
	return l
}

func (l logProbs) of(id int32) float64 { return float64(l.scores[id]) - l.norm }
