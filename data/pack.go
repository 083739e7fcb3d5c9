package data

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// Packing is a way to fill rows of equal length with samples. Batches here have no padding, so packing saves no work;
// it makes steps of equal size, and reproduces runs of other libraries.
type Packing int

const (
	// PackBestFit puts each sample, the longest first, into the row it fills best (best-fit decreasing). What a sample
	// has beyond the row's length is cut. TRL: bfd.
	PackBestFit Packing = iota
	// PackBestFitSplit does the same after cutting longer samples into pieces, so that nothing is lost. TRL: bfd_split.
	PackBestFitSplit
	// PackWrapped writes the samples one after the other and cuts the result into rows. TRL: wrapped.
	PackWrapped
)

// Piece is the range [Start, End) of one sample's tokens.
type Piece struct{ Sample, Start, End int }

// Row is what shares one row.
type Row []Piece

// Len is the number of tokens in the row.
func (r Row) Len() int {
	n := 0
	for _, p := range r {
		n += p.End - p.Start
	}
	return n
}

// Join writes the row's pieces as one sample, in which each piece sees those before it, as in continued pretraining.
func (r Row) Join(samples []Sample) Sample {
	n := r.Len()
	buf := make([]int32, 2*n)
	out := Sample{IDs: buf[0:0:n], Labels: buf[n:n]}
	for _, p := range r {
		s := p.of(samples)
		out.IDs = append(out.IDs, s.IDs...)
		out.Labels = append(out.Labels, s.Labels...)
	}
	if len(r) > 0 {
		out.Place = samples[r[0].Sample].Place
	}
	return out
}

// of is the piece as a sample that shares the memory of the whole.
func (p Piece) of(samples []Sample) Sample {
	s := samples[p.Sample]
	return Sample{IDs: s.IDs[p.Start:p.End], Labels: s.Labels[p.Start:p.End], Place: s.Place}
}

// Pack fills rows of at most maxLength tokens. lost counts the tokens that are in no row. Empty samples are in none.
func Pack(samples []Sample, maxLength int, how Packing) (rows []Row, lost int, err error) {
	if maxLength < 1 {
		return nil, 0, fmt.Errorf("data: packing into rows of %d tokens; want 1 or more", maxLength)
	}
	switch how {
	case PackWrapped:
		return packWrapped(samples, maxLength), 0, nil
	case PackBestFit, PackBestFitSplit:
		pieces, lost := cutPieces(samples, maxLength, how == PackBestFitSplit)
		return packBestFit(pieces, maxLength), lost, nil
	}
	return nil, 0, fmt.Errorf("data: unknown packing %d", how)
}

func packWrapped(samples []Sample, maxLength int) []Row {
	var rows []Row
	free := 0
	for i, s := range samples {
		for at := 0; at < len(s.IDs); {
			if free == 0 {
				rows = append(rows, nil)
				free = maxLength
			}
			n := min(free, len(s.IDs)-at)
			row := &rows[len(rows)-1]
			*row = append(*row, Piece{i, at, at + n})
			at, free = at+n, free-n
		}
	}
	return rows
}

// cutPieces cuts samples to the length of a row; the rest is lost, or becomes further pieces.
func cutPieces(samples []Sample, maxLength int, split bool) (pieces []Piece, lost int) {
	for i, s := range samples {
		for at := 0; at < len(s.IDs); at += maxLength {
			if at > 0 && !split {
				lost += len(s.IDs) - at
				break
			}
			pieces = append(pieces, Piece{i, at, min(at+maxLength, len(s.IDs))})
		}
	}
	return pieces, lost
}

func packBestFit(pieces []Piece, maxLength int) []Row {
	pieces = slices.Clone(pieces)
	slices.SortStableFunc(pieces, func(a, b Piece) int { return cmp.Compare(b.End-b.Start, a.End-a.Start) })
	var rows []Row
	open := newSpaces(maxLength)
	for _, p := range pieces {
		n := p.End - p.Start
		space, row := open.take(n)
		if row < 0 {
			space, row = maxLength, len(rows)
			rows = append(rows, nil)
		}
		rows[row] = append(rows[row], p)
		open.put(space-n, row)
	}
	return rows
}

// spaces finds, among the rows that have space left, the one with the least that suffices; of equal ones the one that
// got this space first.
type spaces struct {
	rows [][]int  // by space
	set  []uint64 // bit s: some row has space s
}

func newSpaces(maxLength int) *spaces {
	return &spaces{rows: make([][]int, maxLength), set: make([]uint64, maxLength/64+1)}
}

func (s *spaces) put(space, row int) {
	if space > 0 {
		s.rows[space] = append(s.rows[space], row)
		s.set[space/64] |= 1 << (space % 64)
	}
}

// take removes and returns a row with at least n free; row is −1 if there is none.
func (s *spaces) take(n int) (space, row int) {
	mask := ^uint64(0) << (n % 64)
	for word := n / 64; word < len(s.set); word++ {
		if found := s.set[word] & mask; found != 0 {
			space = 64*word + bits.TrailingZeros64(found)
			row = s.rows[space][0]
			if s.rows[space] = s.rows[space][1:]; len(s.rows[space]) == 0 {
				s.set[word] &^= 1 << (space % 64)
			}
			return space, row
		}
		mask = ^uint64(0)
	}
	return 0, -1
}
