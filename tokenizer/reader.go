package tokenizer

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/model"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
)

// contents is tokenizer.json taken apart but not yet built.
type contents struct {
	added         []addedToken
	normalizer    spec.Raw
	preTokenizer  spec.Raw
	postProcessor spec.Raw
	decoder       spec.Raw
	model         modelContents
}

// modelContents is the "model" object. Vocabulary and merges are read as a stream: they are most of the file.
type modelContents struct {
	found  bool
	small  jsontext.Value // the other fields, as one object
	vocab  map[string]int32
	pieces []model.Piece
	merges [][2]string
}

// addedToken is a token that is found in the text before the model sees it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// read takes the bytes of tokenizer.json apart. Errors are *fault.Error.
func read(data []byte) (*contents, error) {
	if !utf8.Valid(data) {
		return nil, fault.New(fault.InvalidUTF8, "", "byte %d is not UTF-8", invalidAt(data))
	}
	r := &reader{dec: jsontext.NewDecoder(bytes.NewReader(data))}
	c := &contents{}
	if r.dec.PeekKind() != '{' {
		if _, err := r.dec.ReadValue(); err != nil {
			return nil, r.fault(err, "")
		}
		return nil, fault.New(fault.NotAnObject, "", "is not a JSON object")
	}
	if err := r.object("", func(key string) error { return r.topLevel(c, key) }); err != nil {
		return nil, err
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return nil, fault.New(fault.InvalidJSON, "", "byte %d: more data after the object", r.dec.InputOffset())
	}
	if !c.model.found {
		return nil, fault.New(fault.MissingField, "model", "is missing")
	}
	return c, nil
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

type reader struct{ dec *jsontext.Decoder }

func (r *reader) fault(err error, field string) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fault.New(fault.InvalidJSON, field, "ends at byte %d in the middle of a value", r.dec.InputOffset())
	}
	return spec.Fault(err, field)
}

// object calls each for every key; it must consume the value.
func (r *reader) object(field string, each func(key string) error) error {
	if kind := r.dec.PeekKind(); kind != '{' && kind != 0 {
		return fault.New(fault.WrongType, field, "is %s; want an object", kind)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return r.fault(err, field)
	}
	for r.dec.PeekKind() != '}' {
		key, err := r.dec.ReadToken()
		if err != nil {
			return r.fault(err, field)
		}
		if err := each(key.String()); err != nil {
			return err
		}
	}
	return r.skip(field)
}

// skip reads a token that is known: an end, or null.
func (r *reader) skip(field string) error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.fault(err, field)
	}
	return nil
}

// list calls each for every element; it must consume it.
func (r *reader) list(field string, each func(i int) error) error {
	if kind := r.dec.PeekKind(); kind != '[' && kind != 0 {
		return fault.New(fault.WrongType, field, "is %s; want a list", kind)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return r.fault(err, field)
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if err := each(i); err != nil {
			return err
		}
	}
	return r.skip(field)
}

func (r *reader) value(field string, into *spec.Raw) error {
	value, err := r.dec.ReadValue()
	if err != nil {
		return r.fault(err, field)
	}
	*into = value.Clone()
	return nil
}

func (r *reader) text(field string) (string, error) {
	if kind := r.dec.PeekKind(); kind != '"' && kind != 0 {
		return "", fault.New(fault.WrongType, field, "is %s; want a string", kind)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return "", r.fault(err, field)
	}
	return token.String(), nil
}

// within gives a fault its place; the place is only written out when there is a fault.
func within(err error, field func() string) error {
	var f *fault.Error
	if errors.As(err, &f) && !strings.HasPrefix(f.Field, "model") {
		return fault.New(f.Class, field(), "%s", f.Msg)
	}
	return err
}

// maxID is the largest id that a file may use; tables are indexed by id.
const maxID = 1<<31 - 2

func (r *reader) id(field string) (int32, error) {
	if kind := r.dec.PeekKind(); kind != '0' && kind != 0 {
		return 0, fault.New(fault.WrongType, field, "is %s; want a number", kind)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return 0, r.fault(err, field)
	}
	id, err := strconv.ParseInt(token.String(), 10, 64)
	if err != nil || id < 0 || id > maxID {
		return 0, fault.New(fault.BadValue, field, "is %s; want an id from 0 to %d", token.String(), maxID)
	}
	return int32(id), nil
}

func (r *reader) topLevel(c *contents, key string) error {
	switch key {
	case "added_tokens":
		return r.added(c)
	case "normalizer":
		return r.value(key, &c.normalizer)
	case "pre_tokenizer":
		return r.value(key, &c.preTokenizer)
	case "post_processor":
		return r.value(key, &c.postProcessor)
	case "decoder":
		return r.value(key, &c.decoder)
	case "model":
		if r.dec.PeekKind() == 'n' { // null is no model
			return r.skip(key)
		}
		return r.model(&c.model)
	}
	var other spec.Raw // version, truncation, padding: of no effect on a text's ids
	return r.value(key, &other)
}

func (r *reader) added(c *contents) error {
	if r.dec.PeekKind() == 'n' {
		return r.skip("added_tokens")
	}
	return r.list("added_tokens", func(i int) error {
		field := spec.Index("added_tokens", i)
		var raw spec.Raw
		if err := r.value(field, &raw); err != nil {
			return err
		}
		var a struct {
			addedToken
			ID      *jsontext.Value `json:"id"`
			Content *string         `json:"content"`
		}
		if err := spec.Decode(raw, field, &a); err != nil {
			return err
		}
		if a.ID == nil || a.Content == nil {
			return fault.New(fault.MissingField, field, "has no id or no content")
		}
		id, err := (&reader{jsontext.NewDecoder(bytes.NewReader(*a.ID))}).id(field + ".id")
		if err != nil {
			return err
		}
		a.addedToken.ID, a.addedToken.Content = id, *a.Content
		c.added = append(c.added, a.addedToken)
		return nil
	})
}

func (r *reader) model(m *modelContents) error {
	m.found = true
	small := []byte{'{'}
	err := r.object("model", func(key string) error {
		switch key {
		case "vocab":
			if r.dec.PeekKind() == '[' {
				return r.pieces(m)
			}
			return r.vocab(m)
		case "merges":
			return r.merges(m)
		}
		var value spec.Raw
		if err := r.value("model."+key, &value); err != nil {
			return err
		}
		if len(small) > 1 {
			small = append(small, ',')
		}
		var err error
		small, err = jsontext.AppendQuote(small, key)
		small = append(append(small, ':'), value...)
		return err
	})
	m.small = append(small, '}')
	return err
}

func (r *reader) vocab(m *modelContents) error {
	m.vocab = map[string]int32{}
	return r.object("model.vocab", func(token string) error {
		id, err := r.id("")
		m.vocab[token] = id
		return within(err, func() string { return "model.vocab[" + strconv.Quote(token) + "]" })
	})
}

// pieces reads a Unigram vocabulary: a list of [text, score].
func (r *reader) pieces(m *modelContents) error {
	m.pieces = []model.Piece{}
	return r.list("model.vocab", func(i int) error {
		var p model.Piece
		n := 0
		err := r.list("", func(j int) (err error) {
			switch n++; j {
			case 0:
				p.Text, err = r.text("")
			case 1:
				p.Score, err = r.number("")
			default:
				if err = r.dec.SkipValue(); err != nil {
					err = r.fault(err, "")
				}
			}
			return err
		})
		if err == nil && n != 2 {
			err = fault.New(fault.BadValue, "", "has %d elements; want text and score", n)
		}
		m.pieces = append(m.pieces, p)
		return within(err, func() string { return spec.Index("model.vocab", i) })
	})
}

func (r *reader) number(field string) (float64, error) {
	if kind := r.dec.PeekKind(); kind != '0' && kind != 0 {
		return 0, fault.New(fault.WrongType, field, "is %s; want a number", kind)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return 0, r.fault(err, field)
	}
	value, err := token.Float()
	if err != nil {
		return 0, fault.New(fault.BadValue, field, "%v", err)
	}
	return value, nil
}

// merges reads a list of "left right" or of [left, right].
func (r *reader) merges(m *modelContents) error {
	m.merges = [][2]string{}
	return r.list("model.merges", func(i int) error {
		if r.dec.PeekKind() == '[' {
			return within(r.pair(m), func() string { return spec.Index("model.merges", i) })
		}
		text, err := r.text(spec.Index("model.merges", i))
		if err != nil || strings.HasPrefix(text, "#version") { // a line that old conversions took along
			return err
		}
		left, right, found := cutOnce(text)
		if !found {
			return fault.New(fault.BadMerge, spec.Index("model.merges", i), "is %q; want two parts with one space between", text)
		}
		m.merges = append(m.merges, [2]string{left, right})
		return nil
	})
}

func (r *reader) pair(m *modelContents) error {
	var pair [2]string
	n := 0
	err := r.list("", func(j int) error {
		text, err := r.text("")
		if n++; j < 2 {
			pair[j] = text
		}
		return err
	})
	if err == nil && n != 2 {
		err = fault.New(fault.BadMerge, "", "has %d parts; want 2", n)
	}
	m.merges = append(m.merges, pair)
	return err
}

func cutOnce(s string) (left, right string, ok bool) {
	for i := range len(s) {
		if s[i] == ' ' {
			if ok {
				return "", "", false
			}
			left, right, ok = s[:i], s[i+1:], true
		}
	}
	return left, right, ok && left != "" && right != ""
}
