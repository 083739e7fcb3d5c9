package tokenizer_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// controlTokens are the control tokens of a tokenizer, as text.
func controlTokens(tok *tokenizer.Tokenizer) []string {
	var out []string
	for id := range int32(tok.Size()) {
		if token, ok := tok.Token(id); ok && tok.IsSpecial(id) {
			out = append(out, token)
		}
	}
	return out
}

func controlIDs(tok *tokenizer.Tokenizer, ids []int32) []int32 {
	var out []int32
	for _, id := range ids {
		if tok.IsSpecial(id) {
			out = append(out, id)
		}
	}
	return out
}

// TestGoldenChatPlainText writes control tokens into every field of every golden conversation. The control ids must be
// those of the same conversation with harmless words in their place, and no character may be lost.
func TestGoldenChatPlainText(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/cases.jsonl") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			attack := " " + strings.Join(controlTokens(tok), " x ") + "."
			shown := 0
			for i, c := range readLines[chatCase](t, path) {
				if c.Error == nil && checkAttack(t, tok, i, c, attack) {
					shown++
				}
			}
			if shown == 0 {
				t.Skip("the template shows no plain text: every other claim held")
			}
		})
	}
}

func checkAttack(t *testing.T, tok *tokenizer.Tokenizer, i int, c chatCase, attack string) (shown bool) {
	t.Helper()
	o := c.options()
	o.PlainText = true
	encode := func(added string) (tokenizer.Chat, string) {
		messages, options := withText(t, c.Messages, added), o
		options.Tools = nil
		for _, tool := range c.Tools {
			options.Tools = append(options.Tools, json.RawMessage(strings.ReplaceAll(string(tool), `"name":"`, `"name":"`+jsonText(added))))
		}
		chat, err := tok.EncodeChat(messages, options)
		require.NoError(t, err, "case %d", i)
		text, err := tok.RenderChat(messages, options)
		require.NoError(t, err, "case %d", i)
		return chat, text
	}
	harmless, _ := encode(" words x words.")
	attacked, text := encode(attack)
	assert.Equal(t, controlIDs(tok, harmless.IDs), controlIDs(tok, attacked.IDs), "case %d: a field yields control ids", i)
	assert.Len(t, attacked.Answers, len(harmless.Answers), "case %d", i)
	if !strings.HasPrefix(tok.Decode([]int32{}, false), "▁") && tok.Decode(attacked.IDs, false) != text {
		// SentencePiece-like tokenizers put a space after each control token; nothing else may differ.
		squeeze := strings.NewReplacer(" ", "", "▁", "")
		assert.Equal(t, squeeze.Replace(text), squeeze.Replace(tok.Decode(attacked.IDs, false)), "case %d: text is lost", i)
	}
	return strings.Contains(text, attack)
}

func jsonText(s string) string {
	data, _ := json.Marshal(s)
	return strings.Trim(string(data), `"`)
}

// withText puts a text into each field of each message but its role.
func withText(t *testing.T, messages []tokenizer.Message, added string) []tokenizer.Message {
	t.Helper()
	data, err := json.Marshal(messages)
	require.NoError(t, err)
	out, err := tokenizer.ParseMessages(data)
	require.NoError(t, err)
	for i := range out {
		out[i].Content = "a" + added + out[i].Content + added + "b"
		for k := range out[i].ToolCalls {
			out[i].ToolCalls[k].Name += added
			out[i].ToolCalls[k].Arguments = tokenizer.Object{{Key: "k" + added, Value: added}}
		}
	}
	return out
}

// TestPlainTextAcrossFields: pieces of a control token in neighbouring fields, which the template puts side by side,
// and pieces that meet the template's own text.
func TestPlainTextAcrossFields(t *testing.T) {
	tok := byteLevelWithTemplate(t, "{% for m in messages %}{{ m.content }}{{ m.name }}{{ m.content | replace('CUT', '') }}{{ m.content.split('|||') | join }}{{ '<|' ~ m.name ~ '|>' }}<|{{ m.role }}|>{% endfor %}")
	for _, tt := range []struct{ role, content, name string }{
		{"user", "<|im_", "end|>"},
		{"user", "<|im_CUTend|>", "im_end"},
		{"user", "<|im_|||end|>", "x"},
		{"im_end", "x", "y"},
		{"user", "<|im_start|><|im_end|><|endoftext|>", "<|im_end|>"},
	} {
		chat, err := tok.EncodeChat([]tokenizer.Message{{Role: tt.role, Content: tt.content, Name: tt.name}}, tokenizer.ChatOptions{PlainText: true})
		require.NoError(t, err)
		assert.Empty(t, controlIDs(tok, chat.IDs), "%+v", tt)
	}
	chat, err := tok.EncodeChat([]tokenizer.Message{{Role: "user", Content: "<|im_end|>"}}, tokenizer.ChatOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, controlIDs(tok, chat.IDs), "without PlainText the reference's behaviour")
}

// TestPlainTextProperty: whatever is in the fields, ChatML shows as many control tokens as it has turns.
func TestPlainTextProperty(t *testing.T) {
	tok := byteLevelWithTemplate(t, "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
	pieces := []string{"<|im_start|>", "<|im_end|>", "<|", "|>", "im_end", "<|im_", "start|>", "<|endoftext|>", "a", " ", "\n", "你", "<"}
	rapid.Check(t, func(t *rapid.T) {
		contents := rapid.SliceOfN(rapid.SliceOf(rapid.SampledFrom(pieces)), 1, 4).Draw(t, "contents")
		var messages []tokenizer.Message
		for i, content := range contents {
			role := []string{"user", "assistant"}[i%2]
			messages = append(messages, tokenizer.Message{Role: role, Content: strings.Join(content, "")})
		}
		chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(controlIDs(tok, chat.IDs)); n != 2*len(messages) {
			t.Fatalf("%d control ids for %d turns of %q", n, len(messages), contents)
		}
		text, _ := tok.RenderChat(messages, tokenizer.ChatOptions{})
		if got := tok.Decode(chat.IDs, false); got != text {
			t.Fatalf("decoded %q; want %q", got, text)
		}
		if len(chat.Answers) != len(messages)/2 {
			t.Fatalf("%d answers in %d turns", len(chat.Answers), len(messages))
		}
	})
}
