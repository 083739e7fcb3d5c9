package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// chatCase is one line of tokenizer/chat/*/cases.jsonl.
type chatCase struct {
	Messages            []tokenizer.Message
	Tools               []json.RawMessage
	AddGenerationPrompt bool `json:"add_generation_prompt"`
	Kwargs              map[string]any
	Rendered            string
	IDs                 []int32
	AssistantMask       []int   `json:"assistant_mask"`
	Error               *string // what the template raised
}

func (c chatCase) options() tokenizer.ChatOptions {
	o := tokenizer.ChatOptions{AddGenerationPrompt: c.AddGenerationPrompt, Kwargs: c.Kwargs}
	for _, tool := range c.Tools {
		o.Tools = append(o.Tools, tool)
	}
	return o
}

func TestGoldenChat(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/cases.jsonl") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			for i, c := range readLines[chatCase](t, path) {
				checkChat(t, tok, i, c)
			}
		})
	}
}

func checkChat(t *testing.T, tok *tokenizer.Tokenizer, i int, c chatCase) {
	t.Helper()
	rendered, err := tok.RenderChat(c.Messages, c.options())
	if c.Error != nil {
		var raised *tokenizer.TemplateError
		if assert.ErrorAs(t, err, &raised, "case %d", i) {
			assert.Equal(t, *c.Error, raised.Msg, "case %d", i)
		}
		return
	}
	if !assert.NoError(t, err, "case %d", i) {
		return
	}
	assert.Equal(t, c.Rendered, rendered, "rendered case %d", i)
	chat, err := tok.EncodeChat(c.Messages, c.options())
	require.NoError(t, err, "case %d", i)
	assert.Equal(t, list(c.IDs), list(chat.IDs), "ids of case %d", i)
	if chat.AssistantMask != nil {
		assert.Equal(t, c.AssistantMask, bits(chat.AssistantMask), "assistant mask of case %d", i)
	}
	checkAnswers(t, tok, i, c, chat)
}

func bits(mask []bool) []int {
	out := make([]int, len(mask))
	for i, b := range mask {
		if b {
			out[i] = 1
		}
	}
	return out
}

// checkAnswers holds what an answer must be, whatever the template: in order, apart from each other, with the
// message's words in it, and with every token that the template marks as generated, but for white space after the end
// of a turn.
func checkAnswers(t *testing.T, tok *tokenizer.Tokenizer, i int, c chatCase, chat tokenizer.Chat) {
	t.Helper()
	covered := make([]bool, len(chat.IDs))
	end := 0
	for _, a := range chat.Answers {
		assert.GreaterOrEqual(t, a.Start, end, "case %d: answers overlap", i)
		end = a.End
		assert.Equal(t, "assistant", c.Messages[a.Message].Role, "case %d", i)
		text := tok.Decode(chat.IDs[a.Start:a.End], false)
		words := c.Messages[a.Message].Content
		if _, after, found := strings.Cut(words, "</think>"); found {
			words = after // templates may take the thinking out of earlier turns
		}
		if words = strings.TrimSpace(words); strings.Contains(c.Rendered, words) { // a template may leave them out
			assert.Contains(t, text, words, "case %d: answer %d", i, a.Message)
		}
		for k := a.Start; k < a.End; k++ {
			covered[k] = true
		}
	}
	for k, is := range chat.AssistantMask {
		if is && !covered[k] {
			assert.Empty(t, strings.TrimSpace(decode(tok, chat.IDs[k:k+1])), "case %d: token %d is marked as generated and in no answer", i, k)
		}
	}
}

var generationTags = regexp.MustCompile(`\{%-?\s*(end)?generation\s*-?%\}`)

// TestGoldenChatAnswersWithoutTags takes {% generation %} out of the templates: the answers are then found by
// rendering beginnings of the conversation, and must end with the same end-of-turn tokens. They may start elsewhere:
// tags may leave out a line break that follows the generation prompt, or take in a part of the prompt.
func TestGoldenChatAnswersWithoutTags(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/cases.jsonl") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tagged, err := tokenizer.Load(dir)
			require.NoError(t, err)
			plain := withTemplate(t, dir, func(source string) string {
				return generationTags.ReplaceAllStringFunc(source, func(tag string) string {
					return strings.NewReplacer("endgeneration", "endif", "generation", "if true").Replace(tag)
				})
			})
			for i, c := range readLines[chatCase](t, path) {
				if c.Error != nil {
					continue
				}
				want, err := tagged.EncodeChat(c.Messages, c.options())
				require.NoError(t, err)
				got, err := plain.EncodeChat(c.Messages, c.options())
				require.NoError(t, err)
				assert.Equal(t, want.IDs, got.IDs, "case %d", i)
				assert.Nil(t, got.AssistantMask)
				require.Len(t, got.Answers, len(want.Answers), "case %d", i)
				checkAnswers(t, plain, i, c, got)
				for k, a := range got.Answers {
					assert.Equal(t, want.Answers[k].Message, a.Message, "case %d", i)
					if end := want.Answers[k].End; plain.IsSpecial(want.IDs[end-1]) {
						assert.Equal(t, end, a.End, "case %d", i)
					}
				}
			}
		})
	}
}

func decode(t *tokenizer.Tokenizer, ids []int32) string { return t.Decode(ids, false) }

// withTemplate loads a copy of a tokenizer whose chat template was edited.
func withTemplate(t *testing.T, dir string, edit func(string) string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(dir)
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, tok.Save(folder))
	source := edit(tok.ChatTemplate())
	require.NoError(t, os.WriteFile(filepath.Join(folder, "chat_template.jinja"), []byte(source), 0o644))
	edited, err := tokenizer.Load(folder)
	require.NoError(t, err)
	return edited
}
