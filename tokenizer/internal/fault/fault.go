// Package fault describes what is wrong in a file that came from outside.
package fault

import "fmt"

// Error is one fault. Class groups faults that a caller treats alike; Field is the path inside the file.
type Error struct {
	Class string
	Field string
	Msg   string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Msg
	}
	return e.Field + ": " + e.Msg
}

// New makes an Error; the rest is as for fmt.Sprintf.
func New(class, field, format string, args ...any) *Error {
	return &Error{class, field, fmt.Sprintf(format, args...)}
}

// The classes of faults in tokenizer files.
const (
	InvalidJSON        = "invalid_json"
	InvalidUTF8        = "invalid_utf8"
	NotAnObject        = "not_an_object"
	MissingField       = "missing_field"
	WrongType          = "wrong_type"
	BadValue           = "bad_value"
	BadMerge           = "bad_merge"
	DuplicateID        = "duplicate_id"
	DuplicateKey       = "duplicate_key"
	IncompleteAlphabet = "incomplete_alphabet"
	TooDeep            = "too_deep"
)
