package data

import (
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gofinetune/finetune/tokenizer"
)

// Judged is one answer with a verdict, for KTO, which needs no pairs. kto_tag is LLaMA-Factory's name for the verdict, label TRL's:
//
//	{"instruction": "…", "input": "…", "output": "…", "kto_tag": true, "history": […], "system": "…"}
type Judged struct {
	Instruction string      `json:"instruction"`
	Input       string      `json:"input,omitempty"`
	Output      string      `json:"output"`
	Good        bool        `json:"kto_tag"`
	History     [][2]string `json:"history,omitempty"`
	System      string      `json:"system,omitempty"`
	Place       Place       `json:"-"`
}

// Prompt is the conversation up to the answer.
func (j Judged) Prompt() []tokenizer.Message {
	return turns(j.System, j.History, j.Instruction, j.Input)
}

// JudgedSource gives judged answers, such as a File.
type JudgedSource interface {
	Judged() iter.Seq2[Judged, error]
}

var (
	ktoSchema   = schema{kind: "kto", required: []string{"instruction", "output", "kto_tag"}, optional: []string{"input", "history", "system"}}
	labelSchema = schema{kind: "kto", required: []string{"instruction", "output", "label"}, optional: []string{"input", "history", "system"}}
)

func parseJudged(o *object, f File) (j Judged, err *RecordError) {
	s := ktoSchema
	if !o.has("kto_tag") && o.has("label") {
		s = labelSchema
	}
	if _, err = s.check(o, f.RejectUnknown); err != nil {
		return j, err
	}
	if j.Instruction, j.Input, j.System, j.History, err = o.prompt(); err != nil {
		return j, err
	}
	if j.Output, err = o.text("output"); err != nil {
		return j, err
	}
	if blank(j.Output) {
		return j, fault(ErrEmptyField, "output", "is blank")
	}
	verdict := s.required[2]
	switch v := o.value(verdict); {
	case v != nil && (v.Kind() == jsontext.KindTrue || v.Kind() == jsontext.KindFalse):
		j.Good = v.Kind() == jsontext.KindTrue
	default:
		return j, fault(ErrWrongType, verdict, "is %s; want true or false", describe(v))
	}
	return j, nil
}

// Judged walks the file's judged answers; see [Source] about errors.
func (f File) Judged() iter.Seq2[Judged, error] {
	return walk(f, laidOut(parseJudged, ""), func(r *Judged, p Place, _ string) { r.Place = p })
}

// Judged walks the judged answers of all files.
func (s FileSet) Judged() iter.Seq2[Judged, error] { return chain(s, File.Judged) }
