package model

import (
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model/arch"
)

// Segment is a stretch of a ragged batch's token axis that attends to itself and to its prefix.
type Segment struct {
	Start, End int
	Prefix     int // index of an earlier segment seen as if it stood before this one; −1 for none
}

// Batch is what the network runs on: token ids and their positions on one flat axis, cut into segments.
type Batch struct {
	IDs, Positions []int32
	Segments       []Segment
}

// Sequences makes a batch of independent sequences, each with positions from 0.
func Sequences(sequences ...[]int32) Batch {
	var b Batch
	for _, ids := range sequences {
		start := len(b.IDs)
		b.IDs = append(b.IDs, ids...)
		for p := range ids {
			b.Positions = append(b.Positions, int32(p))
		}
		b.Segments = append(b.Segments, Segment{Start: start, End: len(b.IDs), Prefix: -1})
	}
	return b
}

// run is one pass of a batch through the network, on the libtorch thread.
type run struct {
	Pass
	n        int64 // tokens
	turned   map[*arch.RoPE]turned
	segments torch.Segments
	cache    *cache
	past     []int64 // with a cache: tokens already in it, by segment
}

// Hidden runs the network up to and including the final norm: [N, H], or [M, H] for the M rows picked (nil picks all). It is
// called on the libtorch thread; the result belongs to s.
func (m *Model) Hidden(s *torch.Scope, b Batch, rows []int32, pass Pass) *torch.Tensor {
	r := m.newRun(s, b, pass, false)
	return m.hidden(s, b, r, m.index(s, rows))
}

func (m *Model) newRun(s *torch.Scope, b Batch, pass Pass, cached bool) *run {
	m.check(b)
	if pass.Tape != nil && pass.Routers != nil {
		torch.Throw(errors.New("model: blocks whose routers have a loss of their own (output_router_logits) cannot be computed again; switch recomputation off"))
	}
	if p := m.Config.Dropout.Attention; pass.Train && p > 0 {
		torch.Throw(fmt.Errorf("model: the config.json of this checkpoint asks for dropout of %g on attention weights in training, which is not "+
			"supported; set it to 0 there", p))
	}
	r := &run{Pass: pass, n: int64(len(b.IDs)), segments: make(torch.Segments, 0, 3*len(b.Segments)), turned: map[*arch.RoPE]turned{}}
	if len(m.rotaries) > 0 {
		positions := m.index(s, b.Positions)
		for _, rotary := range m.rotaries {
			r.turned[rotary.config] = rotary.angles(s, positions, b, cached)
		}
	}
	for _, g := range b.Segments {
		r.segments = append(r.segments, int64(g.Start), int64(g.End), int64(g.Prefix))
	}
	return r
}

// turn turns the positions of x [N, heads, D] in by the angles of rope; nil leaves x.
func (r *run) turn(s *torch.Scope, x *torch.Tensor, rope *arch.RoPE) *torch.Tensor {
	if rope == nil {
		return x
	}
	t := r.turned[rope]
	return s.RoPE(x, t.cos, t.sin, rope.Interleaved)
}

// check refuses what would read outside a table.
func (m *Model) check(b Batch) {
	if err := m.usable(); err != nil {
		torch.Throw(err)
	}
	if len(b.IDs) == 0 || len(b.IDs) != len(b.Positions) {
		torch.Throw(fmt.Errorf("model: a batch of %d token ids and %d positions; want as many of both, and at least one", len(b.IDs), len(b.Positions)))
	}
	if m.positions != nil {
		for i, p := range b.Positions {
			if int(p) >= m.Config.MaxPositions {
				torch.Throw(fmt.Errorf("model: position %d at place %d of the batch; this network has learned %d (shorten the text)", p, i, m.Config.MaxPositions))
			}
		}
	}
	for i, id := range b.IDs {
		if id < 0 || int(id) >= m.Config.VocabSize {
			torch.Throw(fmt.Errorf("model: token id %d at place %d of the batch; the embedding has %d rows (the tokenizer belongs to another model?)",
				id, i, m.Config.VocabSize))
		}
	}
}

func (m *Model) hidden(s *torch.Scope, b Batch, r *run, rows *torch.Tensor) *torch.Tensor {
	x := m.embed(s, b, r) // [N H]
	for i, b := range m.blocks {
		r.observe(i, x)
		var picked *torch.Tensor
		if i == len(m.blocks)-1 && r.Routers == nil { // routers are judged by all tokens
			picked, rows = rows, nil
		}
		x = r.Tape.run(s, x, func(s *torch.Scope, x *torch.Tensor) *torch.Tensor { return b.forward(s, x, r, picked) })
	}
	if rows != nil {
		x = s.Rows(x, rows)
	}
	x = m.outNorm.apply(s, x)
	r.observe(len(m.blocks), x)
	return x
}

// embed is the embedding of the tokens, with their positions where the network has learned them.
func (m *Model) embed(s *torch.Scope, b Batch, r *run) *torch.Tensor {
	var x *torch.Tensor
	if tail := m.tail(m.embedding); tail != nil {
		x = s.EmbeddingTail(m.embedding.Tensor, tail, m.index(s, b.IDs))
	} else {
		x = s.Embedding(m.embedding.Tensor, m.index(s, b.IDs))
	}
	x = scaled(s, x, m.embeddingScale)
	if m.positions != nil {
		x = s.Add(x, s.Embedding(m.positions.Tensor, m.index(s, b.Positions)))
	}
	return r.drop(s, m.embeddingNorm.apply(s, x), m.Config.Dropout.Embedding, 1<<40)
}

func (r *run) observe(layer int, x *torch.Tensor) {
	if r.OnHidden != nil {
		r.OnHidden(layer, x)
	}
}

// index makes an int64 tensor of token ids, positions or row numbers; nil stays nil.
func (m *Model) index(s *torch.Scope, values []int32) *torch.Tensor {
	if values == nil {
		return nil
	}
	wide := make([]int64, len(values))
	for i, v := range values {
		wide[i] = int64(v)
	}
	return s.Int64s(wide, m.device)
}

// Logits are the scores of every vocabulary entry for hidden [M, H] → [M, V].
func (m *Model) Logits(s *torch.Scope, hidden *torch.Tensor) *torch.Tensor {
	m.wantsVocabulary()
	hidden = scaled(s, hidden, m.Config.Scale.Logits)
	var logits *torch.Tensor
	if m.Config.Head.Normalized {
		logits = s.Linear(hidden, m.headWeight(s), m.headBias())
	} else {
		logits = m.head.forward(s, hidden, Pass{})
	}
	if limit := m.Config.Head.Cap; limit > 0 {
		return s.Scale(s.Tanh(s.Scale(logits, 1/limit)), limit)
	}
	return logits
}

// headWeight is what the output head multiplies with: [V, H].
func (m *Model) headWeight(s *torch.Scope) *torch.Tensor {
	w := m.head.effective(s)
	if !m.Config.Head.Normalized {
		return w
	}
	length := s.AddScalar(s.Sqrt(s.SumLast(s.Mul(w, w))), 1e-12)
	return s.Div(w, s.Reshape(length, -1, 1))
}

func (m *Model) headBias() *torch.Tensor {
	if m.head.Bias == nil {
		return nil
	}
	return m.head.Bias.Tensor
}

// headChunk bounds the logits that exist at one time, in bytes.
const headChunk = 32 << 20

// CrossEntropy is the cross entropy of labels under the model, summed over the rows of hidden [M, H], in nats: [] float32.
func (m *Model) CrossEntropy(s *torch.Scope, hidden *torch.Tensor, labels []int32) *torch.Tensor {
	sum, _ := m.CrossEntropies(s, hidden, labels)
	return sum
}

// CrossEntropies is CrossEntropy with that of each row beside it: [M] float64, without a gradient.
func (m *Model) CrossEntropies(s *torch.Scope, hidden *torch.Tensor, labels []int32) (sum, each *torch.Tensor) {
	return s.CrossEntropy(scaled(s, hidden, m.Config.Scale.Logits), m.index(s, labels), m.vocabularyHead(s), headChunk)
}

// TokenLosses is the cross entropy of each label under the model: hidden [M, H] → [M] float32, in nats.
func (m *Model) TokenLosses(s *torch.Scope, hidden *torch.Tensor, labels []int32) *torch.Tensor {
	return s.TokenLosses(scaled(s, hidden, m.Config.Scale.Logits), m.index(s, labels), m.vocabularyHead(s), headChunk)
}

func (m *Model) vocabularyHead(s *torch.Scope) torch.Head {
	m.wantsVocabulary()
	head := torch.Head{Weight: m.headWeight(s), Bias: m.headBias(), Cap: m.Config.Head.Cap}
	if m.head.adapter == nil && !m.Config.Head.Normalized { // else the weight is made of the table, not the table itself
		head.Tail = m.tail(m.head.Weight)
	}
	return head
}
