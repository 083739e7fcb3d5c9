package data_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

func one(t *testing.T, tok data.Tokenizer, r data.Record, cfg data.EncodeConfig) (data.Sample, *data.Ledger) {
	t.Helper()
	samples, ledger, err := data.Encode(t.Context(), tok, data.Records{r}, cfg)
	require.NoError(t, err)
	require.Len(t, samples, 1)
	return samples[0], ledger
}

func TestWhatIsLearned(t *testing.T) {
	dialogue := data.Record{
		Instruction: "q3", Input: "more", Output: "a3", System: "sys",
		History: [][2]string{{"q1", "a1"}},
	}
	const start, end = "<|im_start|>", "<|im_end|>"
	head := start + "system\nsys" + end + "\n" + start + "user\nq1" + end + "\n" + start + "assistant\n"
	middle := "\n" + start + "user\nq3\nmore" + end + "\n" + start + "assistant\n"
	for _, tt := range []struct {
		name   string
		tok    bytesTokenizer
		learn  data.LearnPolicy
		record data.LearnPolicy
		want   string
	}{
		{name: "every answer", want: head + "[a1" + end + "]" + middle + "[a3" + end + "]"},
		{name: "last answer", learn: data.LastAnswer, want: head + "a1" + end + middle + "[a3" + end + "]"},
		{name: "the record decides", record: data.LastAnswer, want: head + "a1" + end + middle + "[a3" + end + "]"},
		{name: "every token", learn: data.EveryToken, want: "[" + head + "a1" + end + middle + "a3" + end + "]"},
		{
			name: "EOS where the template ends no turn", tok: bytesTokenizer{noEndOfTurn: true}, learn: data.LastAnswer,
			want: strings.ReplaceAll(head+"a1"+middle, end, "") + "[a3<|endoftext|>]",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dialogue.Learn = tt.record
			s, ledger := one(t, tt.tok, dialogue, data.EncodeConfig{Learn: tt.learn})
			assert.Equal(t, tt.want, show(s))
			assert.Equal(t, int64(s.Targets()), ledger.Targets)
			assert.Equal(t, data.Place{Line: 1}, s.Place)
		})
	}
}

func TestUserText(t *testing.T) {
	for _, tt := range []struct{ instruction, input, want string }{
		{"a", "b", "a\nb"},
		{"a", "", "a"},
		{"", "b", "b"},
		{" a ", "\nb", " a \n\nb"},
		{" ", "\n", ""},
	} {
		c, err := data.Record{Instruction: tt.instruction, Input: tt.input, Output: "x"}.Conversation()
		if tt.want == "" {
			assert.EqualError(t, err, "record: instruction: is blank, and so is input; there is no question")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, tt.want, c.Messages[0].Content)
	}
}

func TestDefaultSystemText(t *testing.T) {
	s, _ := one(t, bytesTokenizer{}, data.Record{Instruction: "q", Output: "a"}, data.EncodeConfig{System: "be kind"})
	assert.True(t, strings.HasPrefix(show(s), "<|im_start|>system\nbe kind<|im_end|>"), show(s))
	s, _ = one(t, bytesTokenizer{}, data.Record{Instruction: "q", Output: "a", System: "own"}, data.EncodeConfig{System: "be kind"})
	assert.NotContains(t, show(s), "be kind")
}

func TestWeightZeroIsContext(t *testing.T) {
	messages := []tokenizer.Message{
		{Role: "user", Content: "q"}, {Role: "assistant", Content: "bad", Extra: map[string]any{"weight": 0}},
		{Role: "user", Content: "again"}, {Role: "assistant", Content: "good", Extra: map[string]any{"weight": 1}},
		{Role: "user", Content: "thanks"},
	}
	for range 2 { // the weights are still there for the second walk
		s, _ := one(t, bytesTokenizer{}, data.Record{Messages: messages}, data.EncodeConfig{System: "s"})
		assert.Equal(t, 1, strings.Count(show(s), "["))
		assert.True(t, strings.HasSuffix(show(s), "[good<|im_end|>]"), "cut after the last learned answer: %s", show(s))
	}
}

func TestControlTextStaysText(t *testing.T) {
	r := data.Record{Instruction: "hi <|im_end|>", Output: "a"}
	s, ledger := one(t, bytesTokenizer{}, r, data.EncodeConfig{})
	assert.Equal(t, 2, count(s.IDs, imEnd), "only the template's")
	assert.Equal(t, []data.Entry{{
		Place: data.Place{Line: 1}, Action: data.Noted, Class: data.ErrControlText,
		Reason: "the control token <|im_end|> is written in the text; kept as plain text",
	}}, ledger.Entries)

	s, ledger = one(t, bytesTokenizer{}, r, data.EncodeConfig{ParseControl: true})
	assert.Equal(t, 3, count(s.IDs, imEnd))
	assert.Empty(t, ledger.Entries)

	_, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.Records{r}, data.EncodeConfig{DropControlText: true})
	assert.ErrorIs(t, err, data.ErrNoTargets)
	assert.Equal(t, 1, ledger.Dropped)
}

func count(ids []int32, id int32) int {
	n := 0
	for _, i := range ids {
		if i == id {
			n++
		}
	}
	return n
}

func TestDoubleBOSIsNoted(t *testing.T) {
	_, ledger := one(t, bytesTokenizer{doubleBOS: true}, data.Record{Instruction: "q", Output: "a"}, data.EncodeConfig{})
	require.Len(t, ledger.Entries, 1)
	assert.Contains(t, ledger.Entries[0].String(), "BOS twice")
}

// TestOverLong counts by hand: a turn of one-letter question and answer takes 9 + 14 tokens (see bytesTokenizer), the last
// one 22, as the line break after it is cut. A system text of one letter takes 11.
func TestOverLong(t *testing.T) {
	long := strings.Repeat("长", 20) // 60 tokens
	turn := [2]string{"q", "a"}
	for _, tt := range []struct {
		name   string
		record data.Record
		policy data.OverLongPolicy
		max    int
		length int    // of the sample; 0: dropped
		entry  string // in the ledger
		err    data.Class
	}{
		{name: "fits exactly", record: data.Record{Instruction: "q", Output: "a"}, max: 22, length: 22},
		{
			name:   "oldest turns first",
			record: data.Record{Instruction: "q", Output: "a", History: [][2]string{{long, "a"}, turn, turn}, System: "s"}, max: 90,
			length: 79, entry: "record 1: truncated: over_long: the oldest 1 of 4 turns dropped (161 → 79 tokens)",
		},
		{
			name:   "as many as needed",
			record: data.Record{Instruction: "q", Output: "a", History: [][2]string{turn, turn, turn, turn, turn, turn}}, max: 80,
			length: 68, entry: "record 1: truncated: over_long: the oldest 4 of 7 turns dropped (160 → 68 tokens)",
		},
		{
			name: "drop", record: data.Record{Instruction: long, Output: "a"}, max: 40,
			entry: "record 1: dropped: over_long: has 81 tokens, over MaxLength 40; it has no earlier turn to drop (81 tokens)",
		},
		{name: "error", record: data.Record{Instruction: long, Output: "a"}, max: 40, policy: data.OverLongError, err: data.ErrOverLong},
		{
			name: "cut the question, whole characters", record: data.Record{Instruction: long, Output: "a"}, max: 40, policy: data.OverLongCutPrompt,
			length: 39, entry: "record 1: truncated: over_long: the first 42 of 60 tokens of the question cut (81 → 39 tokens)",
		},
		{
			name: "cut the question, exactly", record: data.Record{Instruction: long, Output: "a"}, max: 42, policy: data.OverLongCutPrompt,
			length: 42, entry: "record 1: truncated: over_long: the first 39 of 60 tokens of the question cut (81 → 42 tokens)",
		},
		{
			name:   "history goes before the question",
			record: data.Record{Instruction: long, Output: "a", History: [][2]string{turn}}, max: 40, policy: data.OverLongCutPrompt,
			length: 39, entry: "record 1: truncated: over_long: the oldest 1 of 2 turns dropped; the first 42 of 60 tokens of the question cut (104 → 39 tokens)",
		},
		{
			name: "never the answer", record: data.Record{Instruction: "q", Output: long}, max: 40, policy: data.OverLongCutPrompt,
			entry: "record 1: dropped: over_long: has 81 tokens, over MaxLength 40; the answer leaves no room for a question of 1 token (81 tokens)",
		},
		{
			name: "cut the end", record: data.Record{Instruction: "q", Output: long}, max: 40, policy: data.OverLongCutEnd,
			length: 40, entry: "record 1: truncated: over_long: the last 41 tokens cut (81 → 40 tokens)",
		},
		{
			name: "cut the end, and the answer with it", record: data.Record{Instruction: long, Output: "a"}, max: 40, policy: data.OverLongCutEnd,
			entry: "record 1: dropped: no_label: no token to learn from is left (40 tokens)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fill := data.Record{Instruction: "q", Output: "a"} // so that a dropped record leaves something to train on
			cfg := data.EncodeConfig{MaxLength: tt.max, OverLong: tt.policy}
			samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.Records{tt.record, fill}, cfg)
			if tt.err != "" {
				require.ErrorIs(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			if tt.entry != "" {
				require.NotEmpty(t, ledger.Entries)
				assert.Equal(t, tt.entry, ledger.Entries[0].String())
			} else {
				assert.Empty(t, ledger.Entries)
			}
			if tt.length == 0 {
				assert.Len(t, samples, 1)
				assert.Equal(t, 1, ledger.Dropped)
				return
			}
			require.Len(t, samples, 2)
			assert.Len(t, samples[0].IDs, tt.length)
			if tt.policy == data.OverLongCutPrompt {
				assert.True(t, strings.HasSuffix(show(samples[0]), "[a<|im_end|>]"), "the answer is whole")
				assert.NotContains(t, show(samples[0]), "\ufffd")
			}
		})
	}
}

// TestHistoryKeepsTheMost: no earlier turn is dropped that would have fitted, and the answers left are whole.
func TestHistoryKeepsTheMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z]{1,30}`)
		r := data.Record{Instruction: word.Draw(t, "question"), Output: word.Draw(t, "answer"), System: rapid.StringMatching(`[a-z]{0,20}`).Draw(t, "system")}
		for range rapid.IntRange(0, 12).Draw(t, "turns") {
			r.History = append(r.History, [2]string{word.Draw(t, "q"), word.Draw(t, "a")})
		}
		limit := rapid.IntRange(60, 400).Draw(t, "limit")

		best := -1 // by trying every number of turns
		var want string
		for k := range len(r.History) + 1 {
			shorter := r
			shorter.History = r.History[k:]
			s, _, err := data.Encode(context.Background(), bytesTokenizer{}, data.Records{shorter}, data.EncodeConfig{MaxLength: 1 << 20})
			require.NoError(t, err)
			if len(s[0].IDs) <= limit {
				best, want = k, show(s[0])
				break
			}
		}
		samples, ledger, err := data.Encode(context.Background(), bytesTokenizer{}, data.Records{r}, data.EncodeConfig{MaxLength: limit})
		if best < 0 {
			assert.ErrorIs(t, err, data.ErrNoTargets)
			return
		}
		require.NoError(t, err)
		assert.Equal(t, want, show(samples[0]))
		assert.Equal(t, best > 0, ledger.Truncated == 1)
	})
}

func TestStrictAndLenient(t *testing.T) {
	records := data.Records{
		{Instruction: "q", Output: "a"},
		{Instruction: "q", Output: " "},
		{Instruction: "template error", Output: "a"},
		{Instruction: "q", Output: "a"},
	}
	_, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, records, data.EncodeConfig{})
	require.ErrorIs(t, err, data.ErrEmptyField)
	assert.EqualError(t, err, "record 2: output: is blank; there is nothing to learn")
	assert.Equal(t, 2, ledger.Read)

	samples, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, records, data.EncodeConfig{Lenient: true})
	require.NoError(t, err)
	assert.Len(t, samples, 2)
	assert.Equal(t, []int{4, 2, 2}, []int{ledger.Read, ledger.Kept, ledger.Dropped})
	assert.Equal(t, data.ErrEmptyField, ledger.Entries[0].Class)
	assert.Equal(t, data.ErrTemplate, ledger.Entries[1].Class)
}

func TestNothingLeft(t *testing.T) {
	_, _, err := data.Encode(t.Context(), bytesTokenizer{}, data.Records{}, data.EncodeConfig{})
	assert.ErrorIs(t, err, data.ErrNoTargets)

	long := data.Record{Instruction: "q", Output: strings.Repeat("a", 100)}
	_, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, data.Records{long, long}, data.EncodeConfig{MaxLength: 40})
	require.ErrorIs(t, err, data.ErrNoTargets)
	assert.ErrorContains(t, err, "2 read, all dropped (over_long 2)")
	assert.Equal(t, 2, ledger.Dropped)
}

func TestNoTemplate(t *testing.T) {
	_, _, err := data.Encode(t.Context(), bytesTokenizer{noTemplate: true}, data.Records{}, data.EncodeConfig{})
	assert.ErrorContains(t, err, "no chat template")
	_, _, err = data.Encode(t.Context(), bytesTokenizer{noTemplate: true}, data.Records{{Instruction: "q", Output: "a"}}, data.EncodeConfig{Template: "chatml"})
	assert.NoError(t, err)
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	err := data.EncodeConfig{MaxLength: -1, Learn: 9, OverLong: 9, Workers: -1}.Validate()
	for _, field := range []string{"MaxLength", "Learn", "OverLong", "Workers"} {
		assert.ErrorContains(t, err, field)
	}
}

// TestOrderIsKept: many workers, results in the order of the source, the same as with one.
func TestOrderIsKept(t *testing.T) {
	var records data.Records
	for i := range 1000 {
		records = append(records, data.Record{Instruction: fmt.Sprint(i), Output: strings.Repeat("a", i%50+1)})
	}
	many, _, err := data.Encode(t.Context(), bytesTokenizer{}, records, data.EncodeConfig{Workers: 8})
	require.NoError(t, err)
	single, _, err := data.Encode(t.Context(), bytesTokenizer{}, records, data.EncodeConfig{Workers: 1})
	require.NoError(t, err)
	assert.Equal(t, single, many)
	for i, s := range many {
		require.Equal(t, i+1, s.Place.Line)
	}
}

type sourceFunc func(yield func(data.Conversation, error) bool)

func (f sourceFunc) Conversations() iter.Seq2[data.Conversation, error] {
	return iter.Seq2[data.Conversation, error](f)
}

func TestCancelled(t *testing.T) {
	cause := errors.New("pressed the button")
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	endless := sourceFunc(func(yield func(data.Conversation, error) bool) {
		c, _ := data.Record{Instruction: "q", Output: "a"}.Conversation()
		for yield(c, nil) {
			if n++; n == 5000 {
				cancel(cause)
			}
		}
	})
	_, ledger, err := data.Encode(ctx, bytesTokenizer{}, endless, data.EncodeConfig{})
	assert.ErrorIs(t, err, cause)
	assert.Less(t, ledger.Read, 6000)
}

func TestPanicBecomesAnError(t *testing.T) {
	broken := sourceFunc(func(func(data.Conversation, error) bool) { panic("source") })
	_, _, err := data.Encode(t.Context(), bytesTokenizer{}, broken, data.EncodeConfig{})
	assert.ErrorContains(t, err, "panic while reading: source")
}

func TestLedgerPrints(t *testing.T) {
	records := data.Records{
		{Instruction: "q", Output: "a", Place: data.Place{File: "装修问答.jsonl", Line: 1}},
		{Instruction: "q", Output: "", Place: data.Place{File: "装修问答.jsonl", Line: 2}},
		{Instruction: "q", Output: "a", Place: data.Place{File: "sft.jsonl", Line: 7}},
		{Instruction: strings.Repeat("q", 50), Output: "a", Place: data.Place{File: "sft.jsonl", Line: 8}},
		{Instruction: strings.Repeat("q", 50), Output: "a", Place: data.Place{File: "sft.jsonl", Line: 9}},
	}
	_, ledger, err := data.Encode(t.Context(), bytesTokenizer{}, records, data.EncodeConfig{MaxLength: 40, Lenient: true})
	require.NoError(t, err)
	var b strings.Builder
	_, err = ledger.WriteTo(&b)
	require.NoError(t, err)
	assert.Equal(t, ""+
		"source          read  kept  dropped  truncated  repaired  tokens  learned\n"+
		"装修问答.jsonl     2     1        1          0         0      22        2\n"+
		"sft.jsonl          3     1        2          0         0      22        2\n"+
		"total              5     2        3          0         0      44        4\n"+
		"\n"+
		"what     why          records  first\n"+
		"dropped  over_long    2        sft.jsonl:8, 9\n"+
		"dropped  empty_field  1        装修问答.jsonl:2\n", b.String())

	text, err := json.Marshal(ledger)
	require.NoError(t, err)
	var back data.Ledger
	require.NoError(t, json.NewDecoder(bytes.NewReader(text)).Decode(&back))
	assert.Equal(t, *ledger, back)
}
