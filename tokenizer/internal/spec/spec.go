// Package spec reads the small parts of tokenizer.json: objects whose "type" names what they are.
package spec

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
)

// Raw is a JSON value not looked into yet.
type Raw = jsontext.Value

// IsNull tells whether the value is missing or null.
func IsNull(raw Raw) bool { return len(raw) == 0 || raw.Kind() == 'n' }

// Decode reads a value into a struct; field is its path in the file.
func Decode(raw Raw, field string, into any) error {
	err := json.Unmarshal(raw, into)
	if err == nil {
		return nil
	}
	return Fault(err, field)
}

// Fault turns an error of the JSON library into one with a class.
func Fault(err error, field string) error {
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		if at := pointer(semantic.JSONPointer); at != "" {
			field = strings.TrimPrefix(field+"."+at, ".")
		}
		return fault.New(fault.WrongType, field, "is a JSON %s; want %s", semantic.JSONKind, want(semantic))
	}
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		return fault.New(fault.InvalidJSON, field, "%v", err)
	}
	class := fault.InvalidJSON
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		class = fault.DuplicateKey
	case strings.Contains(err.Error(), "exceeded max depth"):
		class = fault.TooDeep
	}
	if at := pointer(syntactic.JSONPointer); at != "" {
		field = strings.TrimPrefix(field+"."+at, ".")
	}
	return fault.New(class, field, "byte %d: %v", syntactic.ByteOffset, syntactic.Err)
}

func pointer(p jsontext.Pointer) string {
	text := strings.ReplaceAll(strings.TrimPrefix(string(p), "/"), "/", ".")
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}

func want(e *json.SemanticError) string {
	if e.GoType == nil {
		return "another type"
	}
	return e.GoType.String()
}

// Kind reads the "type" of an object.
func Kind(raw Raw, field string) (string, error) {
	if raw.Kind() != '{' {
		return "", fault.New(fault.WrongType, field, "is not an object; want one with a type")
	}
	var head struct {
		Type *string `json:"type"`
	}
	if err := Decode(raw, field, &head); err != nil {
		return "", err
	}
	if head.Type == nil {
		return "", fault.New(fault.MissingField, field+".type", "is missing")
	}
	return *head.Type, nil
}

// Index is the path of a list's element.
func Index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
