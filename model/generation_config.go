package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// generationFile is generation_config.json: how the checkpoint's authors want it to generate. Unknown fields are kept, and numbers as
// they were written: transformers refuses a temperature of 2 where it wants 2.0.
type generationFile struct {
	fields map[string]any
	end    []int32 // eos_token_id
}

const generationName = "generation_config.json"

// readGeneration reads the file if there is one. Its end tokens must be among the vocabulary's: one that cannot come never ends a text.
func readGeneration(dir string, vocabulary int) (*generationFile, error) {
	path := filepath.Join(dir, generationName)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	g := &generationFile{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&g.fields); err != nil {
		return nil, fmt.Errorf("model: %s: is not a JSON object: %w", path, err)
	}
	if g.end, err = tokenIDs(g.fields["eos_token_id"], vocabulary); err != nil {
		return nil, fmt.Errorf("model: %s: eos_token_id %w", path, err)
	}
	return g, nil
}

// tokenIDs reads one id, a list of them, or null.
func tokenIDs(value any, vocabulary int) (ids []int32, err error) {
	list, many := value.([]any)
	if !many && value != nil {
		list = []any{value}
	}
	for _, item := range list {
		number, _ := item.(json.Number)
		id, err := strconv.ParseInt(number.String(), 10, 32)
		if err != nil || id < 0 || id >= int64(vocabulary) {
			return nil, fmt.Errorf("is %v; want token ids from 0 to %d (vocab_size %d)", value, vocabulary-1, vocabulary)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// EndTokens are the ids that end an answer: those of generation_config.json, config.json and the tokenizer.
func (m *Model) EndTokens() []int32 {
	var ids []int32
	add := func(id int32) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if m.generation != nil {
		for _, id := range m.generation.end {
			add(id)
		}
	}
	for _, id := range m.Config.Special.EOS {
		add(int32(id))
	}
	if m.Tokenizer != nil {
		if id, ok := m.Tokenizer.EOS(); ok {
			add(id)
		}
	}
	return ids
}
