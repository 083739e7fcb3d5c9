package data_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

type chatCase struct {
	Messages   json.RawMessage
	Tools      []json.RawMessage
	Generation bool `json:"add_generation_prompt"`
	Kwargs     map[string]any
	IDs        []int32
	Mask       []int `json:"assistant_mask"`
	Error      string
}

// TestGoldenChatSamples: a sample is the beginning of what apply_chat_template gives, up to the end of the last answer,
// and the learned tokens are those of the assistant mask, with the token that ends the turn.
func TestGoldenChatSamples(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/cases.jsonl") {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			tok, err := tokenizer.Load(filepath.Dir(path))
			require.NoError(t, err)
			for i, c := range readLines[chatCase](t, path) {
				t.Run(fmt.Sprint(i+1), func(t *testing.T) { checkChatSample(t, tok, c) })
			}
		})
	}
}

func checkChatSample(t *testing.T, tok *tokenizer.Tokenizer, c chatCase) {
	messages, err := tokenizer.ParseMessages(c.Messages)
	require.NoError(t, err)
	conversation := data.Conversation{Messages: messages}
	for _, tool := range c.Tools {
		conversation.Tools = append(conversation.Tools, tool)
	}
	source := sourceFunc(func(yield func(data.Conversation, error) bool) { yield(conversation, nil) })
	samples, ledger, err := data.Encode(t.Context(), tok, source, data.EncodeConfig{
		MaxLength: 1 << 20, ParseControl: true, TemplateArgs: c.Kwargs,
	})
	answered := slices.ContainsFunc(messages, func(m tokenizer.Message) bool { return m.Role == "assistant" })
	switch {
	case c.Error != "":
		require.ErrorIs(t, err, data.ErrTemplate)
		return
	case c.Generation:
		t.Skip("a prompt for generation is no sample")
	case !answered, err != nil && !slices.Contains(c.Mask, 1): // no answer, or nothing in it
		require.ErrorIs(t, err, data.ErrNoTargets)
		return
	}
	require.NoError(t, err)
	require.Equal(t, 1, ledger.Kept)
	s := samples[0]
	n := len(s.IDs)
	if eos, ok := tok.EOS(); ok && (n > len(c.IDs) || s.IDs[n-1] == eos && c.IDs[n-1] != eos) {
		n-- // added, as the template does not end the turn
	}
	require.Equal(t, c.IDs[:n], s.IDs[:n])
	outside := 0
	for i := range n {
		switch {
		case c.Mask[i] == 1:
			require.Equal(t, c.IDs[i], s.Labels[i], "token %d is the assistant's", i)
			outside = 0
		case s.Labels[i] != data.NoLabel && !tok.IsSpecial(s.IDs[i]):
			// The reference's mask leaves out the last pieces of a character that ends an answer; they are ours.
			outside++
			require.True(t, outside <= 3 && s.Labels[i-1] != data.NoLabel, "token %d is outside the mask, and ends neither a turn nor a character", i)
		}
	}
	require.NotContains(t, c.Mask[n:], 1, "no answer is cut off")
}

// TestGoldenCutPrompt: with every template, a question that is too long loses its beginning and nothing else: the
// sample is that of a conversation whose question is an end of the long one.
func TestGoldenCutPrompt(t *testing.T) {
	question := strings.Repeat("厨房台面选什么材料? router 🚀 ", 40)
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/chat/*/cases.jsonl") {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			tok, err := tokenizer.Load(filepath.Dir(path))
			require.NoError(t, err)
			r := data.Record{Instruction: question, Output: "可以选石英石台面。", System: "简短", History: [][2]string{{"你好", "您好"}}}
			for _, limit := range []int{150, 151, 153} {
				cfg := data.EncodeConfig{MaxLength: limit, OverLong: data.OverLongCutPrompt}
				s, ledger := one(t, tok, r, cfg)
				assert.Equal(t, 1, ledger.Truncated)
				assert.LessOrEqual(t, len(s.IDs), limit)
				assert.Greater(t, len(s.IDs), limit-20, "no more than needed")
				assert.Contains(t, ledger.Entries[0].Reason, "the oldest 1 of 2 turns dropped; the first ")
				assert.True(t, isOfSuffix(t, tok, s, r), "the sample of an end of the question")
			}
		})
	}
}

// isOfSuffix tells whether a sample is that of the record without its history and with an end of its question.
func isOfSuffix(t *testing.T, tok *tokenizer.Tokenizer, s data.Sample, r data.Record) bool {
	question := []rune(r.Instruction)
	r.History = nil
	for n := 1; n <= len(question); n++ {
		r.Instruction = string(question[len(question)-n:])
		if strings.TrimSpace(r.Instruction) == "" {
			continue
		}
		whole, _ := one(t, tok, r, data.EncodeConfig{MaxLength: 1 << 20})
		if slices.Equal(whole.IDs, s.IDs) && slices.Equal(whole.Labels, s.Labels) {
			return true
		}
		if len(whole.IDs) > len(s.IDs)+20 {
			return false
		}
	}
	return false
}
