package torch

import "fmt"

// DType is the type of a tensor's elements. The values are libtorch's ScalarType.
type DType int32

// The element types that models and data use.
const (
	Uint8    DType = 0
	Int32    DType = 3
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	Float64  DType = 7
	Bool     DType = 11
	BFloat16 DType = 15
)

var dtypes = map[DType]struct {
	name string
	size int64
}{
	Uint8: {"uint8", 1}, Int32: {"int32", 4}, Int64: {"int64", 8}, Float16: {"float16", 2}, Float32: {"float32", 4},
	Float64: {"float64", 8}, Bool: {"bool", 1}, BFloat16: {"bfloat16", 2},
}

// String is PyTorch's name without the prefix: float32, bfloat16, …
func (d DType) String() string {
	if known, ok := dtypes[d]; ok {
		return known.name
	}
	return fmt.Sprintf("dtype %d", int32(d))
}

// Size is the number of bytes of one element; 0 for a type this package does not know.
func (d DType) Size() int64 { return dtypes[d].size }

// Device is where a tensor lives: CPU, or the index of a CUDA device.
type Device int32

// CPU is the host's memory.
const CPU Device = -1
