package tokenizer_test

import (
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

// factorySlot is a slot as templates.json writes it: a text or an object.
type factorySlot struct{ tokenizer.Slot }

func (s *factorySlot) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &s.Text)
	}
	return json.Unmarshal(data, &s.Slot)
}

type factoryTemplate struct {
	Prefix, System, User, Assistant []factorySlot

	DefaultSystem     string   `json:"default_system"`
	StopWords         []string `json:"stop_words"`
	EfficientEOS      bool     `json:"efficient_eos"`
	ReplaceEOS        bool     `json:"replace_eos"`
	SystemInFirstUser bool     `json:"system_inside_first_user"`
}

func (f factoryTemplate) slots(in []factorySlot) []tokenizer.Slot {
	out := []tokenizer.Slot{}
	for _, s := range in {
		out = append(out, s.Slot)
	}
	return out
}

func TestGoldenLlamaFactoryTemplates(t *testing.T) {
	var file struct{ Templates map[string]factoryTemplate }
	readJSON(t, filepath.Join(testdata.Goldens(t), "llamafactory", "templates.json"), &file)
	require.NotEmpty(t, file.Templates)
	for name, want := range file.Templates {
		t.Run(name, func(t *testing.T) {
			got, err := tokenizer.BuiltInTemplate(name)
			require.NoError(t, err)
			assert.Equal(t, want.slots(want.Prefix), list(got.Prefix))
			assert.Equal(t, want.slots(want.System), list(got.System))
			assert.Equal(t, want.slots(want.User), list(got.User))
			assert.Equal(t, want.slots(want.Assistant), list(got.Assistant))
			assert.Equal(t, want.DefaultSystem, got.DefaultSystem)
			assert.Equal(t, want.StopWords, list(got.StopWords))
			assert.Equal(t, []bool{want.EfficientEOS, want.ReplaceEOS, want.SystemInFirstUser}, []bool{got.EfficientEOS, got.ReplaceEOS, got.SystemInFirstUser})
		})
	}
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into), path)
}

// factoryRecord is a line of records_sft.jsonl or records_ranked.jsonl.
type factoryRecord struct {
	Instruction, Input, Output, System, Chosen, Rejected string
	History                                              [][2]string
}

func (r factoryRecord) turns(answer string) []tokenizer.Turn {
	var out []tokenizer.Turn
	for _, h := range r.History {
		out = append(out, tokenizer.Turn{Question: h[0], Answer: h[1]})
	}
	question := strings.TrimPrefix(r.Instruction+"\n"+r.Input, "\n")
	if r.Input == "" {
		question = r.Instruction
	}
	return append(out, tokenizer.Turn{Question: question, Answer: answer})
}

// factoryCase is a line of NAME/cases.jsonl, for one record of stage sft or rm.
type factoryCase struct {
	ID      string
	Stage   string
	Match   bool
	Records []int
	Options struct {
		CutoffLen     int  `json:"cutoff_len"`
		MaskHistory   bool `json:"mask_history"`
		TrainOnPrompt bool `json:"train_on_prompt"`
		Packing       bool
		NeatPacking   bool `json:"neat_packing"`
	}
	InputIDs         []int32 `json:"input_ids"`
	Labels           []int32
	ChosenInputIDs   []int32 `json:"chosen_input_ids"`
	RejectedInputIDs []int32 `json:"rejected_input_ids"`
	ChosenLabels     []int32 `json:"chosen_labels"`
	RejectedLabels   []int32 `json:"rejected_labels"`
}

// TestGoldenLlamaFactory encodes records with the built-in templates. It covers what templates do: cases in which
// nothing had to be cut. Cutting to length and packing belong to package data.
func TestGoldenLlamaFactory(t *testing.T) {
	root := filepath.Join(testdata.Goldens(t), "llamafactory")
	sft := readLines[factoryRecord](t, filepath.Join(root, "records_sft.jsonl"))
	ranked := readLines[factoryRecord](t, filepath.Join(root, "records_ranked.jsonl"))
	for _, path := range testdata.Cases(t, root, "*/cases.jsonl") {
		dir := filepath.Dir(path)
		var info struct {
			Template string
			After    struct {
				EOS int32 `json:"eos_token_id"`
			} `json:"tokenizer_after"`
		}
		readJSON(t, filepath.Join(dir, "info.json"), &info)
		tok, err := tokenizer.Load(dir)
		require.NoError(t, err)
		template, err := tokenizer.BuiltInTemplate(info.Template)
		require.NoError(t, err)
		eos, _ := template.EOS(tok)
		assert.Equal(t, info.After.EOS, eos, "EOS of %s", info.Template)
		for _, c := range readLines[factoryCase](t, path) {
			t.Run(filepath.Base(dir)+"/"+c.ID, func(t *testing.T) {
				f := factoryRun{t, tok, template, eos, c}
				switch {
				case c.Stage == "pt" || c.Options.Packing || c.Options.NeatPacking:
					t.Skip("no template takes part, or rows are packed: package data")
				case !c.Match:
					t.Skip("LLaMA-Factory is known to be wrong here")
				case c.Stage == "rm":
					r := ranked[c.Records[0]]
					f.check(r, r.Chosen, c.ChosenInputIDs, c.ChosenLabels)
					f.check(r, r.Rejected, c.RejectedInputIDs, c.RejectedLabels)
				default:
					r := sft[c.Records[0]]
					f.check(r, r.Output, c.InputIDs, c.Labels)
				}
			})
		}
	}
}

type factoryRun struct {
	t        *testing.T
	tok      *tokenizer.Tokenizer
	template *tokenizer.SlotTemplate
	eos      int32
	c        factoryCase
}

const ignored = -100

func (f factoryRun) check(r factoryRecord, answer string, wantIDs, wantLabels []int32) {
	f.t.Helper()
	turns, err := f.template.EncodeTurns(f.tok, r.System, r.turns(answer))
	require.NoError(f.t, err)
	var ids, labels []int32
	for i, turn := range turns {
		ids = append(append(ids, turn.Prompt...), turn.Answer...)
		paired := f.c.Stage == "rm" // of a pair only the last answer counts
		hide := (f.c.Options.MaskHistory || paired) && i < len(turns)-1
		labels = append(labels, f.labels(turn.Prompt, !f.c.Options.TrainOnPrompt)...)
		if f.template.EfficientEOS && i > 0 && !f.c.Options.TrainOnPrompt && !paired { // the end of the answer before
			labels[len(labels)-len(turn.Prompt)] = f.eos
		}
		labels = append(labels, f.labels(turn.Answer, hide)...)
	}
	if f.template.EfficientEOS {
		ids, labels = append(ids, f.eos), append(labels, f.eos)
	}
	if len(ids) > f.c.Options.CutoffLen {
		f.t.Skip("the record is cut to length: package data")
	}
	assert.Equal(f.t, wantIDs, ids, "ids")
	assert.Equal(f.t, wantLabels, labels, "labels")
	f.checkChat(r, answer, ids)
}

func (f factoryRun) labels(ids []int32, hide bool) []int32 {
	out := list(ids)
	for i := range out {
		if hide {
			out[i] = ignored
		}
	}
	return out
}

// checkChat encodes the record as messages: the same ids, and answers that end with the end token.
func (f factoryRun) checkChat(r factoryRecord, answer string, ids []int32) {
	f.t.Helper()
	var messages []tokenizer.Message
	if r.System != "" {
		messages = append(messages, tokenizer.Message{Role: "system", Content: r.System})
	}
	for _, turn := range r.turns(answer) {
		messages = append(messages, tokenizer.Message{Role: "user", Content: turn.Question}, tokenizer.Message{Role: "assistant", Content: turn.Answer})
	}
	chat, err := f.tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true, DefaultTemplate: f.template.Name})
	require.NoError(f.t, err)
	if f.template.EfficientEOS {
		chat.IDs = append(chat.IDs, f.eos)
	}
	assert.Equal(f.t, ids, chat.IDs, "ids as messages")
	require.Len(f.t, chat.Answers, len(r.History)+1)
	last := chat.Answers[len(chat.Answers)-1]
	text := f.tok.Decode(chat.IDs[last.Start:last.End], true)
	assert.Equal(f.t, strings.TrimSpace(answer), strings.TrimSpace(text))
	if !f.template.EfficientEOS {
		assert.Equal(f.t, f.eos, chat.IDs[last.End-1], "the end token is part of the answer")
	}
}
