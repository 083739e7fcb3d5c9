package data_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

const chatML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"

// TestBadInputsControlText: no control id comes from a field. Each message has the ids of the template and no other.
func TestBadInputsControlText(t *testing.T) {
	folder, cases := badCases(t)
	found := false
	for _, c := range cases {
		if len(c.Forbidden) == 0 {
			continue
		}
		found = true
		t.Run(filepath.Base(c.File), func(t *testing.T) {
			tok := templated(t, filepath.Join(folder, filepath.FromSlash(c.Tokenizer)))
			source := data.File{Path: filepath.Join(folder, filepath.FromSlash(c.File))}
			samples, ledger, err := data.Encode(t.Context(), tok, source, data.EncodeConfig{})
			require.NoError(t, err)
			requireBalanced(t, ledger, samples)
			require.Len(t, samples, *c.GoodRecords)
			i := 0
			for conversation, err := range source.Conversations() {
				require.NoError(t, err)
				for _, token := range c.Forbidden {
					id, ok := tok.ID(token)
					require.True(t, ok)
					want := 0
					if token == "<|im_start|>" || token == "<|im_end|>" {
						want = len(conversation.Messages)
					}
					assert.Equal(t, want, count(samples[i].IDs, id), "%s of %s", token, conversation.Place)
				}
				for _, m := range conversation.Messages {
					assert.Contains(t, tok.Decode(samples[i].IDs, false), m.Content, "the text is kept")
				}
				i++
			}
		})
	}
	require.True(t, found, "no case with control tokens in its text")
}

// templated loads a lone tokenizer.json with a ChatML template.
func templated(t *testing.T, path string) *tokenizer.Tokenizer {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	config, err := json.Marshal(map[string]string{"chat_template": chatML, "eos_token": "<|im_end|>"})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), config, 0o600))
	tok, err := tokenizer.Load(dir)
	require.NoError(t, err)
	return tok
}
