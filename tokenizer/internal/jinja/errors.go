package jinja

import "fmt"

// Error is what a template raises.
type Error struct {
	Line int    // of the template; 0 where unknown
	Msg  string // for raise_exception the template's own words
	Own  bool   // raised by the template itself, with raise_exception
}

func (e *Error) Error() string {
	if e.Line == 0 || e.Own {
		return e.Msg
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// raise ends rendering; Render and Parse turn it into an error. Expressions so stay expressions.
func raise(format string, args ...any) { panic(&Error{Msg: fmt.Sprintf(format, args...)}) }

// caught turns a raised error into a returned one; other panics go on.
func caught(err *error, line func() int) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		if r.Line == 0 {
			r.Line = line()
		}
		*err = r
	default:
		panic(r)
	}
}
