package data_test

import (
	"fmt"
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

// explained is a sample of the first tokenizer found that gives every text back, as byte-level ones do.
func explained(t testing.TB) (*tokenizer.Tokenizer, data.Sample) {
	question, answer := "问\x1b[2J鑫?\n", "您好🚀\n"
	goldens := testdata.Goldens(t)
	for _, path := range testdata.Cases(t, goldens, "tokenizer/*/tokenizer.json") {
		tok, err := tokenizer.Load(filepath.Dir(path))
		require.NoError(t, err)
		if tok.Decode(tok.Encode(question+answer), false) != question+answer {
			continue
		}
		s := data.Sample{Place: data.Place{File: "sft.jsonl", Line: 3}, IDs: append(tok.Encode(question), tok.Encode(answer)...)}
		for i, id := range s.IDs {
			if i < len(tok.Encode(question)) {
				id = data.NoLabel
			}
			s.Labels = append(s.Labels, id)
		}
		return tok, s
	}
	t.Skip("no byte-level tokenizer among the reference cases")
	return nil, data.Sample{}
}

func TestExplain(t *testing.T) {
	tok, s := explained(t)
	var b strings.Builder
	require.NoError(t, data.Explain(&b, tok, s))
	head, text, _ := strings.Cut(b.String(), "\n")
	assert.Equal(t, fmt.Sprintf("sft.jsonl:3: %d tokens, %d learned", len(s.IDs), s.Targets()), head)
	plain := strings.ReplaceAll(text, "|", "") // where the bars are depends on the tokenizer
	assert.Equal(t, "  问\\u001b[2J鑫?↵\n+ 您好🚀↵\n", plain, "whole characters, no escape sequence")
	assert.NotContains(t, b.String(), "\x1b")
}

func TestExplainColor(t *testing.T) {
	tok, s := explained(t)
	var b strings.Builder
	require.NoError(t, data.Explainer{Color: true}.Explain(&b, tok, s))
	assert.Equal(t, 1, strings.Count(b.String(), "\x1b[32m+ "))
	assert.Equal(t, 1, strings.Count(b.String(), "\x1b[0m\n"))
}

func TestExplainIDs(t *testing.T) {
	tok, s := explained(t)
	s.Labels[len(s.Labels)-1] = 7
	var b strings.Builder
	require.NoError(t, data.Explainer{IDs: true}.Explain(&b, tok, s))
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")[1:]
	var ids []string
	for _, line := range lines {
		ids = append(ids, strings.Fields(strings.TrimLeft(line, "+ "))[0])
	}
	assert.Equal(t, fmt.Sprint(s.IDs[0]), ids[0])
	last := lines[len(lines)-1]
	assert.Contains(t, last, fmt.Sprintf("%d→7", s.IDs[len(s.IDs)-1]), "a label that is not the id")
}

// TestExplainHalfACharacter: where the mask runs through a character, its halves are shown as such.
func TestExplainHalfACharacter(t *testing.T) {
	tok, _ := explained(t)
	ids := tok.Encode("𪚥")
	if len(ids) < 2 {
		t.Skip("the tokenizer has this rare character whole")
	}
	s := data.Sample{IDs: ids, Labels: append([]int32{}, ids...)}
	s.Labels[0] = data.NoLabel
	var b strings.Builder
	require.NoError(t, data.Explain(&b, tok, s))
	assert.Contains(t, b.String(), "  \ufffd\n+ \ufffd")
}

func TestDataReads(t *testing.T) {
	folder := testdata.Data(t)
	for _, path := range testdata.Cases(t, folder, "*.jsonl") {
		name := filepath.Base(path)
		format, _, _ := strings.Cut(strings.TrimSuffix(name, ".jsonl"), "_")
		t.Run(name, func(t *testing.T) {
			records := anyRecord(data.File{Path: path}, format)
			if records == nil {
				t.Skip("not records of a training stage")
			}
			n := 0
			for _, err := range records {
				require.NoError(t, err)
				n++
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, strings.Count(string(text), "\n"), n, "one record a line")
		})
	}
}
