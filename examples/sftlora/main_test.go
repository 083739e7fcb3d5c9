package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/train/observe"
)

// The program that README.md shows is this one, line by line.
func TestREADMEShowsThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		readme, err := os.ReadFile(filepath.Join("..", "..", name))
		require.NoError(t, err)
		if !strings.Contains(string(readme), "\n```go\n"+string(program)+"```\n") {
			t.Errorf("the program in %s is not examples/sftlora/main.go; copy it there", name)
		}
	}
}

func TestFineTunesAndSavesAnAdapter(t *testing.T) {
	dir := t.TempDir()
	checkpoint, records, out := filepath.Join(dir, "checkpoint"), filepath.Join(dir, "records.jsonl"), filepath.Join(dir, "out")
	saveTiny(t, checkpoint)
	var lines strings.Builder
	for i := range 16 {
		fmt.Fprintf(&lines, `{"instruction": "Count to %d.", "input": "", "output": "%d, that is all."}`+"\n", i, i)
	}
	require.NoError(t, os.WriteFile(records, []byte(lines.String()), 0o666))

	require.NoError(t, run(t.Context(), checkpoint, records, out))

	events, err := observe.ReadJSONL(filepath.Join(out, "metrics.jsonl"))
	require.NoError(t, err)
	_, steps := observe.All[observe.Step](events)
	assert.Len(t, steps, 6, "three epochs of two steps")
	assert.FileExists(t, filepath.Join(out, "loss.png"))

	lm, err := model.Load(t.Context(), checkpoint, model.LoadConfig{})
	require.NoError(t, err)
	defer lm.Close()
	adapter, err := lora.Load(lm, out)
	require.NoError(t, err)
	defer adapter.Close()
	assert.Len(t, adapter.Modules(), 2*2, "q_proj and k_proj of two layers")
}

func TestNamesTheBadRecord(t *testing.T) {
	dir := t.TempDir()
	checkpoint, records := filepath.Join(dir, "checkpoint"), filepath.Join(dir, "records.jsonl")
	saveTiny(t, checkpoint)
	require.NoError(t, os.WriteFile(records, []byte(`{"instruction": "a", "output": "b"}`+"\n"+`{"instruction": "a"}`+"\n"), 0o666))
	err := run(t.Context(), checkpoint, records, filepath.Join(dir, "out"))
	assert.ErrorContains(t, err, records+":2: ")
	assert.NoDirExists(t, filepath.Join(dir, "out"), "nothing is written")
}

// saveTiny writes a two-layer checkpoint with random weights and a tokenizer of the reference cases.
func saveTiny(t *testing.T, dir string) {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Dir(testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/tokenizer.json")[0]))
	require.NoError(t, err)
	config, err := arch.Parse("config.json", fmt.Appendf(nil, `{"model_type": "llama", "architectures": ["LlamaForCausalLM"],
		"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
		"max_position_embeddings": 512, "rms_norm_eps": 1e-6, "vocab_size": %d}`, tok.Size()))
	require.NoError(t, err)
	lm, err := model.New(config, tok, 1, model.LoadConfig{})
	require.NoError(t, err)
	defer lm.Close()
	require.NoError(t, lm.Save(dir, model.SaveConfig{}))
}
