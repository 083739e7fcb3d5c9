package safetensors

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// IndexFile is the name of the list of shards in a checkpoint folder, SingleFile that of a checkpoint of one file.
const (
	IndexFile  = "model.safetensors.index.json"
	SingleFile = "model.safetensors"
)

// index is the content of model.safetensors.index.json.
type index struct {
	shards    map[string]string // shard of each tensor
	totalSize int64             // bytes of all tensors; −1 where it is not given
}

func readIndex(path string) (index, *Error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return index{}, unreadable(err)
	case !info.Mode().IsRegular():
		return index{}, fault(Unreadable, "is not a regular file (%s)", info.Mode().Type())
	case info.Size() > maxHeader:
		return index{}, fault(HeaderTooLarge, "has %d bytes; at most %d are read", info.Size(), maxHeader)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return index{}, unreadable(err)
	}
	return parseIndex(text)
}

func parseIndex(text []byte) (index, *Error) {
	if !utf8.Valid(text) {
		return index{}, fault(InvalidUTF8, "is not UTF-8")
	}
	x := index{totalSize: -1}
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	err := indexObject(d, "the index", func(field string) *Error {
		switch field {
		case "weight_map":
			return x.readMap(d)
		case "metadata":
			return x.readMetadata(d)
		}
		return indexSyntax(d.SkipValue())
	})
	if err != nil {
		return index{}, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return index{}, fault(InvalidJSON, "has data after its object")
	}
	return x, x.check()
}

func (x *index) check() *Error {
	switch {
	case x.shards == nil:
		return fault(MissingField, "has no weight_map, the object that gives each tensor's shard")
	case len(x.shards) == 0:
		return fault(MissingTensor, "weight_map lists no tensor")
	}
	return nil
}

func (x *index) readMap(d *jsontext.Decoder) *Error {
	x.shards = map[string]string{}
	return indexObject(d, "weight_map", func(tensor string) *Error {
		if kind := d.PeekKind(); kind != '"' && kind != 0 {
			return fault(WrongType, "weight_map gives no string as shard").of(tensor)
		}
		token, err := d.ReadToken()
		if err != nil {
			return indexSyntax(err)
		}
		shard := token.String()
		if !plainName(shard) {
			return fault(BadShardName, "its shard is named %s; want the plain name of a .safetensors file in the same folder, "+
				"and nothing else is opened", quote(shard)).of(tensor)
		}
		x.shards[tensor] = shard
		return nil
	})
}

// readMetadata takes the total size and lets everything else pass: metadata is only information.
func (x *index) readMetadata(d *jsontext.Decoder) *Error {
	if d.PeekKind() != '{' {
		return indexSyntax(d.SkipValue())
	}
	return indexObject(d, "metadata", func(field string) *Error {
		value, err := d.ReadValue()
		if field == "total_size" {
			if f, err := strconv.ParseFloat(string(value), 64); err == nil && f >= 0 && f < math.MaxInt64 {
				x.totalSize = int64(f) // written as a float by some
			}
		}
		return indexSyntax(err)
	})
}

func indexObject(d *jsontext.Decoder, what string, member func(name string) *Error) *Error {
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return fault(WrongType, "%s is not an object", what)
	}
	if _, err := d.ReadToken(); err != nil {
		return indexSyntax(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return indexSyntax(err)
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return indexSyntax(err)
}

func indexSyntax(err error) *Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fault(DuplicateKey, "a key stands twice in one object").by(err)
	}
	return fault(InvalidJSON, "is not JSON: cut short or damaged").by(err)
}

// plainName reports whether a shard's name can only mean a file in the index's own folder, on every system.
func plainName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && len(name) <= 255 &&
		name[0] != '.' && name[0] != '-' &&
		!strings.ContainsAny(name, `/\:`) && strings.IndexFunc(name, unicode.IsControl) < 0 &&
		filepath.IsLocal(name) && filepath.Base(name) == name
}
