package tokenizer

import (
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// FileError says what is wrong in a tokenizer's file, and where.
type FileError struct {
	File  string // path
	Field string // place inside the file, such as model.merges[9]; empty for the file as a whole
	Class string // the kind of fault: invalid_json, invalid_utf8, not_an_object, missing_field, wrong_type, bad_value, bad_merge, duplicate_id, duplicate_key, incomplete_alphabet, too_deep
	Msg   string
}

// Error is "file: field: message".
func (e *FileError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", e.File, e.Field, e.Msg)
}

// ErrNoChatTemplate is returned where a conversation is to be rendered and the checkpoint ships no template.
var ErrNoChatTemplate = errors.New("the checkpoint has no chat template; name a built-in one in ChatOptions.DefaultTemplate")

// inFile gives a fault its file.
func inFile(path string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return &FileError{File: path, Field: f.Field, Class: f.Class, Msg: f.Msg}
	}
	return fmt.Errorf("%s: %w", path, err)
}
