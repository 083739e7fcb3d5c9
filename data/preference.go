package data

import (
	"iter"

	"github.com/gofinetune/finetune/tokenizer"
)

// Ranked is one prompt with several answers ranked from best to worst, for reward models:
//
//	{"instruction": "…", "input": "…", "output": ["best", "worse", …], "history": […], "system": "…"}
type Ranked struct {
	Instruction string      `json:"instruction"`
	Input       string      `json:"input,omitempty"`
	Outputs     []string    `json:"output"` // two or more, no two equal
	History     [][2]string `json:"history,omitempty"`
	System      string      `json:"system,omitempty"`
	Margin      float64     `json:"margin,omitempty"` // of two answers: by how much the first is better, where that was asked; 0 or more
	Place       Place       `json:"-"`
}

// Prompt is the conversation up to the answers.
func (r Ranked) Prompt() []tokenizer.Message {
	return turns(r.System, r.History, r.Instruction, r.Input)
}

// Pairs lists the (better, worse) pairs of indices into Outputs: n·(n−1)/2 for n answers.
func (r Ranked) Pairs() [][2]int {
	var pairs [][2]int
	for i := range r.Outputs {
		for j := i + 1; j < len(r.Outputs); j++ {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// Pair is one prompt with a chosen and a rejected answer, for DPO. The answers are a list or two fields of their own:
//
//	{"instruction": "…", "input": "…", "output": ["chosen", "rejected"], "history": […], "system": "…"}
//	{"instruction": "…", "input": "…", "chosen": "…", "rejected": "…", "history": […], "system": "…"}
type Pair struct {
	Instruction string      `json:"instruction"`
	Input       string      `json:"input,omitempty"`
	Chosen      string      `json:"chosen"`
	Rejected    string      `json:"rejected"`
	History     [][2]string `json:"history,omitempty"`
	System      string      `json:"system,omitempty"`
	Place       Place       `json:"-"`
}

// Prompt is the conversation up to the answers.
func (p Pair) Prompt() []tokenizer.Message {
	return turns(p.System, p.History, p.Instruction, p.Input)
}

var (
	rmSchema = schema{
		kind:     "rm",
		required: []string{"instruction", "output"},
		optional: []string{"input", "history", "system", "margin"},
	}
	dpoSchema = schema{
		kind:     "dpo",
		required: []string{"instruction", "output"},
		optional: []string{"input", "history", "system"},
	}
	dpoColumnsSchema = schema{
		kind:     "dpo",
		required: []string{"instruction", "chosen", "rejected"},
		optional: []string{"input", "history", "system"},
	}
)

func parseRanked(o *object, f File) (r Ranked, err *RecordError) {
	o.unpack("output", f)
	if _, err = rmSchema.check(o, f.RejectUnknown); err != nil {
		return r, err
	}
	if r.Instruction, r.Input, r.System, r.History, err = o.prompt(); err != nil {
		return r, err
	}
	if r.Outputs, err = o.outputs("output"); err != nil {
		return r, err
	}
	if r.Margin, err = o.number("margin"); err != nil {
		return r, err
	}
	if r.Margin < 0 || r.Margin > 0 && len(r.Outputs) > 2 {
		return r, fault(ErrWrongType, "margin", "is %g, with %s; want 0 or more, of two answers", r.Margin, count(len(r.Outputs), "answer"))
	}
	for _, pair := range r.Pairs() {
		if r.Outputs[pair[0]] == r.Outputs[pair[1]] {
			return r, fault(ErrTiedOutputs, "output", "answers %d and %d are equal: %s; there is nothing to rank",
				pair[0], pair[1], excerpt(r.Outputs[pair[0]]))
		}
	}
	return r, nil
}

func parsePair(o *object, f File) (p Pair, err *RecordError) {
	if f.isShareGPT(o) {
		return parseShareGPTPair(o, f)
	}
	o.unpack("output", f)
	columns := o.has("chosen") || o.has("rejected")
	s := dpoSchema
	if columns {
		s = dpoColumnsSchema
	}
	if _, err = s.check(o, f.RejectUnknown); err != nil {
		return p, err
	}
	if p.Instruction, p.Input, p.System, p.History, err = o.prompt(); err != nil {
		return p, err
	}
	if columns {
		err = o.texts(map[string]*string{"chosen": &p.Chosen, "rejected": &p.Rejected})
	} else {
		err = p.readOutputs(o)
	}
	switch {
	case err != nil:
		return p, err
	case blank(p.Chosen):
		return p, fault(ErrEmptyField, "chosen", "is blank")
	case blank(p.Rejected):
		return p, fault(ErrEmptyField, "rejected", "is blank")
	case p.Chosen == p.Rejected:
		return p, fault(ErrIdenticalPair, "", "chosen and rejected are equal: %s", excerpt(p.Chosen))
	}
	return p, nil
}

func (p *Pair) readOutputs(o *object) *RecordError {
	outputs, err := o.outputs("output")
	if err != nil {
		return err
	}
	if len(outputs) > 2 {
		return fault(ErrSchemaMismatch, "output", "has %d answers: a ranking (rm), not a pair", len(outputs))
	}
	p.Chosen, p.Rejected = outputs[0], outputs[1]
	return nil
}

// prompt reads the fields that rankings and pairs share.
func (o *object) prompt() (instruction, input, system string, history [][2]string, err *RecordError) {
	err = o.texts(map[string]*string{"instruction": &instruction, "input": &input, "system": &system})
	if err == nil && blank(instruction) && blank(input) {
		err = fault(ErrEmptyField, "instruction", "is blank, and so is input; there is no question")
	}
	if err == nil {
		history, err = o.history("history")
	}
	return instruction, input, system, history, err
}

// Ranked walks the file's rankings (stage rm); see [Source] about errors.
func (f File) Ranked() iter.Seq2[Ranked, error] {
	return walk(f, laidOut(parseRanked, ""), func(r *Ranked, p Place, _ string) { r.Place = p })
}

// Pairs walks the file's preference pairs (stage dpo); see [Source] about errors.
func (f File) Pairs() iter.Seq2[Pair, error] {
	return walk(f, laidOut(parsePair, ""), func(r *Pair, p Place, _ string) { r.Place = p })
}
