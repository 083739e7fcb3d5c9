package lora

import (
	"errors"
	"fmt"
	"math"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// Merge folds the adapter into the weights, so that the model needs no adapter to compute what it computes with it. The weights as
// they were are kept for Unmerge until Close. A probe runs through the network before and after; logits that differ by more than
// rounding undo the merge and are an error.
func (a *Adapter) Merge() error {
	if err := a.usable(); err != nil {
		return err
	}
	if a.merged {
		return errors.New("lora: the adapter is merged already")
	}
	if err := a.Activate(); err != nil {
		return err
	}
	return torch.Do(func(s *torch.Scope) {
		attached := a.probe(s)
		for _, c := range a.changes() {
			weight := c.linear.Weight
			*c.kept = s.Own(s.Clone(weight.Tensor))
			s.Inner(func(s *torch.Scope) { s.Copy(weight.Tensor, c.adapter.Effective(s, c.linear)) })
			c.linear.SetAdapter(nil)
		}
		a.merged = true
		if err := compare(attached, a.probe(s), a.base.DType()); err != nil {
			a.restore(s)
			torch.Throw(err)
		}
	})
}

// Unmerge puts back the weights as they were before Merge, bit for bit, and activates the adapter.
func (a *Adapter) Unmerge() error {
	if err := a.usable(); err != nil {
		return err
	}
	if !a.merged {
		return errors.New("lora: the adapter is not merged")
	}
	if err := torch.Do(a.restore); err != nil {
		return err
	}
	return a.Activate()
}

func (a *Adapter) restore(s *torch.Scope) {
	for _, c := range a.changes() {
		s.Copy(c.linear.Weight.Tensor, *c.kept)
		s.Free(*c.kept)
		*c.kept = nil
	}
	a.merged = false
}

// change is one projection that merging rewrites.
type change struct {
	linear  *model.Linear
	adapter model.Adapter
	kept    **torch.Tensor
}

func (a *Adapter) changes() []change {
	var list []change
	for _, m := range a.modules {
		list = append(list, change{m.linear, m, &m.kept})
	}
	for _, w := range a.whole {
		list = append(list, change{w.linear, w, &w.kept})
	}
	return list
}

// probe runs a fixed sequence of tokens spread over the vocabulary and returns its logits.
func (a *Adapter) probe(s *torch.Scope) []float32 {
	ids := make([]int32, min(16, a.base.Config.MaxPositions))
	for i := range ids {
		ids[i] = int32((i*7919 + 1) % a.base.Config.VocabSize)
	}
	return s.ToFloat32s(a.base.Logits(s, a.base.Hidden(s, model.Sequences(ids), nil, model.Pass{})))
}

// compare refuses logits that differ by more than the type's rounding explains: 1e-4 of the largest for float32 (measured
// distances are near 1e-6), 0.05 for the 16-bit types, whose weights are rounded once more.
func compare(attached, merged []float32, dtype torch.DType) error {
	tolerance := 0.05
	if dtype == torch.Float32 || dtype == torch.Float64 {
		tolerance = 1e-4
	}
	var largest, worst float64
	for i, x := range attached {
		largest = math.Max(largest, math.Abs(float64(x)))
		worst = math.Max(worst, math.Abs(float64(x-merged[i])))
	}
	if limit := tolerance * math.Max(1, largest); !(worst <= limit) {
		return fmt.Errorf("lora: after merging, a probe's logits differ by %.3g from those with the adapter attached; want at most %.3g (the merge was undone)",
			worst, limit)
	}
	return nil
}
