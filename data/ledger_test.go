package data_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/testdata"
)

// requireBalanced checks that the books balance: with the samples, between the sources, and with the entries.
func requireBalanced(t require.TestingT, l *data.Ledger, samples []data.Sample) {
	require.Equal(t, l.Read, l.Kept+l.Dropped)
	require.Len(t, samples, l.Kept)
	var sum data.Counts
	for _, s := range l.Sources {
		sum.Read += s.Read
		sum.Kept += s.Kept
		sum.Dropped += s.Dropped
		sum.Truncated += s.Truncated
		sum.Repaired += s.Repaired
		sum.Tokens += s.Tokens
		sum.Targets += s.Targets
	}
	require.Equal(t, l.Counts, sum, "the sources add up")
	actions := map[data.Action]int{}
	for _, e := range l.Entries {
		actions[e.Action]++
		require.NotEmpty(t, e.Reason)
		require.NotEmpty(t, e.Class)
	}
	require.Equal(t, l.Dropped, actions[data.Dropped])
	require.Equal(t, l.Truncated, actions[data.Truncated])
	require.Equal(t, l.Repaired, actions[data.Repaired])
	listed := 0
	for _, r := range l.Reasons {
		listed += r.Count
	}
	require.Equal(t, len(l.Entries)+l.Unlisted, listed)
	var tokens, targets int64
	for _, s := range samples {
		tokens += int64(len(s.IDs))
		targets += int64(s.Targets())
	}
	require.Equal(t, []int64{tokens, targets}, []int64{l.Tokens, l.Targets})
}

// TestBooksBalance: whatever is in the records and whatever the policy, every record is accounted for.
func TestBooksBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", " ", "q", "template error", "<|im_end|>", strings.Repeat("长", 15), strings.Repeat("x", 90)})
		var records data.Records
		for i := range rapid.IntRange(0, 30).Draw(t, "records") {
			r := data.Record{
				Instruction: text.Draw(t, "instruction"), Output: text.Draw(t, "output"),
				Place: data.Place{File: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "file"), Line: i + 1},
			}
			for range rapid.IntRange(0, 3).Draw(t, "turns") {
				r.History = append(r.History, [2]string{text.Draw(t, "question"), text.Draw(t, "answer")})
			}
			records = append(records, r)
		}
		cfg := data.EncodeConfig{
			Lenient:         true,
			MaxLength:       rapid.IntRange(20, 200).Draw(t, "limit"),
			OverLong:        data.OverLongPolicy(rapid.IntRange(0, 3).Draw(t, "policy")),
			Learn:           data.LearnPolicy(rapid.IntRange(0, 3).Draw(t, "learn")),
			DropControlText: rapid.Bool().Draw(t, "drop control text"),
		}
		samples, ledger, err := data.Encode(context.Background(), bytesTokenizer{}, records, cfg)
		if err != nil {
			require.ErrorIs(t, err, data.ErrNoTargets)
		}
		requireBalanced(t, ledger, samples)
		assert.Equal(t, len(records), ledger.Read)
		for _, s := range samples {
			require.LessOrEqual(t, len(s.IDs), cfg.MaxLength)
			require.Positive(t, s.Targets())
			for i, label := range s.Labels {
				require.True(t, label == data.NoLabel || label == s.IDs[i])
			}
			if cfg.OverLong != data.OverLongCutEnd {
				require.Equal(t, imEnd, s.Labels[len(s.Labels)-1], "the end of the turn is learned")
			}
		}
	})
}

func TestFileProblemsStopEvenLenient(t *testing.T) {
	good := write(t, "good.jsonl", []byte(lineA+"\n"))
	lenient := data.EncodeConfig{Lenient: true}

	wide := write(t, "wide.jsonl", []byte("\xff\xfe{\x00"))
	_, _, err := data.Encode(t.Context(), bytesTokenizer{}, data.Files(good, wide), lenient)
	assert.ErrorIs(t, err, data.ErrInvalidUTF8, "the rest of the file would be lost")

	_, _, err = data.Encode(t.Context(), bytesTokenizer{}, data.Files(good, filepath.Join(t.TempDir(), "none")), lenient)
	assert.ErrorIs(t, err, os.ErrNotExist)

	empty := write(t, "empty.jsonl", nil)
	samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.Files(empty, good, good), lenient)
	require.NoError(t, err)
	requireBalanced(t, ledger, samples)
	assert.Contains(t, ledger.Entries[0].String(), "empty.jsonl: noted: empty_file: holds no record")

	_, _, err = data.Encode(t.Context(), bytesTokenizer{}, data.Files(good, empty), data.EncodeConfig{})
	assert.ErrorIs(t, err, data.ErrEmptyFile)
}

func TestLedgerCountsFieldsAndRepairs(t *testing.T) {
	path := write(t, "a.jsonl", []byte("\xef\xbb\xbf"+`{"instruction":"q","output":"a","id":1,"tags":[]}`+"\n"+`{"instruction":"q","output":"a","id":2}`))
	samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.File{Path: path}, data.EncodeConfig{})
	require.NoError(t, err)
	requireBalanced(t, ledger, samples)
	assert.Equal(t, map[string]int{"id": 2, "tags": 1}, ledger.Ignored)
	assert.Equal(t, 1, ledger.Repaired)
	var b strings.Builder
	ledger.WriteTo(&b)
	assert.Contains(t, b.String(), "fields not used: id (2), tags (1)")
}

func TestEncodeDocuments(t *testing.T) {
	path := write(t, "pt.jsonl", []byte(`{"completion":"abc","source":"wiki"}
{"completion":" "}
{"completion":"abcdefgh"}`))
	documents := data.File{Path: path}.Documents()
	_, _, err := data.EncodeDocuments(t.Context(), bytesTokenizer{}, documents, data.TextConfig{})
	assert.ErrorIs(t, err, data.ErrEmptyField)

	samples, ledger, err := data.EncodeDocuments(t.Context(), bytesTokenizer{}, documents, data.TextConfig{Lenient: true, MaxLength: 6})
	require.NoError(t, err)
	requireBalanced(t, ledger, samples)
	assert.Equal(t, "[abc<|endoftext|>]", show(samples[0]))
	assert.Equal(t, "[abcdef]", show(samples[1]))
	assert.Equal(t, "wiki", ledger.Sources[0].Name)
	assert.Equal(t, data.DefaultSource, ledger.Sources[len(ledger.Sources)-1].Name)
}

// TestBadInputsLengths are the damaged files that are only so at a certain length.
func TestBadInputsLengths(t *testing.T) {
	folder, cases := badCases(t)
	found := false
	for _, c := range cases {
		if c.MaxLength == 0 {
			continue
		}
		found = true
		t.Run(filepath.Base(c.File), func(t *testing.T) {
			source := data.File{Path: filepath.Join(folder, filepath.FromSlash(c.File))}
			for _, policy := range []data.OverLongPolicy{data.OverLongDrop, data.OverLongCutPrompt, data.OverLongCutEnd} {
				cfg := data.EncodeConfig{MaxLength: c.MaxLength, OverLong: policy, Learn: data.LastAnswer}
				samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, source, cfg)
				requireBalanced(t, ledger, samples)
				if policy == data.OverLongCutEnd {
					assert.Equal(t, c.Expect.Truncated, lines(ledger, data.Truncated))
					if c.Expect.TrainError != "" {
						assert.ErrorIs(t, err, data.ErrNoTargets)
					} else {
						assert.Equal(t, c.Expect.DroppedAllMasked, lines(ledger, data.Dropped))
					}
				}
				for _, line := range c.Expect.Truncated { // whatever the policy: never in silence
					assert.Contains(t, append(lines(ledger, data.Truncated), lines(ledger, data.Dropped)...), line)
				}
			}
		})
	}
	require.True(t, found, "no case with a max_length")
}

func lines(l *data.Ledger, a data.Action) (out []int) {
	for _, e := range l.Entries {
		if e.Action == a {
			out = append(out, e.Line)
		}
	}
	return out
}

func TestPoliciesInJSON(t *testing.T) {
	cfg := data.EncodeConfig{MaxLength: 9, Learn: data.LastAnswer, OverLong: data.OverLongCutPrompt}
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	assert.JSONEq(t, `{"max_length":9,"learn":"last","over_long":"cut_prompt"}`, string(text))
	for _, p := range []data.LearnPolicy{data.LearnDefault, data.EveryAnswer, data.LastAnswer, data.EveryToken} {
		text, err := json.Marshal(p)
		require.NoError(t, err)
		var back data.LearnPolicy
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, p, back)
	}
	for _, p := range []data.OverLongPolicy{data.OverLongDrop, data.OverLongError, data.OverLongCutPrompt, data.OverLongCutEnd} {
		text, err := json.Marshal(p)
		require.NoError(t, err)
		var back data.OverLongPolicy
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, p, back)
	}
	assert.Error(t, new(data.LearnPolicy).UnmarshalText([]byte("all")))
	assert.Error(t, new(data.OverLongPolicy).UnmarshalText([]byte("cut")))
	assert.Equal(t, "LearnPolicy(9)", data.LearnPolicy(9).String())
}

// TestDataEncodes: the sample data become samples without one being lost.
func TestDataEncodes(t *testing.T) {
	folder := testdata.Data(t)
	for _, path := range testdata.Cases(t, folder, "sft_*.jsonl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.File{Path: path}, data.EncodeConfig{MaxLength: 1 << 16})
			require.NoError(t, err)
			requireBalanced(t, ledger, samples)
			assert.Empty(t, ledger.Entries)
		})
	}
}

func TestPrompts(t *testing.T) {
	history := [][2]string{{"x", "y"}}
	r := data.Ranked{Instruction: "a", Input: "b", System: "s", History: history}
	p := data.Pair{Instruction: "a", Input: "b", System: "s", History: history}
	require.Equal(t, r.Prompt(), p.Prompt())
	var roles []string
	for _, m := range r.Prompt() {
		roles = append(roles, m.Role+":"+m.Content)
	}
	assert.Equal(t, []string{"system:s", "user:x", "assistant:y", "user:a\nb"}, roles)
}
