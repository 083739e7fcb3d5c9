package data

import "fmt"

// Segment is the range [Start, End) of a batch's tokens that belongs to one sample. Tokens attend within their segment
// only, and to the whole of its prefix.
type Segment struct {
	Start, End int

	// Prefix is the index of the segment whose keys and values come before this one's, or −1. Answers to one question
	// share it this way: it is computed once. A prefix comes earlier in the batch and has none of its own.
	Prefix int
}

// Batch is a number of samples on one flat token axis, without padding.
type Batch struct {
	IDs       []int32   // [N]
	Labels    []int32   // [N], aligned with IDs; NoLabel where nothing is learned
	Positions []int32   // [N], from 0 in each segment, or from the end of its prefix
	Segments  []Segment // cover [0, N) in order
	Samples   []int     // per segment: the index of its sample
	Ends      []int     // per sample of the batch: the segment behind its last one
	Margins   []float64 // per sample of the batch
}

// NewBatch joins the samples with the given indices.
func NewBatch(samples []Sample, indices []int) Batch {
	n := 0
	for _, i := range indices {
		n += samples[i].Len()
	}
	b := newBatch(n, len(indices))
	for _, i := range indices {
		b.add(samples[i], i)
	}
	return b
}

// NewPackedBatch joins rows of packed samples; each piece is a segment of its own.
func NewPackedBatch(samples []Sample, rows ...Row) Batch {
	n, pieces := 0, 0
	for _, row := range rows {
		n += row.Len()
		pieces += len(row)
	}
	b := newBatch(n, pieces)
	for _, row := range rows {
		for _, p := range row {
			b.add(p.of(samples), p.Sample)
		}
	}
	return b
}

func newBatch(tokens, segments int) Batch {
	buf := make([]int32, 3*tokens)
	return Batch{
		IDs:       buf[0:0:tokens],
		Labels:    buf[tokens : tokens : 2*tokens],
		Positions: buf[2*tokens : 2*tokens : 3*tokens],
		Segments:  make([]Segment, 0, segments),
		Samples:   make([]int, 0, segments),
	}
}

func (b *Batch) add(s Sample, index int) {
	prompt := -1
	if len(s.IDs) > 0 {
		prompt = len(b.Segments)
		b.segment(s.IDs, s.Labels, Segment{Prefix: -1}, index)
	}
	for _, a := range s.Answers {
		b.segment(a.IDs, a.Labels, Segment{Prefix: prompt}, index)
	}
	b.Ends, b.Margins = append(b.Ends, len(b.Segments)), append(b.Margins, s.Margin)
}

func (b *Batch) segment(ids, labels []int32, g Segment, index int) {
	first := 0
	if g.Prefix >= 0 {
		p := b.Segments[g.Prefix]
		first = p.End - p.Start
	}
	g.Start = len(b.IDs)
	b.IDs = append(b.IDs, ids...)
	b.Labels = append(b.Labels, labels...)
	for i := range ids {
		b.Positions = append(b.Positions, int32(first+i))
	}
	g.End = len(b.IDs)
	b.Segments = append(b.Segments, g)
	b.Samples = append(b.Samples, index)
}

// Len is N, the number of tokens.
func (b Batch) Len() int { return len(b.IDs) }

// Targets counts the tokens that are learned.
func (b Batch) Targets() int {
	n := 0
	for _, s := range b.Segments {
		n += b.TargetsOf(s)
	}
	return n
}

// TargetsOf counts those of one segment. Its first token is learned only after a prefix: elsewhere nothing predicts it.
func (b Batch) TargetsOf(s Segment) int {
	first := s.Start
	if s.Prefix < 0 {
		first = min(first+1, s.End)
	}
	return labelled(b.Labels[first:s.End])
}

// Validate checks the invariants of a batch built by hand.
func (b Batch) Validate() error {
	n := len(b.IDs)
	if len(b.Labels) != n || len(b.Positions) != n {
		return fmt.Errorf("batch: %d ids, %d labels, %d positions; want equal numbers", n, len(b.Labels), len(b.Positions))
	}
	if len(b.Samples) != len(b.Segments) {
		return fmt.Errorf("batch: %d segments, %d samples; want equal numbers", len(b.Segments), len(b.Samples))
	}
	end := 0
	for i, s := range b.Segments {
		if err := b.validateSegment(i, s, end); err != nil {
			return fmt.Errorf("batch: segment %d [%d, %d): %w", i, s.Start, s.End, err)
		}
		end = s.End
	}
	if end != n {
		return fmt.Errorf("batch: segments end at %d of %d tokens", end, n)
	}
	return nil
}

func (b Batch) validateSegment(i int, s Segment, start int) error {
	switch {
	case s.Start != start || s.End <= s.Start || s.End > len(b.IDs):
		return fmt.Errorf("want a range that begins at %d and ends by %d", start, len(b.IDs))
	case s.Prefix < -1 || s.Prefix >= i:
		return fmt.Errorf("prefix is %d; want −1 or an earlier segment", s.Prefix)
	}
	position := int32(0)
	if s.Prefix >= 0 {
		p := b.Segments[s.Prefix]
		if p.Prefix >= 0 {
			return fmt.Errorf("prefix %d has a prefix itself", s.Prefix)
		}
		position = int32(p.End - p.Start)
	}
	for t := s.Start; t < s.End; t++ {
		if b.Positions[t] != position {
			return fmt.Errorf("position of token %d is %d; want %d", t, b.Positions[t], position)
		}
		if b.IDs[t] < 0 {
			return fmt.Errorf("id of token %d is %d", t, b.IDs[t])
		}
		position++
	}
	return nil
}
