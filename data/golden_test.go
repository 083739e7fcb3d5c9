package data_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// sftCase is a file of goldens/sft: rows as given, and as the reference prepares them.
type sftCase struct {
	Config struct {
		Packing         bool
		PackingStrategy string `json:"packing_strategy"`
		MaxLength       int    `json:"max_length"`
		AssistantOnly   bool   `json:"assistant_only_loss"`
		CompletionOnly  *bool  `json:"completion_only_loss"`
	}
	Tokenizer string
	RowsIn    []sftRow `json:"rows_in"`
	RowsOut   []struct {
		InputIDs   []int32 `json:"input_ids"`
		Labels     []int32
		SeqLengths []int `json:"seq_lengths"`
	} `json:"rows_out"`
}

type sftRow struct {
	InputIDs   []int32 `json:"input_ids"`
	Text       *string
	Messages   json.RawMessage
	Prompt     json.RawMessage
	Completion json.RawMessage
}

func TestGoldenSFT(t *testing.T) {
	goldens := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, goldens, "sft/*.json") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			var c sftCase
			require.NoError(t, json.Unmarshal(text, &c))
			require.NotEmpty(t, c.RowsIn)
			switch first := c.RowsIn[0]; {
			case c.Config.Packing:
				checkPacking(t, c)
			case first.Text != nil:
				checkTexts(t, c, loadTokenizer(t, goldens, c.Tokenizer))
			case first.Messages != nil, first.Prompt[0] == '[':
				checkChats(t, c, loadTokenizer(t, goldens, c.Tokenizer))
			default:
				t.Skip("a prompt and its continuation without a chat template are no record kind of ours")
			}
		})
	}
}

func loadTokenizer(t testing.TB, goldens, name string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Join(goldens, filepath.FromSlash(name)))
	require.NoError(t, err)
	return tok
}

func checkPacking(t *testing.T, c sftCase) {
	how, ok := map[string]data.Packing{
		"": data.PackBestFit, "bfd": data.PackBestFit, "bfd_split": data.PackBestFitSplit, "wrapped": data.PackWrapped,
	}[c.Config.PackingStrategy]
	if !ok {
		t.Skipf("packing strategy %s is not supported yet", c.Config.PackingStrategy)
	}
	var samples []data.Sample
	for _, r := range c.RowsIn {
		samples = append(samples, data.Sample{IDs: r.InputIDs, Labels: r.InputIDs})
	}
	rows, _, err := data.Pack(samples, c.Config.MaxLength, how)
	require.NoError(t, err)
	require.Len(t, rows, len(c.RowsOut))
	for i, want := range c.RowsOut {
		got := rows[i].Join(samples)
		require.Equal(t, want.InputIDs, got.IDs, "row %d", i)
		require.Equal(t, want.Labels, got.Labels, "row %d", i)
		if want.SeqLengths != nil {
			var lengths []int
			for _, p := range rows[i] {
				lengths = append(lengths, p.End-p.Start)
			}
			require.Equal(t, want.SeqLengths, lengths, "row %d", i)
		}
	}
}

func checkTexts(t *testing.T, c sftCase, tok *tokenizer.Tokenizer) {
	documents := func(yield func(data.Document, error) bool) {
		for i, r := range c.RowsIn {
			if !yield(data.Document{Text: *r.Text, Place: data.Place{Line: i + 1}}, nil) {
				return
			}
		}
	}
	samples, ledger, err := data.EncodeDocuments(t.Context(), tok, documents, data.TextConfig{MaxLength: c.Config.MaxLength})
	require.NoError(t, err)
	require.Len(t, samples, len(c.RowsOut))
	for i, want := range c.RowsOut {
		require.Equal(t, want.InputIDs, samples[i].IDs, "row %d", i)
		require.Equal(t, want.Labels, samples[i].Labels, "row %d", i)
	}
	assert.Equal(t, len(c.RowsIn), ledger.Read)
}

// checkChats compares conversations. Ours end with the last answer; the reference goes on to the end of the template's
// text, which must be blank.
func checkChats(t *testing.T, c sftCase, tok *tokenizer.Tokenizer) {
	cfg := data.EncodeConfig{
		MaxLength:    1 << 20,
		Learn:        data.EveryToken,
		ParseControl: true, // the reference does
	}
	prompted := c.RowsIn[0].Prompt != nil
	switch {
	case c.Config.AssistantOnly:
		cfg.Learn = data.EveryAnswer
	case prompted && (c.Config.CompletionOnly == nil || *c.Config.CompletionOnly):
		cfg.Learn = data.LastAnswer
	}
	if c.Config.MaxLength > 0 {
		cfg.MaxLength, cfg.OverLong = c.Config.MaxLength, data.OverLongCutEnd
	}
	source := sourceFunc(func(yield func(data.Conversation, error) bool) {
		for i, r := range c.RowsIn {
			conversation := data.Conversation{Place: data.Place{Line: i + 1}}
			for _, part := range []json.RawMessage{r.Messages, r.Prompt, r.Completion} {
				if part != nil {
					messages, err := tokenizer.ParseMessages(part)
					require.NoError(t, err)
					conversation.Messages = append(conversation.Messages, messages...)
				}
			}
			if !yield(conversation, nil) {
				return
			}
		}
	})
	samples, ledger, err := data.Encode(t.Context(), tok, source, cfg)
	require.NoError(t, err)
	require.Equal(t, len(c.RowsIn), ledger.Read)
	require.Len(t, samples, len(c.RowsOut))
	for i, want := range c.RowsOut {
		got := samples[i]
		require.LessOrEqual(t, len(got.IDs), len(want.InputIDs), "row %d", i)
		n := len(got.IDs)
		require.Equal(t, want.InputIDs[:n], got.IDs, "row %d", i)
		require.Equal(t, want.Labels[:n], got.Labels, "row %d", i)
		require.Empty(t, strings.TrimSpace(tok.Decode(want.InputIDs[n:], false)), "row %d: what we cut off", i)
	}
}
