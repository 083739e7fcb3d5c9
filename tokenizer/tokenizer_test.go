package tokenizer_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/tokenizer"
)

func TestControlTokensInTextStayText(t *testing.T) {
	tok := byteLevelWithTemplate(t, "")
	end, _ := tok.ID("<|im_end|>")
	think, _ := tok.ID("<think>")
	text := "a<|im_end|><think>b"
	assert.NotContains(t, tok.Encode(text), end)
	assert.Contains(t, tok.Encode(text), think, "a token that is no control token is found")
	assert.Contains(t, tok.EncodeFull(text, tokenizer.Options{ParseControl: true}).IDs, end)
	assert.Equal(t, text, tok.Decode(tok.Encode(text), false))
	assert.Equal(t, text, tok.Decode(tok.Encode(text), true), "plain text is not skipped")
}

func TestNamedTokens(t *testing.T) {
	tok := byteLevelWithTemplate(t, "")
	eos, ok := tok.EOS()
	require.True(t, ok)
	assert.True(t, tok.IsSpecial(eos))
	name, _ := tok.Token(eos)
	assert.Equal(t, "<|im_end|>", name)
	pad, ok := tok.PAD()
	require.True(t, ok, "named by an object with content")
	name, _ = tok.Token(pad)
	assert.Equal(t, "<|endoftext|>", name)
	_, ok = tok.BOS()
	assert.False(t, ok)
	_, ok = tok.Token(int32(tok.Size()))
	assert.False(t, ok)
	_, ok = tok.Token(-1)
	assert.False(t, ok)
	assert.False(t, tok.IsSpecial(-1))
	assert.Empty(t, tok.Decode([]int32{-1, 1 << 30}, false), "ids without a token are left out")
}

func TestNamedTokenOfTheVocabularyIsControl(t *testing.T) {
	files := map[string]string{"tokenizer.json": string(byteLevelJSON()), "tokenizer_config.json": `{"eos_token": "hello"}`}
	tok, err := tokenizer.Load(checkpoint(t, files))
	require.NoError(t, err)
	eos, ok := tok.EOS()
	require.True(t, ok)
	assert.True(t, tok.IsSpecial(eos))
	assert.NotContains(t, tok.Encode("say: hello"), int32(-1))
}

func TestStreamHoldsBackHalfCharacters(t *testing.T) {
	tok := byteLevelWithTemplate(t, "")
	d := tok.NewDecoder(false)
	var got []string
	for _, id := range tok.Encode("a中") {
		got = append(got, d.Push(id))
	}
	assert.Equal(t, []string{"a", "", "", "中"}, got)
	assert.Equal(t, "", d.Flush())

	half := tok.Encode("中")[:2]
	assert.Equal(t, "", d.Push(half[0])+d.Push(half[1]))
	assert.Equal(t, "\uFFFD", d.Flush(), "what never became a character")
	assert.Equal(t, "b", d.Push(tok.Encode("b")[0]), "and the decoder starts over")
}

func TestStreamSkipsLongRunsOfControlTokens(t *testing.T) {
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{"tokenizer.json": `{"added_tokens":[{"id":3,"content":"<s>","special":true}],
		"model":{"type":"WordLevel","unk_token":"u","vocab":{"u":0,"▁a":1,"▁b":2}},
		"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}}`}))
	require.NoError(t, err)
	ids := []int32{1}
	for range 50 {
		ids = append(ids, 3)
	}
	ids = append(ids, 2)
	assert.Equal(t, "a b", tok.Decode(ids, true))
	assert.Equal(t, "a b", stream(tok, ids, true))
}

func TestSaveWritesTheFilesAsTheyCame(t *testing.T) {
	files := map[string]string{
		"tokenizer.json":        "  " + string(byteLevelJSON()) + "\n",
		"tokenizer_config.json": `{"eos_token":   "<|im_end|>", "unknown": [1.50]}`,
		"chat_template.jinja":   "{{ messages }}\n",
		filepath.Join("additional_chat_templates", "tool_use.jinja"): "tools: {{ tools }}",
		"vocab.json": "{}",
	}
	tok, err := tokenizer.Load(checkpoint(t, files))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	require.NoError(t, tok.Save(dir))
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, want, string(got), name)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, len(files), "no temporary file is left")
}

func TestTemplatesByName(t *testing.T) {
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{
		"tokenizer.json":        string(byteLevelJSON()),
		"tokenizer_config.json": `{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}`,
	}))
	require.NoError(t, err)
	messages := []tokenizer.Message{{Role: "user", Content: "q"}}
	text, err := tok.RenderChat(messages, tokenizer.ChatOptions{})
	require.NoError(t, err)
	assert.Equal(t, "plain", text)
	text, err = tok.RenderChat(messages, tokenizer.ChatOptions{Tools: []any{tokenizer.Object{{Key: "name", Value: "f"}}}})
	require.NoError(t, err)
	assert.Equal(t, "tools", text)
	_, err = tok.RenderChat(messages, tokenizer.ChatOptions{Tools: []any{"f"}})
	assert.ErrorContains(t, err, "tools[0]: want a JSON object")
}

func TestTemplateClock(t *testing.T) {
	tok := byteLevelWithTemplate(t, "{{ strftime_now('%d %B %Y') }}")
	o := tokenizer.ChatOptions{Now: func() time.Time { return time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC) }}
	text, err := tok.RenderChat([]tokenizer.Message{{Role: "user"}}, o)
	require.NoError(t, err)
	assert.Equal(t, "02 January 2030", text)
}

func TestNoChatTemplate(t *testing.T) {
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{"tokenizer.json": string(byteLevelJSON())}))
	require.NoError(t, err)
	assert.False(t, tok.HasChatTemplate())
	messages := []tokenizer.Message{{Role: "user", Content: "q"}}
	_, err = tok.RenderChat(messages, tokenizer.ChatOptions{})
	assert.ErrorIs(t, err, tokenizer.ErrNoChatTemplate)
	_, err = tok.EncodeChat(messages, tokenizer.ChatOptions{DefaultTemplate: "nonsense"})
	assert.ErrorContains(t, err, "chatml")
	_, err = tok.EncodeChat(nil, tokenizer.ChatOptions{})
	assert.ErrorContains(t, err, "no messages")
}

// TestBuiltInTemplatesExport: each built-in template, written as Jinja and saved with the tokenizer, renders the same.
func TestBuiltInTemplatesExport(t *testing.T) {
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{
		"tokenizer.json":        string(byteLevelJSON()),
		"tokenizer_config.json": `{"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>"}`,
	}))
	require.NoError(t, err)
	turns := []tokenizer.Message{{Role: "system", Content: "Be \"kind\".\n"}, {Role: "user", Content: "q1 "}, {Role: "assistant", Content: "a1"}, {Role: "user", Content: "q2\\n"}, {Role: "assistant", Content: ""}}
	for _, name := range tokenizer.BuiltInTemplates() {
		t.Run(name, func(t *testing.T) {
			template, err := tokenizer.BuiltInTemplate(name)
			require.NoError(t, err)
			exported, err := tok.WithChatTemplate(template.Jinja(tok))
			require.NoError(t, err)
			for _, messages := range [][]tokenizer.Message{turns, turns[1:], turns[:2], turns[1:2]} {
				want, err := tok.RenderChat(messages, tokenizer.ChatOptions{DefaultTemplate: name})
				require.NoError(t, err)
				got, err := exported.RenderChat(messages, tokenizer.ChatOptions{})
				require.NoError(t, err)
				assert.Equal(t, want, got)
			}
			dir := t.TempDir()
			require.NoError(t, exported.Save(dir))
			loaded, err := tokenizer.Load(dir)
			require.NoError(t, err)
			assert.Equal(t, template.Jinja(tok), loaded.ChatTemplate())
		})
	}
}

func TestBuiltInTemplateRefusesWhatItCannotSay(t *testing.T) {
	tok, err := tokenizer.Load(checkpoint(t, map[string]string{"tokenizer.json": string(byteLevelJSON())}))
	require.NoError(t, err)
	for _, tt := range []struct {
		message tokenizer.Message
		want    string
	}{
		{tokenizer.Message{Role: "tool", Content: "x"}, `messages[1]: has role "tool"`},
		{tokenizer.Message{Role: "user", Parts: []any{}}, "messages[1]: has content blocks"},
		{tokenizer.Message{Role: "assistant", ToolCalls: []tokenizer.ToolCall{{}}}, "messages[1]: has tool calls"},
	} {
		_, err := tok.EncodeChat([]tokenizer.Message{{Role: "user", Content: "q"}, tt.message}, tokenizer.ChatOptions{DefaultTemplate: "chatml"})
		assert.ErrorContains(t, err, tt.want)
	}
	_, err = tok.EncodeChat([]tokenizer.Message{{Role: "user", Content: "q"}}, tokenizer.ChatOptions{DefaultTemplate: "chatglm3"})
	assert.ErrorContains(t, err, `needs the token "[gMASK]"`)
}

func TestConcurrentUse(t *testing.T) {
	tok := byteLevelWithTemplate(t, "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
	text := strings.Repeat("hello world, 你好！ ", 50)
	want := tok.Encode(text)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				assert.Equal(t, want, tok.Encode(text))
				_, err := tok.EncodeChat([]tokenizer.Message{{Role: "user", Content: text}}, tokenizer.ChatOptions{})
				assert.NoError(t, err)
			}
		})
	}
	for _, ids := range tok.EncodeBatch([]string{text, text, text}, tokenizer.Options{}) {
		assert.Equal(t, want, ids)
	}
	group.Wait()
}
