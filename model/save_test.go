package model_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
)

func load(t testing.TB, dir string, c model.LoadConfig) *model.Model {
	t.Helper()
	m, err := model.Load(context.Background(), dir, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// What was saved is loaded bit for bit, in one file or many.
func TestSavedAndLoadedIsTheSame(t *testing.T) {
	for _, dtype := range []string{"float32", "bfloat16", "float16", "float64"} {
		for shards, limit := range map[string]int64{"one file": 0, "shards": 10_000} {
			for head, description := range map[string]string{"tied": tied, "untied": untied} {
				t.Run(dtype+" "+head+" "+shards, func(t *testing.T) {
					m, out := newModel(t, description, model.LoadConfig{DType: dtype}), t.TempDir()
					require.NoError(t, m.Save(out, model.SaveConfig{MaxShardBytes: limit}))
					again := load(t, out, model.LoadConfig{DType: dtype})
					assert.Equal(t, weights(t, m), weights(t, again))
					assert.Equal(t, m.Parameter("lm_head.weight") == nil, again.Parameter("lm_head.weight") == nil)
					b := model.Sequences(tokens(9, 1))
					assert.Equal(t, logits(t, m, b, nil), logits(t, again, b, nil))
					checkFiles(t, out, limit > 0, head == "untied")
					assert.Equal(t, dtype, again.Config.DType)
				})
			}
		}
	}
}

func checkFiles(t *testing.T, out string, sharded, head bool) {
	t.Helper()
	if sharded {
		assert.NoFileExists(t, filepath.Join(out, "model.safetensors"))
		assert.FileExists(t, filepath.Join(out, "model.safetensors.index.json"))
	} else {
		assert.FileExists(t, filepath.Join(out, "model.safetensors"))
	}
	c, err := safetensors.OpenModel(out)
	require.NoError(t, err)
	defer c.Close()
	_, stored := c.Tensor("lm_head.weight")
	assert.Equal(t, head, stored, "a tied head is stored once, as the embedding")
	assert.Empty(t, c.Warnings())
	left, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left, "temporary files")
}

// Storing in 16 bits rounds each weight once, to nearest even, as conversion does.
func TestStoringInAShorterType(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	for name, dtype := range map[string]torch.DType{"bfloat16": torch.BFloat16, "float16": torch.Float16} {
		out := t.TempDir()
		require.NoError(t, m.Save(out, model.SaveConfig{DType: name}))
		again := load(t, out, model.LoadConfig{DType: "auto"})
		assert.Equal(t, dtype, again.DType())
		require.NoError(t, torch.Do(func(s *torch.Scope) {
			for _, p := range m.Parameters() {
				assert.Equal(t, s.ToFloat32s(s.To(p.Tensor, dtype)), s.ToFloat32s(again.Parameter(p.Name).Tensor), p.Name)
			}
		}))
	}
	assert.ErrorContains(t, m.Save(t.TempDir(), model.SaveConfig{DType: "int4"}), "want float32, bfloat16, float16 or float64")
}

// A float16 that would be infinite is refused, not written.
func TestAValueTooLargeForFloat16(t *testing.T) {
	m, out := newModel(t, untied, model.LoadConfig{}), t.TempDir()
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		p := m.Parameter("model.norm.weight").Tensor
		values := s.ToFloat32s(p)
		values[3] = 70000
		s.Copy(p, s.Float32s(values))
	}))
	err := m.Save(out, model.SaveConfig{DType: "float16"})
	assert.ErrorContains(t, err, "model.norm.weight")
	assert.ErrorContains(t, err, "65504")
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	assert.Empty(t, entries, "no partial output")
	require.NoError(t, m.Save(out, model.SaveConfig{DType: "bfloat16"}))
}

func readMap(t *testing.T, path string) (text string, fields map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &fields))
	return string(data), fields
}

// config.json and generation_config.json keep fields nobody here knows, and numbers as they were written: transformers refuses a
// temperature of 2 where it wants 2.0.
func TestDescriptionsAreKept(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	config := tied[:len(tied)-1] + `,"rope_theta":10000.0,"rms_norm_eps":1e-06,"novel":{"a":[1,2.0]},"text":"<|im_end|> & 你好"}`
	m := newModel(t, config, model.LoadConfig{})
	require.NoError(t, m.Save(in, model.SaveConfig{}))
	require.NoError(t, os.WriteFile(filepath.Join(in, "generation_config.json"),
		[]byte(`{"do_sample": true, "temperature": 2.0, "top_p": 0.95, "eos_token_id": [3, 5], "novel": null}`), 0o666))
	loaded := load(t, in, model.LoadConfig{})
	assert.Equal(t, []int32{3, 5, 2}, loaded.EndTokens())
	require.NoError(t, loaded.Save(out, model.SaveConfig{}))
	text, fields := readMap(t, filepath.Join(out, "config.json"))
	assert.Contains(t, text, `"rope_theta": 10000.0`)
	assert.Contains(t, text, `"rms_norm_eps": 1e-06`)
	assert.Contains(t, text, `"text": "<|im_end|> & 你好"`)
	assert.Equal(t, map[string]any{"a": []any{1.0, 2.0}}, fields["novel"])
	assert.Equal(t, []any{"Qwen2ForCausalLM"}, fields["architectures"])
	text, fields = readMap(t, filepath.Join(out, "generation_config.json"))
	assert.Contains(t, text, `"temperature": 2.0`)
	assert.Contains(t, fields, "novel")
	assert.Equal(t, []any{3.0, 5.0}, fields["eos_token_id"])
}

// The type is named under the key that the file came with: dtype since transformers 4.56, torch_dtype before.
func TestTheTypeIsNamedWhereItWas(t *testing.T) {
	for field, want := range map[string]map[string]any{
		``:                         {"torch_dtype": "bfloat16"},
		`,"dtype":"float32"`:       {"dtype": "bfloat16"},
		`,"torch_dtype":"float32"`: {"torch_dtype": "bfloat16"},
		`,"torch_dtype":"float32","dtype":"float32"`: {"torch_dtype": "bfloat16", "dtype": "bfloat16"},
	} {
		m, out := newModel(t, tied[:len(tied)-1]+field+"}", model.LoadConfig{}), t.TempDir()
		require.NoError(t, m.Save(out, model.SaveConfig{DType: "bfloat16"}))
		_, fields := readMap(t, filepath.Join(out, "config.json"))
		got := map[string]any{}
		for _, key := range []string{"dtype", "torch_dtype"} {
			if v, ok := fields[key]; ok {
				got[key] = v
			}
		}
		assert.Equal(t, want, got, field)
	}
}

func TestTheTokenizerIsSavedBesideTheWeights(t *testing.T) {
	m, out := load(t, chatModel(t), model.LoadConfig{}), t.TempDir()
	require.NoError(t, m.Save(out, model.SaveConfig{}))
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		want, err := os.ReadFile(filepath.Join(chatModel(t), name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
	again := load(t, out, model.LoadConfig{})
	assert.Equal(t, m.EndTokens(), again.EndTokens())
	assert.Equal(t, m.Tokenizer.Encode("The cat"), again.Tokenizer.Encode("The cat"))
}

// Saving over the folder that a model came from reads nothing that it has overwritten; going from shards to one file and back leaves no
// file of the other kind behind.
func TestSavingOverItsOwnFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, newModel(t, untied, model.LoadConfig{}).Save(dir, model.SaveConfig{MaxShardBytes: 10_000}))
	m := load(t, dir, model.LoadConfig{})
	want := weights(t, m)
	for _, limit := range []int64{0, 20_000, 10_000, 0} {
		require.NoError(t, m.Save(dir, model.SaveConfig{MaxShardBytes: limit}))
		checkFiles(t, dir, limit > 0, true)
		assert.Equal(t, want, weights(t, load(t, dir, model.LoadConfig{})))
	}
}

func TestSavingWhereNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	err := newModel(t, tied, model.LoadConfig{}).Save(filepath.Join(file, "out"), model.SaveConfig{})
	assert.ErrorContains(t, err, file)
}

func TestATokenizerThatDoesNotFitANewModel(t *testing.T) {
	tok, err := tokenizer.Load(chatModel(t))
	require.NoError(t, err)
	config, err := arch.Parse("config.json", []byte(tied))
	require.NoError(t, err)
	_, err = model.New(config, tok, 1, model.LoadConfig{})
	assert.ErrorIs(t, err, model.ErrVocabMismatch)
	_, err = model.New(nil, nil, 1, model.LoadConfig{})
	assert.ErrorContains(t, err, "nil")
	_, err = model.New(config, nil, 1, model.LoadConfig{DType: "int8"})
	assert.ErrorContains(t, err, "int8")
	_, err = model.New(config, nil, 1, model.LoadConfig{Device: "tpu"})
	assert.ErrorContains(t, err, "tpu")
}
