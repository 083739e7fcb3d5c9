package torch

// #include <stdlib.h>
// #include "kernels.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// ErrOutOfMemory is what an allocation that failed satisfies with errors.Is.
var ErrOutOfMemory = errors.New("out of memory")

// Error is a refused operation: its name, what libtorch said, and the tensors that went in.
type Error struct {
	Op     string   // linear, rms_norm, …
	Inputs []string // each input's shape, type and place, in argument order
	Reason string   // libtorch's first line
}

// Error reads like: linear: mat1 and mat2 shapes cannot be multiplied: [412 64] float32, [128 32] float32
func (e *Error) Error() string {
	if len(e.Inputs) == 0 {
		return e.Op + ": " + e.Reason
	}
	return fmt.Sprintf("%s: %s: %s", e.Op, e.Reason, strings.Join(e.Inputs, ", "))
}

// Is makes errors.Is(err, ErrOutOfMemory) work.
func (e *Error) Is(target error) bool {
	return target == ErrOutOfMemory && (strings.Contains(e.Reason, "out of memory") || strings.Contains(e.Reason, "not enough memory"))
}

// fail panics with what libtorch or a kernel last reported on this thread.
func fail(op string, in ...*Tensor) {
	e := &Error{Op: op, Reason: lastError()}
	for _, t := range in {
		e.Inputs = append(e.Inputs, t.String())
	}
	panic(e)
}

func lastError() string {
	text := pending()
	if text == "" {
		return "refused without a reason"
	}
	return text
}

// pending takes the message of a failure that no return value has told; "" when there is none.
func pending() string {
	message := C.ft_error()
	if message == nil {
		message = (*C.char)(unsafe.Pointer(lib.GetAndResetLastErr()))
	}
	if message == nil {
		return ""
	}
	defer C.free(unsafe.Pointer(message))
	text := C.GoString(message)
	// What follows is the C++ stack, of no use to a Go caller.
	if i := strings.Index(text, "\nException raised from"); i >= 0 {
		text = text[:i]
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ")
}
