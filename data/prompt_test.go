package data_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
)

// A prompt is encoded as a conversation is: with the system text, without control tokens, its oldest turns dropped where it is too long, and
// what is left out in the ledger.
func TestPromptsToAnswer(t *testing.T) {
	file := recordsFile(t,
		`{"instruction": "路由器很慢", "input": "", "output": "请重启。"}`,
		`{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]}`,
		`{"instruction": 5, "output": "b"}`)
	prompts, samples, ledger, err := data.EncodePrompts(t.Context(), bytesTokenizer{}, file, data.EncodeConfig{System: "be brief", Lenient: true})
	require.NoError(t, err)
	require.Len(t, prompts, 2)
	require.Len(t, samples, 2)
	assert.Equal(t, "请重启。", prompts[0].Reference)
	assert.Empty(t, prompts[1].Reference)
	for i, p := range prompts {
		assert.Equal(t, "system", p.Messages[0].Role)
		assert.Equal(t, "user", p.Messages[len(p.Messages)-1].Role)
		assert.Zero(t, samples[i].Targets())
		assert.Equal(t, i+1, p.Place.Line)
	}
	assert.Equal(t, 3, ledger.Read)
	assert.Equal(t, 1, ledger.Dropped)

	short := len(samples[1].IDs) - 1
	prompts, samples, ledger, err = data.EncodePrompts(t.Context(), bytesTokenizer{}, file, data.EncodeConfig{System: "be brief", Lenient: true, MaxLength: short})
	require.NoError(t, err)
	last := prompts[len(prompts)-1]
	assert.Equal(t, "c", last.Messages[len(last.Messages)-1].Content)
	assert.Len(t, last.Messages, 2, "the earlier turn is dropped")
	assert.LessOrEqual(t, len(samples[len(samples)-1].IDs), short)
	assert.GreaterOrEqual(t, ledger.Truncated, 1)

	_, _, _, err = data.EncodePrompts(t.Context(), bytesTokenizer{}, file, data.EncodeConfig{})
	assert.ErrorContains(t, err, "records.jsonl:3")
}
