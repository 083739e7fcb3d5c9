package model

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/gofinetune/finetune/internal/torch"
)

// Scores is what a reward model gives for tokens: hidden [M, H] → [M].
func (m *Model) Scores(s *torch.Scope, hidden *torch.Tensor) *torch.Tensor {
	if !m.Config.Head.Score {
		torch.Throw(errors.New("model: it gives logits, not scores; MakeScoring makes a reward model of it"))
	}
	return s.Reshape(m.head.forward(s, hidden, Pass{}), -1)
}

func (m *Model) wantsVocabulary() {
	if m.Config.Head.Score {
		torch.Throw(errors.New("model: it is a reward model, which gives scores and no logits"))
	}
}

// MakeScoring makes a reward model of a language model: the output head gives way to a vector [1, H] that gives each token a score, random
// as transformers starts it. Save writes transformers' class for sequence classification. A reward model stays as it is.
func (m *Model) MakeScoring(seed uint64) error {
	if err := m.usable(); err != nil {
		return err
	}
	if m.Config.Head.Score {
		return nil
	}
	if m.head.adapter != nil {
		return fmt.Errorf("model: an adapter is attached to %s; take it off first", m.head.Name)
	}
	config, err := m.Config.Scoring(m.padding())
	if err != nil {
		return fmt.Errorf("model: a reward model of it: %w", err)
	}
	return torch.Do(func(s *torch.Scope) {
		last := config.Parameters[len(config.Parameters)-1]
		score := &Parameter{Parameter: last, Tensor: s.Empty(m.dtype, m.device, last.Shape...)}
		fill(score, rand.New(rand.NewPCG(seed, 0)), false)
		score.Trainable = len(m.Trainable()) > 0 // weights were chosen, and this one is new
		score.Tensor.SetRequiresGrad(score.Trainable)
		s.Own(score.Tensor)
		m.dropTails(s)
		m.parameters = slices.DeleteFunc(m.parameters, func(p *Parameter) bool {
			if p == m.embedding || p != m.head.Weight && p != m.head.Bias {
				return false
			}
			s.Free(p.Tensor)
			delete(m.byName, p.Name)
			return true
		})
		m.parameters, m.byName[score.Name] = append(m.parameters, score), score
		m.head.Name, m.head.Weight, m.head.Bias = config.Names.Head, score, nil
		m.Config = config
	})
}

// padding is a token that is no text's last one: transformers reads the score of the last token that is not it.
func (m *Model) padding() int {
	if pad := m.Config.Special.PAD; pad >= 0 && !slices.Contains(m.Config.Special.EOS, pad) {
		return pad
	}
	if m.Tokenizer == nil {
		return m.Config.Special.PAD
	}
	eos, hasEOS := m.Tokenizer.EOS()
	if pad, ok := m.Tokenizer.PAD(); ok && !(hasEOS && pad == eos) {
		return int(pad)
	}
	return m.Config.Special.PAD
}

// ScoreRows lists, for each segment of b that is the end of a text, the row whose score is the text's: that of its last token which is not
// config.json's pad_token_id, as transformers finds it. A segment that another has as its prefix ends no text.
func (m *Model) ScoreRows(b Batch) (rows []int32, segments []int) {
	prefix := make([]bool, len(b.Segments))
	for _, g := range b.Segments {
		if g.Prefix >= 0 {
			prefix[g.Prefix] = true
		}
	}
	for i, g := range b.Segments {
		if !prefix[i] {
			rows, segments = append(rows, int32(m.scoreRow(b, g))), append(segments, i)
		}
	}
	return rows, segments
}

func (m *Model) scoreRow(b Batch, g Segment) int {
	stretches := []Segment{g}
	if g.Prefix >= 0 {
		stretches = append(stretches, b.Segments[g.Prefix])
	}
	for _, stretch := range stretches {
		for t := stretch.End - 1; t >= stretch.Start; t-- {
			if int(b.IDs[t]) != m.Config.Special.PAD {
				return t
			}
		}
	}
	return stretches[len(stretches)-1].Start // nothing but padding
}
