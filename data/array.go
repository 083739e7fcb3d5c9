package data

import (
	"bufio"
	"bytes"
	"io"
)

// elements yields the elements of one JSON array, without holding more than one of them. It follows strings and
// brackets only; whether an element is JSON is for the parser to say, so that one bad element does not end the walk.
type elements struct {
	in     *bufio.Reader
	file   string
	max    int
	line   int   // of the next byte
	offset int64 // of the next byte
	state  arrayState
	buf    []byte
}

type arrayState int

const (
	beforeArray arrayState = iota
	inArray
	afterArray
)

func (a *elements) here() Place { return Place{File: a.file, Line: a.line, Byte: a.offset} }

func (a *elements) next() ([]byte, Place, error) {
	c, err := a.skipSpace()
	if a.state == beforeArray { // the caller has seen the bracket
		a.take()
		a.state = inArray
		if c, err = a.skipSpace(); err == nil && c == ']' {
			a.take()
			a.state = afterArray
			c, err = a.skipSpace()
		}
	}
	place := a.here()
	switch {
	case err == io.EOF && a.state == inArray:
		return nil, place, a.unread(ErrInvalidJSON, "the array is not closed; the file is cut off")
	case err != nil:
		return nil, place, readError(place, err)
	case a.state == afterArray:
		return nil, place, a.unread(ErrTrailingData, "%s follows the end of the array", excerpt([]byte{c}))
	}
	return a.element(place)
}

func (a *elements) unread(class Class, format string, args ...any) *RecordError {
	e := fault(class, "", format, args...)
	e.Unread = true
	a.state = afterArray
	return e.at(a.here())
}

// skipSpace returns the next byte that is not white space, without taking it.
func (a *elements) skipSpace() (byte, error) {
	for {
		c, err := a.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, a.in.UnreadByte()
		}
		a.count([]byte{c})
	}
}

func (a *elements) take() {
	if c, err := a.in.ReadByte(); err == nil {
		a.count([]byte{c})
	}
}

func (a *elements) count(b []byte) {
	a.offset += int64(len(b))
	a.line += bytes.Count(b, []byte{'\n'})
}

// element collects the bytes up to the comma or bracket that ends the element.
func (a *elements) element(place Place) ([]byte, Place, error) {
	if cap(a.buf) > 1<<20 {
		a.buf = nil
	}
	a.buf = a.buf[:0]
	var scan elementScan
	size := 0
	for {
		if _, err := a.in.Peek(1); err != nil {
			if err == io.EOF {
				return nil, place, a.unread(ErrInvalidJSON, "the element that begins at line %d is cut off", place.Line)
			}
			return nil, place, readError(a.here(), err)
		}
		chunk, _ := a.in.Peek(a.in.Buffered())
		n, end := scan.feed(chunk)
		if size += n; size <= a.max {
			a.buf = append(a.buf, chunk[:n]...)
		}
		a.count(chunk[:n])
		a.in.Discard(n)
		if end {
			break
		}
	}
	if c, _ := a.in.Peek(1); c[0] == ']' {
		a.state = afterArray
	}
	a.take()
	switch text := bytes.TrimRight(a.buf, jsonSpace); {
	case size > a.max:
		return nil, place, fault(ErrTooLarge, "", "the element has %d bytes, over the limit of %d; raise MaxRecord if that is right", size, a.max).at(place)
	case len(text) == 0:
		return nil, place, fault(ErrInvalidJSON, "", "no element between two commas, or after the last one").at(place)
	default:
		return text, place, nil
	}
}

// elementScan follows strings and brackets to find the end of an element.
type elementScan struct {
	depth    int
	inString bool
	escaped  bool
}

// feed returns how many bytes of b belong to the element, and whether its end was found.
func (s *elementScan) feed(b []byte) (n int, end bool) {
	for i, c := range b {
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.escaped = c == '\\'
			s.inString = c != '"'
		case c == '"':
			s.inString = true
		case c == '{' || c == '[':
			s.depth++
		case s.depth == 0 && (c == ',' || c == ']'):
			return i, true
		case (c == '}' || c == ']') && s.depth > 0:
			s.depth--
		}
	}
	return len(b), false
}
