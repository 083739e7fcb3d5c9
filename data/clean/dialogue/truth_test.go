package dialogue_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/data/clean/dialogue"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// labelled is a dialogue with the truth about it.
type labelled struct {
	ID    string
	Turns []struct{ Role, Text string }
	User  dialogue.Features
	Truth struct {
		CleanTexts  []string `json:"clean_texts"` // nil: the texts are clean
		FillerTurns int      `json:"filler_turns"`
		Transfer    bool     `json:"transfer_to_human"`
	}
}

func (l labelled) conversation() (c data.Conversation) {
	for _, turn := range l.Turns {
		c.Messages = append(c.Messages, tokenizer.Message{Role: turn.Role, Content: turn.Text})
	}
	return c
}

func (l labelled) clean() (texts []string) {
	if l.Truth.CleanTexts != nil {
		return l.Truth.CleanTexts
	}
	for _, turn := range l.Turns {
		texts = append(texts, turn.Text)
	}
	return texts
}

func truth(t *testing.T) (all []labelled) {
	t.Helper()
	raw, err := os.ReadFile(testdata.Cases(t, testdata.Data(t), "dialogues.jsonl")[0])
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l labelled
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		all = append(all, l)
	}
	require.NotEmpty(t, all)
	return all
}

// lists are the words that the dialogues use.
func lists(t *testing.T) (l struct {
	Fillers       []string
	TransferUser  []string `json:"transfer_user"`
	TransferAgent []string `json:"transfer_agent"`
}) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testdata.Data(t), "lists.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &l))
	return l
}

func TestDataFillersAndTransfers(t *testing.T) {
	words := lists(t)
	given := dialogue.Config{
		Fillers: dialogue.Fillers{Words: words.Fillers},
		Drop:    []dialogue.Rule{{Name: "transfer", User: words.TransferUser, Agent: words.TransferAgent}},
	}
	for name, cfg := range map[string]dialogue.Config{"defaults": {}, "the lists given": given} {
		t.Run(name, func(t *testing.T) {
			cleaner, err := dialogue.New(cfg)
			require.NoError(t, err)
			var tally dialogue.Tally
			transfers := 0
			for _, l := range truth(t) {
				out, report := cleaner.Clean(l.conversation(), l.User)
				tally.Add(report)
				assert.Equal(t, l.Truth.Transfer, report.Dropped != nil, "%s: %v", l.ID, report.Dropped)
				if l.Truth.Transfer {
					transfers++
				}
				var texts []string
				for _, m := range out.Messages {
					texts = append(texts, m.Content)
				}
				assert.Equal(t, l.clean(), texts, l.ID)
				fields := map[string]bool{}
				for _, c := range report.Changes {
					fields[c.Field] = true
				}
				assert.Len(t, fields, l.Truth.FillerTurns, "%s: turns with fillers: %v", l.ID, report.Changes)
			}
			assert.Equal(t, transfers, tally.Read-tally.Kept)
			t.Log(tally)
		})
	}
}

func TestDataTagsSayWhatIsKnown(t *testing.T) {
	cleaner, err := dialogue.New(dialogue.Config{Drop: []dialogue.Rule{}, Tags: dialogue.Tags{Into: dialogue.SystemText}})
	require.NoError(t, err)
	for _, l := range truth(t) {
		out, _ := cleaner.Clean(l.conversation(), l.User)
		require.Len(t, out.Messages, len(l.Turns)+1, l.ID)
		assert.Equal(t, "system", out.Messages[0].Role)
		assert.Contains(t, out.Messages[0].Content, l.User.Region)
		assert.Contains(t, out.Messages[0].Content, l.User.Crowd)
		assert.NotContains(t, out.Messages[0].Content, "unknown")
	}
}

func TestDataNewestTurns(t *testing.T) {
	cleaner, err := dialogue.New(dialogue.Config{Drop: []dialogue.Rule{}, Fillers: dialogue.Fillers{Keep: true}, Newest: dialogue.Newest{Turns: 3}})
	require.NoError(t, err)
	for _, l := range truth(t) {
		in := l.conversation()
		out, report := cleaner.Clean(in, l.User)
		assert.Equal(t, in.Messages[max(0, len(in.Messages)-6):], out.Messages, l.ID)
		assert.Equal(t, len(in.Messages) > 6, len(report.Changes) == 1, l.ID)
	}
}
