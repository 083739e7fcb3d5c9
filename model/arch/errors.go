package arch

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a config.json.
type Problem struct {
	Class string // invalid_json, invalid_utf8, not_an_object, duplicate_key, too_deep, missing_field, bad_value, unsupported
	Field string // path of the field, "" for the file as a whole
	Text  string // what was found, what was expected, what to do
}

// Error is a refused config.json with every problem found in it.
type Error struct {
	File     string
	Problems []Problem
}

// Error lists the problems: config.json: hidden_size is -64; want 1 to 1048576
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = strings.TrimSpace(p.Field + " " + p.Text)
	}
	return fmt.Sprintf("%s: %s", e.File, strings.Join(lines, "; "))
}

// Class is the class of the first problem.
func (e *Error) Class() string { return e.Problems[0].Class }
