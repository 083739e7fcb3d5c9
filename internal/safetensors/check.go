package safetensors

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Set is what a model is checked against: a File or a Checkpoint.
type Set interface {
	Names() []string
	Tensor(name string) (Tensor, bool)
}

// Want describes a tensor that a model needs.
type Want struct {
	Shape  []int64
	DTypes []DType // the types that will do; nil means F64, F32, F16 and BF16
}

// Mismatch is one difference between a set of tensors and a model.
type Mismatch struct {
	Class  Class // MissingTensor, UnexpectedTensor, ShapeMismatch or DTypeMismatch
	Tensor string
	Want   string
	Got    string
}

// MismatchError lists every difference at once. errors.Is finds each class that occurs in it.
type MismatchError struct {
	Where      string // what was checked: a path
	Mismatches []Mismatch
}

// Check compares a set with the tensors that a model wants, by name, shape and type. ignore, if given, says which
// tensors the set may have beyond those (buffers that old versions saved). The error is a *MismatchError.
func Check(where string, set Set, want map[string]Want, ignore func(name string) bool) error {
	bad := &MismatchError{Where: where}
	for name, w := range want {
		got, ok := set.Tensor(name)
		switch {
		case !ok:
			bad.add(MissingTensor, name, fmt.Sprint(w.Shape), "not there")
		case !slices.Equal(got.Shape, w.Shape):
			bad.add(ShapeMismatch, name, fmt.Sprint(w.Shape), fmt.Sprint(got.Shape))
		case !w.takes(got.DType):
			bad.add(DTypeMismatch, name, w.types(), string(got.DType))
		}
	}
	for _, name := range set.Names() {
		if _, ok := want[name]; !ok && (ignore == nil || !ignore(name)) {
			got, _ := set.Tensor(name)
			bad.add(UnexpectedTensor, name, "no such tensor", fmt.Sprintf("%s %v", got.DType, got.Shape))
		}
	}
	return bad.orNil()
}

func (w Want) takes(d DType) bool {
	if w.DTypes == nil {
		return d.FloatingPoint()
	}
	return slices.Contains(w.DTypes, d)
}

func (w Want) types() string {
	if w.DTypes == nil {
		return "floating point (F64, F32, F16, BF16)"
	}
	return fmt.Sprint(w.DTypes)
}

func (e *MismatchError) add(class Class, tensor, want, got string) {
	e.Mismatches = append(e.Mismatches, Mismatch{class, tensor, want, got})
}

// orNil sorts what was found: missing tensors first, as they explain most of the rest.
func (e *MismatchError) orNil() error {
	if len(e.Mismatches) == 0 {
		return nil
	}
	order := []Class{MissingTensor, UnexpectedTensor, ShapeMismatch, DTypeMismatch}
	slices.SortFunc(e.Mismatches, func(a, b Mismatch) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Class), slices.Index(order, b.Class)), cmp.Compare(a.Tensor, b.Tensor))
	})
	return e
}

// Error has a line for every mismatch, up to 200.
func (e *MismatchError) Error() string {
	const most = 200 // lines: a checkpoint of another model differs in every tensor
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d tensors do not fit the model", e.Where, len(e.Mismatches))
	if len(e.Mismatches) == 1 {
		b.Reset()
		fmt.Fprintf(&b, "%s: 1 tensor does not fit the model", e.Where)
	}
	for i, m := range e.Mismatches {
		if i == most {
			fmt.Fprintf(&b, "\n  … and %d more", len(e.Mismatches)-most)
			break
		}
		fmt.Fprintf(&b, "\n  %s: tensor %s: want %s, got %s", m.Class, quote(m.Tensor), m.Want, m.Got)
	}
	return b.String()
}

// Unwrap gives the classes to errors.Is.
func (e *MismatchError) Unwrap() []error {
	var classes []error
	for _, m := range e.Mismatches {
		if !slices.Contains(classes, error(m.Class)) {
			classes = append(classes, m.Class)
		}
	}
	return classes
}
