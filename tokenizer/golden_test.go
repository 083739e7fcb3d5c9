package tokenizer_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// encodeCase is one line of cases.jsonl or pairs.jsonl.
type encodeCase struct {
	Text         string
	Pair         *string
	IDs          []int32
	IDsNoSpecial *[]int32 `json:"ids_no_special"`
	Tokens       []string
	Offsets      [][2]int
	TypeIDs      []int32 `json:"type_ids"`
	Decoded      *string
	DecodedSkip  *string `json:"decoded_skip_special"`
}

var reference = tokenizer.Options{AddSpecial: true, ParseControl: true}

func TestGoldenTokenizer(t *testing.T) {
	found := 0
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/*/cases.jsonl") {
		dir := filepath.Dir(path)
		found++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			equal := 0
			for i, c := range readLines[encodeCase](t, path) {
				if checkEncoding(t, tok, i, c) {
					equal++
				}
			}
			t.Logf("%d equal", equal)
		})
	}
	require.NotZero(t, found)
}

func checkEncoding(t *testing.T, tok *tokenizer.Tokenizer, i int, c encodeCase) bool {
	t.Helper()
	full := tok.EncodeFull(c.Text, reference)
	ok := assert.Equal(t, list(c.IDs), list(full.IDs), "ids of case %d %q", i, c.Text)
	if c.Tokens != nil {
		ok = assert.Equal(t, list(c.Tokens), list(full.Tokens), "tokens of case %d %q", i, c.Text) && ok
	}
	if c.Offsets != nil {
		ok = assert.Equal(t, list(c.Offsets), list(full.Offsets), "offsets of case %d %q", i, c.Text) && ok
	}
	plain := c.IDs
	if c.IDsNoSpecial != nil {
		plain = *c.IDsNoSpecial
	}
	batch := tok.EncodeBatch([]string{c.Text, c.Text}, reference)
	ok = assert.Equal(t, list(c.IDs), list(batch[1]), "batch ids of case %d %q", i, c.Text) && ok
	batch = tok.EncodeBatch([]string{c.Text}, tokenizer.Options{ParseControl: true})
	ok = assert.Equal(t, list(plain), list(batch[0]), "ids without specials of case %d %q", i, c.Text) && ok
	if c.Decoded != nil {
		ok = assert.Equal(t, *c.Decoded, tok.Decode(c.IDs, false), "decoded case %d", i) && ok
		ok = assert.Equal(t, *c.Decoded, stream(tok, c.IDs, false), "streamed case %d", i) && ok
	}
	if c.DecodedSkip != nil {
		ok = assert.Equal(t, *c.DecodedSkip, tok.Decode(c.IDs, true), "decoded case %d, specials skipped", i) && ok
		ok = assert.Equal(t, *c.DecodedSkip, stream(tok, c.IDs, true), "streamed case %d, specials skipped", i) && ok
	}
	return ok
}

func TestGoldenTokenizerPairs(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "tokenizer/*/pairs.jsonl") {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			for i, c := range readLines[encodeCase](t, path) {
				got := tok.EncodePair(c.Text, *c.Pair, reference)
				assert.Equal(t, list(c.IDs), list(got.IDs), "ids of case %d %q + %q", i, c.Text, *c.Pair)
				assert.Equal(t, list(c.TypeIDs), list(got.TypeIDs), "type ids of case %d", i)
			}
		})
	}
}

// stream decodes id by id.
func stream(tok *tokenizer.Tokenizer, ids []int32, skip bool) string {
	var b strings.Builder
	d := tok.NewDecoder(skip)
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// list makes nil and empty compare equal.
func list[T any](s []T) []T { return append([]T{}, s...) }

// readLines reads a JSONL file whose strings may hold any character: lines end at \n only.
func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var out []T
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		line, err := r.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var v T
			require.NoError(t, json.Unmarshal(line, &v), "%s", path)
			out = append(out, v)
		}
		if err != nil {
			break
		}
	}
	require.NotEmpty(t, out, "%s holds no cases", path)
	return out
}
