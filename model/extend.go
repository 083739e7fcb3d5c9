package model

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
)

// Extension is a vocabulary that has grown: new tokens behind the old ones, whose ids stay.
type Extension struct {
	Tokenizer *tokenizer.Tokenizer // the old one with the new tokens

	// Pieces are, for each new token in the order of their ids, the old tokens that stood for it before. Its rows in embedding and head
	// become the mean of theirs; a token without pieces gets the mean of all old rows.
	Pieces [][]int32

	Noise    float64 // standard deviation of the noise added to new rows, as a share of that of the old rows' elements; 0 for none
	Seed     uint64  // of the noise
	Multiple int     // the embedding gets a multiple of it as rows; 0 means 1
}

// Extend gives embedding and output head rows for new tokens and makes e.Tokenizer the model's. A tied head stays tied. Rows that the
// embedding had beyond the old tokenizer are used first. The learned rows are written over; adapters attached to embedding or head must
// be taken off before. TrainNewRows then trains the new rows alone.
func (m *Model) Extend(e Extension) error {
	first, rows, err := m.plan(e)
	if err != nil {
		return fmt.Errorf("model: extending the vocabulary: %w", err)
	}
	var grown []*torch.Tensor
	tables := m.tables()
	err = torch.Do(func(s *torch.Scope) {
		for i, p := range tables {
			grown = append(grown, m.grow(s, p, e, first, rows, e.Seed+uint64(i)))
		}
		for _, t := range grown {
			s.Own(t)
		}
		for i, p := range tables {
			s.Free(p.Tensor)
			p.Tensor, p.Shape = grown[i], append([]int64{int64(rows)}, p.Shape[1:]...)
			p.Tensor.SetRequiresGrad(p.Trainable)
		}
	})
	if err != nil {
		return fmt.Errorf("model: extending the vocabulary: %w", err)
	}
	m.Config = extended(m.Config, rows, tables)
	m.Tokenizer, m.newRows = e.Tokenizer, first
	return nil
}

// plan checks e and says where the new rows begin and how many rows there are in all.
func (m *Model) plan(e Extension) (first, rows int, err error) {
	switch {
	case m.usable() != nil:
		return 0, 0, m.usable()
	case m.Tokenizer == nil || e.Tokenizer == nil:
		return 0, 0, errors.New("the model or the extension has no tokenizer")
	case m.head.adapter != nil:
		return 0, 0, fmt.Errorf("an adapter is attached to %s; take it off, extend, and attach one then", m.head.Name)
	case m.tails != nil:
		return 0, 0, errors.New("the rows of an earlier extension are being trained; SetTrainable(nil) first")
	case e.Multiple < 0 || e.Noise < 0 || math.IsInf(e.Noise, 0) || math.IsNaN(e.Noise):
		return 0, 0, fmt.Errorf("Multiple is %d and Noise %g; want 0 or more of both", e.Multiple, e.Noise)
	}
	first = m.Tokenizer.Size()
	if added := e.Tokenizer.Size() - first; added <= 0 || added != len(e.Pieces) {
		return 0, 0, fmt.Errorf("the tokenizer has %d ids, the old one %d, and Pieces lists %d new tokens", e.Tokenizer.Size(), first, len(e.Pieces))
	}
	for i, pieces := range e.Pieces {
		for _, id := range pieces {
			if id < 0 || int(id) >= first {
				return 0, 0, fmt.Errorf("new token %d is made of token %d, which is none of the %d old ones", first+i, id, first)
			}
		}
	}
	rows = max(m.Config.VocabSize, e.Tokenizer.Size())
	multiple := max(e.Multiple, 1)
	return first, (rows + multiple - 1) / multiple * multiple, nil
}

// tables are the parameters with a row for each token: the embedding, and the head's weight and bias where they are its own.
func (m *Model) tables() []*Parameter {
	list := []*Parameter{m.embedding}
	if m.head.Weight != m.embedding && !m.Config.Head.Score {
		list = append(list, m.head.Weight)
	}
	if m.head.Bias != nil {
		list = append(list, m.head.Bias)
	}
	return list
}

// grow is p with rows in all, those from first on for new tokens.
func (m *Model) grow(s *torch.Scope, p *Parameter, e Extension, first, rows int, seed uint64) *torch.Tensor {
	width := 1
	if len(p.Shape) > 1 {
		width = int(p.Shape[1])
	}
	old := s.ToFloat32s(s.Narrow(p.Tensor, 0, 0, int64(first)))
	mean, spread := statistics(old, width)
	random := rand.New(rand.NewPCG(seed, 0))
	values := make([]float32, (rows-first)*width)
	for i := range rows - first {
		row := values[i*width : (i+1)*width]
		if i < len(e.Pieces) && len(e.Pieces[i]) > 0 {
			average(row, old, e.Pieces[i])
		} else {
			copy(row, mean)
		}
		if e.Noise > 0 && len(p.Shape) > 1 {
			for j := range row {
				row[j] += float32(random.NormFloat64() * e.Noise * spread)
			}
		}
	}
	shape := append([]int64{int64(rows)}, p.Shape[1:]...)
	t := s.Empty(p.Tensor.DType(), p.Tensor.Device(), shape...)
	s.Copy(s.Narrow(t, 0, 0, int64(first)), s.Narrow(p.Tensor, 0, 0, int64(first)))
	s.Copy(s.Narrow(t, 0, int64(first), int64(rows-first)), s.Float32s(values, append([]int64{int64(rows - first)}, p.Shape[1:]...)...))
	return t
}

// average is the mean of the rows of old that pieces names.
func average(row, old []float32, pieces []int32) {
	sums := make([]float64, len(row))
	for _, id := range pieces {
		for j, x := range old[int(id)*len(row) : (int(id)+1)*len(row)] {
			sums[j] += float64(x)
		}
	}
	for j := range row {
		row[j] = float32(sums[j] / float64(len(pieces)))
	}
}

// statistics are the mean row and the standard deviation of all elements around it.
func statistics(values []float32, width int) (mean []float32, spread float64) {
	sums := make([]float64, width)
	n := len(values) / width
	for i, x := range values {
		sums[i%width] += float64(x)
	}
	mean = make([]float32, width)
	for j := range mean {
		mean[j] = float32(sums[j] / float64(n))
	}
	for i, x := range values {
		d := float64(x - mean[i%width])
		spread += d * d
	}
	return mean, math.Sqrt(spread / float64(len(values)))
}

// extended is c with another number of rows. The config that the model came with stays as it was.
func extended(c *arch.Config, rows int, tables []*Parameter) *arch.Config {
	grown := *c
	grown.VocabSize = rows
	grown.Parameters = slices.Clone(c.Parameters)
	for i, p := range grown.Parameters {
		for _, t := range tables {
			if t.Name == p.Name {
				grown.Parameters[i].Shape = t.Shape
			}
		}
	}
	grown.Source = maps.Clone(c.Source)
	if grown.Source == nil {
		grown.Source = map[string]any{}
	}
	grown.Source["vocab_size"] = rows
	if c.Family == "baichuan" && c.Head.Normalized { // its vocabulary size said so
		grown.Source["z_loss_weight"] = 0
	}
	return &grown
}

// NewRows are the ids of the tokens that Extend has given rows: from first up to the end of the embedding. first is 0 where it has not.
func (m *Model) NewRows() (first, end int) {
	if m.newRows == 0 {
		return 0, 0
	}
	return m.newRows, m.Config.VocabSize
}

// TrainNewRows makes the rows of an extended vocabulary trainable, in embedding and head, beside what is trainable already: an adapter,
// as in Chinese-LLaMA (Cui et al. 2023). Gradients and optimizer state exist for these rows alone. SetTrainable ends it.
func (m *Model) TrainNewRows() error {
	if err := m.usable(); err != nil {
		return err
	}
	if m.newRows == 0 {
		return errors.New("model: the vocabulary was not extended; there are no new rows to train")
	}
	if m.tails != nil {
		return nil
	}
	return torch.Do(func(s *torch.Scope) {
		var tails []*Parameter
		for _, p := range m.tables() {
			if len(p.Shape) < 2 || p.Trainable {
				continue // a bias is the same for all of a language's tokens at first, and small; a trained table trains its tail
			}
			n := p.Shape[0] - int64(m.newRows)
			own := &Parameter{Parameter: p.Parameter, Tensor: s.Detach(s.Narrow(p.Tensor, 0, int64(m.newRows), n)), Trainable: true}
			own.Name, own.Shape = fmt.Sprintf("%s[%d:]", p.Name, m.newRows), []int64{n, p.Shape[1]}
			own.Tensor.SetRequiresGrad(true)
			tails = append(tails, own)
		}
		for _, t := range tails {
			s.Own(t.Tensor)
		}
		m.tails = tails
	})
}

// tail is the trained last rows of table, nil for none.
func (m *Model) tail(table *Parameter) *torch.Tensor {
	for _, t := range m.tails {
		if t.Name == fmt.Sprintf("%s[%d:]", table.Name, m.newRows) {
			return t.Tensor
		}
	}
	return nil
}

// dropTails ends TrainNewRows.
func (m *Model) dropTails(s *torch.Scope) {
	for _, t := range m.tails {
		s.Free(t.Tensor)
	}
	m.tails = nil
}
