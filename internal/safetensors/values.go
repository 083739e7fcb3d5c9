package safetensors

import (
	"encoding/binary"
	"math"
)

// Float32s converts a tensor of F32, F16, BF16 or F64 to float32 (rounding F64). It copies.
func (t Tensor) Float32s() ([]float32, error) {
	if !t.DType.FloatingPoint() {
		return nil, fault(DTypeMismatch, "is %s; want F32, F16, BF16 or F64", t.DType).of(t.Name)
	}
	width := int(t.DType.Bits() / 8)
	values := make([]float32, len(t.Data)/width)
	for i := range values {
		b := t.Data[i*width:]
		switch t.DType {
		case F32:
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b))
		case BF16:
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		case F16:
			values[i] = halfToFloat(binary.LittleEndian.Uint16(b))
		case F64:
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	}
	return values, nil
}

// Int64s converts a tensor of a signed or unsigned integer type, or of BOOL. It copies.
func (t Tensor) Int64s() ([]int64, error) {
	read, ok := map[DType]func([]byte) int64{
		Bool: func(b []byte) int64 { return int64(b[0]) },
		U8:   func(b []byte) int64 { return int64(b[0]) },
		I8:   func(b []byte) int64 { return int64(int8(b[0])) },
		I16:  func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) },
		U16:  func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) },
		I32:  func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) },
		U32:  func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) },
		I64:  func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) },
	}[t.DType]
	if !ok {
		return nil, fault(DTypeMismatch, "is %s; want an integer type up to I64", t.DType).of(t.Name)
	}
	width := int(t.DType.Bits() / 8)
	values := make([]int64, len(t.Data)/width)
	for i := range values {
		values[i] = read(t.Data[i*width:])
	}
	return values, nil
}

// Float32Data is the data of an F32 tensor, for writing.
func Float32Data(values []float32) []byte {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

// halfToFloat widens an IEEE 754 half; exact, NaN payloads included.
func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero or subnormal: fraction · 2^−24
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
