package jinja

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// fromJSON reads a value with its keys in order; its strings are data.
func fromJSON(t testing.TB, data []byte) Value {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := readValue(dec)
	require.NoError(t, err)
	return v
}

func readValue(dec *json.Decoder) (Value, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Number:
		return parseNumber(token), nil
	case string:
		return Data(token, 0), nil
	case json.Delim:
		if token == '[' {
			out := NewList()
			for dec.More() {
				v, err := readValue(dec)
				if err != nil {
					return nil, err
				}
				out.Items = append(out.Items, v)
			}
			_, err := dec.Token()
			return out, err
		}
		out := NewDict()
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			out.Set(Data(key.(string), 0), v)
		}
		_, err := dec.Token()
		return out, err
	}
	return token, nil
}
