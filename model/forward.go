package model

import (
	"fmt"

	"github.com/gofinetune/finetune/internal/torch"
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
	cos, sin *torch.Tensor
	segments torch.Segments
	cache    *cache
	past     []int64 // with a cache: tokens already in it, by segment
}

// Hidden runs the network up to and including the final norm: [N, H], or [M, H] for the M rows picked (nil picks all). It is
// called on the libtorch thread; the result belongs to s.
func (m *Model) Hidden(s *torch.Scope, b Batch, rows []int32, pass Pass) *torch.Tensor {
	r := m.newRun(s, b, pass)
	return m.hidden(s, b.IDs, r, m.index(s, rows))
}

func (m *Model) newRun(s *torch.Scope, b Batch, pass Pass) *run {
	m.check(b)
	r := &run{Pass: pass, n: int64(len(b.IDs)), segments: make(torch.Segments, 0, 3*len(b.Segments))}
	r.cos, r.sin = m.rotary.angles(s, m.index(s, b.Positions))
	for _, g := range b.Segments {
		r.segments = append(r.segments, int64(g.Start), int64(g.End), int64(g.Prefix))
	}
	return r
}

// check refuses what would read outside a table.
func (m *Model) check(b Batch) {
	if err := m.usable(); err != nil {
		torch.Throw(err)
	}
	if len(b.IDs) == 0 || len(b.IDs) != len(b.Positions) {
		torch.Throw(fmt.Errorf("model: a batch of %d token ids and %d positions; want as many of both, and at least one", len(b.IDs), len(b.Positions)))
	}
	for i, id := range b.IDs {
		if id < 0 || int(id) >= m.Config.VocabSize {
			torch.Throw(fmt.Errorf("model: token id %d at place %d of the batch; the embedding has %d rows (the tokenizer belongs to another model?)",
				id, i, m.Config.VocabSize))
		}
	}
}

func (m *Model) hidden(s *torch.Scope, ids []int32, r *run, rows *torch.Tensor) *torch.Tensor {
	x := scaled(s, s.Embedding(m.embedding.Tensor, m.index(s, ids)), m.Config.Scale.Embedding) // [N H]
	for i, b := range m.blocks {
		r.observe(i, x)
		if i < len(m.blocks)-1 {
			x = b.forward(s, x, r, nil)
		} else {
			x = b.forward(s, x, r, rows)
		}
	}
	x = m.rmsNorm(s, x, m.norm)
	r.observe(len(m.blocks), x)
	return x
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
	return m.head.forward(s, scaled(s, hidden, m.Config.Scale.Logits), Pass{})
}

// headChunk bounds the logits that exist at one time, in bytes.
const headChunk = 32 << 20

// CrossEntropy is the cross entropy of labels under the model, summed over the rows of hidden [M, H], in nats: [] float32.
func (m *Model) CrossEntropy(s *torch.Scope, hidden *torch.Tensor, labels []int32) *torch.Tensor {
	return s.CrossEntropy(scaled(s, hidden, m.Config.Scale.Logits), m.head.effective(s), m.index(s, labels), headChunk)
}
