package model

import "github.com/gofinetune/finetune/internal/torch"

// AdapterSet is the adapter of a whole model, such as *lora.Adapter.
type AdapterSet interface {
	// Adapters are those of m's projections; a projection without one computes as the base does. It is called on the libtorch thread,
	// before every pass through the network.
	Adapters(m *Model) (map[*Linear]Adapter, error)
}

// Plain is the model without adapters.
var Plain AdapterSet = plain{}

type plain struct{}

func (plain) Adapters(*Model) (map[*Linear]Adapter, error) { return nil, nil }

// With runs f, on the libtorch thread, with set in place of the adapters in force; nil leaves those.
func (m *Model) With(set AdapterSet, f func()) {
	if set == nil {
		f()
		return
	}
	chosen, err := set.Adapters(m)
	if err != nil {
		torch.Throw(err)
	}
	before := make([]Adapter, len(m.linears))
	for i, l := range m.linears {
		before[i] = l.SetAdapter(chosen[l])
	}
	defer func() {
		for i, l := range m.linears {
			l.SetAdapter(before[i])
		}
	}()
	f()
}
