package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// generationFile is generation_config.json: how the checkpoint's authors want it to generate. Unknown fields are kept.
type generationFile map[string]any

const generationName = "generation_config.json"

func readGeneration(dir string) (generationFile, error) {
	data, err := os.ReadFile(filepath.Join(dir, generationName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	var g generationFile
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, fmt.Errorf("model: %s: %w", filepath.Join(dir, generationName), err)
	}
	return g, nil
}

// EndTokens are the ids that end an answer: those of generation_config.json, config.json and the tokenizer.
func (m *Model) EndTokens() []int32 {
	var ids []int32
	add := func(id int32) {
		if id >= 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch v := m.generation["eos_token_id"].(type) {
	case float64:
		add(int32(v))
	case []any:
		for _, item := range v {
			if n, ok := item.(float64); ok {
				add(int32(n))
			}
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
