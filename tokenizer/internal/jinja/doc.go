// Package jinja renders Jinja templates as Jinja 3.1 does in the set-up of Hugging Face transformers: an immutable
// sandbox with trim_blocks and lstrip_blocks, loop controls, {% generation %}, and json.dumps as tojson.
//
// A template raises where Python raises: adding a number to a string, the attribute of an undefined value, a method
// that lists do not have. Every string knows which of its characters came from the caller's data ([Mark]); that is
// what keeps control tokens written by a user apart from those written by the template, and finds a message's text in
// the result.
//
//	t, err := jinja.Parse(source)
//	out, err := t.Render(vars, jinja.Options{})
package jinja
