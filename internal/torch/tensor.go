package torch

// #include "kernels.h"
import "C"

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Tensor is a handle to a libtorch tensor. It is valid on the libtorch thread, until its owner frees it.
type Tensor struct {
	c     lib.Ctensor
	scope *Scope // nil: owned
	check check
}

// Raw is the native tensor (an at::Tensor*), for gotch's libtch and ts packages. It is borrowed.
func (t *Tensor) Raw() unsafe.Pointer { return unsafe.Pointer(t.ctensor()) }

func (t *Tensor) ctensor() lib.Ctensor {
	t.check.used(t)
	if t.c == nil { // libtorch would read address 0 and take the process along
		panic(&Error{Op: "use", Reason: "the tensor was freed"})
	}
	return t.c
}

func (t *Tensor) ft() C.ft_tensor { return C.ft_tensor(unsafe.Pointer(t.ctensor())) }

// optional is the native tensor or none.
func optional(t *Tensor) lib.Ctensor {
	if t == nil {
		return nil
	}
	return t.ctensor()
}

func (t *Tensor) info() (i C.ft_info_t) {
	if C.ft_info(t.ft(), &i) != 0 {
		fail("info")
	}
	return i
}

// Shape is the size of each dimension.
func (t *Tensor) Shape() []int64 {
	i := t.info()
	shape := make([]int64, i.dim)
	for d := range shape {
		shape[d] = int64(i.shape[d])
	}
	return shape
}

// Size is the size of dimension d.
func (t *Tensor) Size(d int) int64 {
	i := t.info()
	if d < 0 || d >= int(i.dim) {
		Throw(fmt.Errorf("size: dimension %d of a tensor with %d", d, int(i.dim)))
	}
	return int64(i.shape[d])
}

// Numel is the number of elements.
func (t *Tensor) Numel() int64 { i := t.info(); return int64(i.numel) }

// DType is the type of the elements.
func (t *Tensor) DType() DType { i := t.info(); return DType(i.dtype) }

// Device is where the elements are.
func (t *Tensor) Device() Device { i := t.info(); return Device(i.device) }

// RequiresGrad says whether gradients flow to t.
func (t *Tensor) RequiresGrad() bool { i := t.info(); return i.requires_grad != 0 }

// Contiguous says whether the elements lie one after the other in row order.
func (t *Tensor) Contiguous() bool { i := t.info(); return i.contiguous != 0 }

// String is the shape, type and place: [412 64] float32.
func (t *Tensor) String() string {
	if t == nil {
		return "none"
	}
	if t.c == nil {
		return "a freed tensor"
	}
	text := fmt.Sprintf("%v %v", t.Shape(), t.DType())
	if d := t.Device(); d != CPU {
		text += fmt.Sprintf(" cuda:%d", d)
	}
	return text
}

// SetRequiresGrad makes t a leaf that collects gradients, or stops it.
func (t *Tensor) SetRequiresGrad(on bool) {
	var flag int32
	if on {
		flag = 1
	}
	var out lib.Ctensor
	lib.AtgSetRequiresGrad(&out, t.ctensor(), flag)
	if out == nil {
		fail("set_requires_grad", t)
	}
	lib.AtFree(out)
}

// Bytes copies the elements, in row order, into a new slice.
func (t *Tensor) Bytes() []byte {
	i := t.info()
	buffer := make([]byte, int64(i.numel)*DType(i.dtype).Size())
	t.read(unsafe.Pointer(unsafe.SliceData(buffer)), int64(len(buffer)))
	return buffer
}

// CopyTo copies the elements, in row order, into a buffer of their size. t must be contiguous.
func (t *Tensor) CopyTo(buffer []byte) {
	if want := t.Numel() * t.DType().Size(); int64(len(buffer)) != want {
		Throw(fmt.Errorf("copy: a buffer of %d bytes for %d", len(buffer), want))
	}
	t.read(unsafe.Pointer(unsafe.SliceData(buffer)), int64(len(buffer)))
}

func (t *Tensor) read(to unsafe.Pointer, bytes int64) {
	if bytes > 0 && C.ft_slice_bytes(t.ft(), to, C.int64_t(bytes)) != 0 {
		fail("read", t)
	}
}

// CopyFrom fills elements [offset, offset+n) of t, in row order, from n elements of type dtype, converting them. t must be
// contiguous.
func (t *Tensor) CopyFrom(data []byte, dtype DType, offset int64) {
	n := int64(len(data)) / dtype.Size()
	if n > 0 && C.ft_copy_bytes(t.ft(), unsafe.Pointer(unsafe.SliceData(data)), C.int(dtype), C.int64_t(n), C.int64_t(offset)) != 0 {
		fail("copy", t)
	}
}

// Float32s copies the elements as float32, in row order.
func (s *Scope) ToFloat32s(t *Tensor) []float32 {
	values := make([]float32, t.Numel())
	s.Inner(func(s *Scope) {
		s.To(t, Float32).read(unsafe.Pointer(unsafe.SliceData(values)), int64(len(values))*4)
	})
	return values
}

// ToFloat64s copies the elements as float64, in row order.
func (s *Scope) ToFloat64s(t *Tensor) []float64 {
	values := make([]float64, t.Numel())
	s.Inner(func(s *Scope) {
		s.To(t, Float64).read(unsafe.Pointer(unsafe.SliceData(values)), int64(len(values))*8)
	})
	return values
}

// ToInt64s copies the elements as int64, in row order.
func (s *Scope) ToInt64s(t *Tensor) []int64 {
	values := make([]int64, t.Numel())
	s.Inner(func(s *Scope) {
		s.To(t, Int64).read(unsafe.Pointer(unsafe.SliceData(values)), int64(len(values))*8)
	})
	return values
}

// Item is the value of a tensor with one element.
func (s *Scope) Item(t *Tensor) (value float64) {
	s.Inner(func(s *Scope) {
		one := s.To(t, Float64)
		if one.Numel() != 1 {
			Throw(fmt.Errorf("item: a tensor of shape %v; want one element", t.Shape()))
		}
		one.read(unsafe.Pointer(&value), 8)
	})
	return value
}
