package lora

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
)

// ErrNoTargets is returned when no module of the model has the name of a target.
var ErrNoTargets = errors.New("lora: no module matches Targets")

// Adapter is a set of changes to a model's projections. It owns its tensors until Close.
type Adapter struct {
	Config Config // in force, defaults filled in

	base    *model.Model
	modules []*module
	whole   []*whole
	merged  bool
	closed  bool
}

// Attach makes a fresh adapter, freezes the base and activates the adapter. A is random (Kaiming uniform, as PEFT), B is zero: the
// model computes what it did before, bit for bit, until B changes (with DoRA, to rounding). An adapter attached before stays as it is,
// inactive. A target that is no module is an ErrNoTargets.
func Attach(m *model.Model, c Config) (*Adapter, error) {
	a, err := newAdapter(m, c)
	if err != nil {
		return nil, err
	}
	if err := a.allocate(); err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	err = torch.Do(func(s *torch.Scope) {
		for i, mod := range a.modules {
			mod.start(s, rand.New(rand.NewPCG(c.Seed, uint64(i))))
		}
		for _, w := range a.whole {
			s.Copy(w.weight.Tensor, w.linear.Weight.Tensor)
		}
	})
	return a.ready(err)
}

// newAdapter plans an adapter: its parameters have names and shapes, and no tensors yet.
func newAdapter(m *model.Model, c Config) (*Adapter, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("lora: the model is nil")
	}
	if m.Closed() {
		return nil, fmt.Errorf("lora: %w", model.ErrClosed)
	}
	c = c.withDefaults(m.Config)
	if head := m.Config.Names.Head; m.Config.Head.Score && !c.saves(head) { // it is new, and no adapter starts from anything
		c.ModulesToSave = append(slices.Clone(c.ModulesToSave), head)
	}
	a := &Adapter{Config: c, base: m}
	for _, l := range m.Linears() {
		switch {
		case c.saves(l.Name):
			a.whole = append(a.whole, newWhole(l))
		case c.targets(l.Name, l.Name == m.Config.Names.Head):
			a.modules = append(a.modules, newModule(l, c))
		}
	}
	return a, a.complete()
}

// dtype is that of the adapter's weights: float32 whatever the model computes in, but for float64.
func (a *Adapter) dtype() torch.DType {
	if a.base.DType() == torch.Float64 {
		return torch.Float64
	}
	return torch.Float32
}

// allocate makes the tensors, all zero, and trainable.
func (a *Adapter) allocate() error {
	dtype := a.dtype()
	return torch.Do(func(s *torch.Scope) {
		list := a.Parameters()
		for _, p := range list {
			p.Tensor = s.Zeros(dtype, a.base.Device(), p.Shape...)
			p.Tensor.SetRequiresGrad(true)
		}
		for _, p := range slices.Backward(list) { // owned only when all of them are there
			s.Own(p.Tensor)
		}
	})
}

// complete refuses names that match nothing: a misspelt target would otherwise go unnoticed.
func (a *Adapter) complete() error {
	var names []string
	for _, l := range a.base.Linears() {
		names = append(names, l.Name)
	}
	found := func(target string) bool {
		for _, n := range names {
			if endsWithAny(n, []string{target}) {
				return true
			}
		}
		return false
	}
	for _, target := range append(append([]string{}, a.Config.Targets...), a.Config.ModulesToSave...) {
		if target != AllLinear && !found(target) {
			return fmt.Errorf("%w: the model has no module %q; it has names like %s", ErrNoTargets, target, names[0])
		}
	}
	if len(a.modules)+len(a.whole) == 0 {
		return ErrNoTargets
	}
	for _, w := range a.whole {
		if w.linear.Name == a.base.Config.Names.Head && a.base.Config.TieHead {
			return fmt.Errorf("lora: ModulesToSave has %s, which this model ties to its embedding; training it alone would untie them, "+
				"which is not supported yet", w.linear.Name)
		}
	}
	return nil
}

// ready freezes the base and activates the adapter, unless making it failed.
func (a *Adapter) ready(err error) (*Adapter, error) {
	if err == nil {
		err = a.base.SetTrainable(nil)
	}
	if err == nil {
		err = a.Activate()
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Parameters lists what the adapter trains, under PEFT's names, in the order of the network.
func (a *Adapter) Parameters() []*model.Parameter {
	var list []*model.Parameter
	for _, m := range a.modules {
		list = append(list, m.Parameters()...)
	}
	for _, w := range a.whole {
		list = append(list, w.Parameters()...)
	}
	return list
}

// Activate makes the model compute with this adapter and no other. It costs no arithmetic.
func (a *Adapter) Activate() error {
	chosen, err := a.Adapters(a.base)
	if err != nil {
		return err
	}
	return torch.Do(func(*torch.Scope) {
		for _, l := range a.base.Linears() {
			l.SetAdapter(chosen[l])
		}
	})
}

// Adapters are the adapters of m's projections, which must be the model that a was attached to: a is a model.AdapterSet, so that one
// request generates with it, whatever is active (model.GenerateConfig.Adapter).
func (a *Adapter) Adapters(m *model.Model) (map[*model.Linear]model.Adapter, error) {
	switch err := a.usable(); {
	case err != nil:
		return nil, err
	case m != a.base:
		return nil, errors.New("lora: the adapter belongs to another model")
	case a.merged:
		return nil, errors.New("lora: the adapter is merged into the weights; Unmerge it first")
	}
	chosen := make(map[*model.Linear]model.Adapter, len(a.modules)+len(a.whole))
	for _, m := range a.modules {
		chosen[m.linear] = m
	}
	for _, w := range a.whole {
		chosen[w.linear] = w
	}
	return chosen, nil
}

// Deactivate makes the model compute without adapters.
func Deactivate(m *model.Model) {
	for _, l := range m.Linears() {
		l.SetAdapter(nil)
	}
}

// Close takes the adapter off the model and frees its tensors. What was merged stays merged. A second Close does nothing.
func (a *Adapter) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	return torch.Do(func(s *torch.Scope) {
		for _, m := range a.modules {
			if m.linear.Adapter() == model.Adapter(m) {
				m.linear.SetAdapter(nil)
			}
			s.Free(m.kept)
		}
		for _, w := range a.whole {
			if w.linear.Adapter() == model.Adapter(w) {
				w.linear.SetAdapter(nil)
			}
			s.Free(w.kept)
		}
		for _, p := range a.Parameters() {
			s.Free(p.Tensor)
			p.Tensor = nil // the handle may become another tensor's
		}
	})
}

func (a *Adapter) usable() error {
	if a.closed {
		return errors.New("lora: the adapter is closed")
	}
	if a.base.Closed() {
		return fmt.Errorf("lora: the base %w", model.ErrClosed)
	}
	return nil
}

// Report is how much of a model an adapter trains.
type Report struct {
	Trainable, All int64   // weights; All counts the base and the adapter
	Share          float64 // Trainable/All
}

// String reads like PEFT's: trainable 5120 of 44256 parameters (11.57 %)
func (r Report) String() string {
	return fmt.Sprintf("trainable %d of %d parameters (%.2f %%)", r.Trainable, r.All, 100*r.Share)
}

// Report counts the adapter's weights.
func (a *Adapter) Report() Report {
	r := Report{All: a.base.Config.NumParameters()}
	for _, p := range a.Parameters() {
		r.Trainable += p.Numel()
	}
	r.All += r.Trainable
	r.Share = float64(r.Trainable) / float64(r.All)
	return r
}

// Modules lists the names of the adapted projections.
func (a *Adapter) Modules() []string {
	var names []string
	for _, m := range a.modules {
		names = append(names, m.linear.Name)
	}
	return names
}

// parameter describes an adapter's weight; allocate gives it its tensor.
func parameter(name string, shape ...int64) *model.Parameter {
	return &model.Parameter{Parameter: arch.Parameter{Name: name, Shape: shape, Role: arch.Projection}, Trainable: true}
}

// kaiming is U(−1/√in, 1/√in): PyTorch's kaiming_uniform_ with a = √5, PEFT's start for A.
func kaiming(n int, in int64, random *rand.Rand) []float32 {
	bound := 1 / math.Sqrt(float64(in))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32((2*random.Float64() - 1) * bound)
	}
	return values
}
