package tokenizer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/tokenizer"
)

// byteLevelJSON is a tokenizer.json that knows single bytes, a few merges and three control tokens.
func byteLevelJSON() []byte {
	vocab := map[string]int{}
	for _, token := range byteAlphabet() {
		vocab[token] = len(vocab)
	}
	merges := []string{"h e", "l l", "ll o", "he llo", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld"}
	for _, merge := range merges {
		var a, b string
		fmt.Sscan(merge, &a, &b)
		vocab[a+b] = len(vocab)
	}
	type added struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	}
	n := len(vocab)
	data, err := json.Marshal(map[string]any{
		"added_tokens":  []added{{n, "<|endoftext|>", true}, {n + 1, "<|im_start|>", true}, {n + 2, "<|im_end|>", true}, {n + 3, "<think>", false}},
		"normalizer":    nil,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
		"decoder":       map[string]any{"type": "ByteLevel"},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": merges},
	})
	if err != nil {
		panic(err)
	}
	return data
}

// byteAlphabet are the characters that stand for the bytes 0 to 255.
func byteAlphabet() []string {
	var out []string
	next := rune(256)
	for b := rune(0); b < 256; b++ {
		r := b
		if !('!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b && b <= 'ÿ') {
			r = next
			next++
		}
		out = append(out, string(r))
	}
	return out
}

// checkpoint writes files into a folder.
func checkpoint(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func byteLevelWithTemplate(t testing.TB, template string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{
		"tokenizer.json":        string(byteLevelJSON()),
		"tokenizer_config.json": `{"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}}`,
		"chat_template.jinja":   template,
	}))
	require.NoError(t, err)
	return tok
}
