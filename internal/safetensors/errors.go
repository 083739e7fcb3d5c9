package safetensors

import (
	"fmt"
	"strconv"
	"strings"
)

// Class says what is wrong with a file, for programs. Use errors.Is(err, safetensors.TruncatedData).
type Class string

// Error makes a Class a target for errors.Is.
func (c Class) Error() string { return string(c) }

// What can be wrong with a single file.
const (
	NotSafetensors  Class = "not_safetensors"  // a pickle, a zip, a web page, …
	HeaderTooShort  Class = "header_too_short" // fewer than the 8 bytes of the length
	HeaderTooLarge  Class = "header_too_large" // more than 100,000,000 bytes
	HeaderPastEOF   Class = "header_past_eof"
	HeaderNotUTF8   Class = "header_not_utf8"
	HeaderNotJSON   Class = "header_not_json"
	HeaderNotObject Class = "header_not_object"
	DuplicateKey    Class = "duplicate_key"
	BadMetadata     Class = "bad_metadata"
	BadTensorEntry  Class = "bad_tensor_entry"
	BadOffsets      Class = "bad_offsets"   // a hole, an overlap, an end before its start
	SizeMismatch    Class = "size_mismatch" // the range is not what dtype and shape need
	Overflow        Class = "overflow"      // the shape's size does not fit 63 bits
	TruncatedData   Class = "truncated_data"
	TrailingBytes   Class = "trailing_bytes"
	Unreadable      Class = "unreadable" // missing, a folder, a pipe, no permission: the cause is wrapped
)

// What can be wrong with a checkpoint of several files, or with a checkpoint for a given model.
const (
	NoWeights        Class = "no_weights" // the folder has no safetensors weights
	InvalidJSON      Class = "invalid_json"
	InvalidUTF8      Class = "invalid_utf8"
	MissingField     Class = "missing_field"
	WrongType        Class = "wrong_type"
	BadShardName     Class = "bad_shard_name"
	MissingShard     Class = "missing_shard"
	MissingTensor    Class = "missing_tensor"
	UnexpectedTensor Class = "unexpected_tensor"
	ShapeMismatch    Class = "shape_mismatch"
	DTypeMismatch    Class = "dtype_mismatch"
	ChecksumMismatch Class = "checksum_mismatch"
)

// Error is one fault of one file.
type Error struct {
	File   string // path as it was opened; "" for bytes in memory
	Tensor string // "" where the fault is not one tensor's
	Class  Class
	Msg    string // what was found, what was expected, what to do
	Err    error  // the cause, if another package reported it
}

// Error reads `FILE: tensor "NAME": MSG (CLASS): CAUSE`.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ": ")
	}
	if e.Tensor != "" {
		b.WriteString("tensor " + quote(e.Tensor) + ": ")
	}
	fmt.Fprintf(&b, "%s (%s)", e.Msg, e.Class)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the class and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

func fault(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Msg: fmt.Sprintf(format, args...)}
}

func (e *Error) in(file string) *Error   { e.File = file; return e }
func (e *Error) of(tensor string) *Error { e.Tensor = tensor; return e }
func (e *Error) by(cause error) *Error   { e.Err = cause; return e }

// quote makes a name from a file safe and short enough for a message.
func quote(name string) string {
	const most = 120 // characters
	if r := []rune(name); len(r) > most {
		return strconv.Quote(string(r[:most])) + fmt.Sprintf("… (%d characters)", len(r))
	}
	return strconv.Quote(name)
}
