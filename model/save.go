package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
)

// SaveConfig says how a checkpoint is written. The zero value keeps the type that the model computes in.
type SaveConfig struct {
	DType         string // storage type: "" for the model's, float32, bfloat16, float16
	MaxShardBytes int64  // largest file; 0 means 50 GB, as transformers
}

// Save writes the model as transformers does, so that transformers loads it: config.json, generation_config.json, safetensors
// under the names they came with, and the tokenizer. Adapters are not part of it; merge them first. Each file is replaced whole.
func (m *Model) Save(dir string, c SaveConfig) error {
	if err := m.usable(); err != nil {
		return err
	}
	dtype, err := c.dtype(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	var sources []safetensors.Source
	for _, p := range m.parameters {
		sources = append(sources, TensorSource(p.Name, p.Tensor, p.Shape, dtype))
	}
	options := safetensors.Options{Metadata: map[string]string{"format": "pt"}}
	if _, err := safetensors.WriteSharded(dir, sources, c.MaxShardBytes, options); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return m.saveDescription(dir, dtype)
}

// saveDescription writes what stands beside the weights.
func (m *Model) saveDescription(dir string, dtype torch.DType) error {
	config := map[string]any{}
	for k, v := range m.Config.Source {
		config[k] = v
	}
	config["architectures"] = []string{m.Config.Architecture}
	for _, key := range []string{"torch_dtype", "dtype"} {
		if _, ok := config[key]; ok || key == "torch_dtype" {
			config[key] = dtype.String()
		}
	}
	if err := writeJSON(filepath.Join(dir, "config.json"), config); err != nil {
		return err
	}
	if m.generation != nil {
		if err := writeJSON(filepath.Join(dir, generationName), m.generation); err != nil {
			return err
		}
	}
	if m.Tokenizer == nil {
		return nil
	}
	if err := m.Tokenizer.Save(dir); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}

func (c SaveConfig) dtype(m *Model) (torch.DType, error) {
	switch c.DType {
	case "":
		return m.dtype, nil
	case "float32":
		return torch.Float32, nil
	case "bfloat16":
		return torch.BFloat16, nil
	case "float16":
		return torch.Float16, nil
	}
	return 0, fmt.Errorf("model: DType is %q; want float32, bfloat16 or float16", c.DType)
}

// TensorSource writes t under name as elements of dtype when its turn comes; only then is a copy made.
func TensorSource(name string, t *torch.Tensor, shape []int64, dtype torch.DType) safetensors.Source {
	format := map[torch.DType]safetensors.DType{torch.Float32: safetensors.F32, torch.Float16: safetensors.F16,
		torch.BFloat16: safetensors.BF16, torch.Float64: safetensors.F64}[dtype]
	return safetensors.Source{Name: name, DType: format, Shape: shape, Write: func(w io.Writer) error {
		var data []byte
		if err := torch.Do(func(s *torch.Scope) { data = s.To(t, dtype).Bytes() }); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}}
}

// writeJSON replaces path by v with two spaces of indent, without escaping what HTML would.
func writeJSON(path string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("model: %s: %w", path, err)
	}
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}
