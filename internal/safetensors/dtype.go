package safetensors

// DType names an element type as the header writes it.
type DType string

// The element types of the format. F4 and the F6 types are packed: their tensors fill whole bytes all the same.
const (
	Bool       DType = "BOOL"
	F4         DType = "F4"
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	U8         DType = "U8"
	I8         DType = "I8"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3     DType = "F8_E4M3"
	F8E8M0     DType = "F8_E8M0"
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	I16        DType = "I16"
	U16        DType = "U16"
	F16        DType = "F16"
	BF16       DType = "BF16"
	I32        DType = "I32"
	U32        DType = "U32"
	F32        DType = "F32"
	C64        DType = "C64"
	F64        DType = "F64"
	I64        DType = "I64"
	U64        DType = "U64"
)

// dtypes lists every type in the order in which the reference library sorts them; it writes the last one first, so
// that wide elements stay aligned.
var dtypes = []struct {
	name DType
	bits int64
}{
	{Bool, 8}, {F4, 4}, {F6E2M3, 6}, {F6E3M2, 6}, {U8, 8}, {I8, 8}, {F8E5M2, 8}, {F8E4M3, 8}, {F8E8M0, 8},
	{F8E4M3FNUZ, 8}, {F8E5M2FNUZ, 8}, {I16, 16}, {U16, 16}, {F16, 16}, {BF16, 16}, {I32, 32}, {U32, 32}, {F32, 32},
	{C64, 64}, {F64, 64}, {I64, 64}, {U64, 64},
}

// rank is the place of d in the reference library's order, −1 for a type that the format does not know.
func (d DType) rank() int {
	for i, t := range dtypes {
		if t.name == d {
			return i
		}
	}
	return -1
}

// Bits is the width of one element, 0 for a type that the format does not know.
func (d DType) Bits() int64 {
	if i := d.rank(); i >= 0 {
		return dtypes[i].bits
	}
	return 0
}

// FloatingPoint reports whether d is a type that weights are computed from directly: F64, F32, F16 or BF16. The 8-bit
// and narrower floats need scales that the format does not carry.
func (d DType) FloatingPoint() bool {
	switch d {
	case F64, F32, F16, BF16:
		return true
	}
	return false
}
