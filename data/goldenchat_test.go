package data_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

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
