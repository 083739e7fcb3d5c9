package data

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/gofinetune/finetune/tokenizer"
)

// RankedSource gives rankings, such as a File.
type RankedSource interface {
	Ranked() iter.Seq2[Ranked, error]
}

// PairSource gives preference pairs, such as a File.
type PairSource interface {
	Pairs() iter.Seq2[Pair, error]
}

// EncodeRanked turns rankings into samples: the prompt once, and its answers, the best first, all of whose tokens are labelled. cfg.Learn
// is not asked. Where an answer is too long, earlier turns are dropped for all answers alike, and cfg.OverLong decides about the rest.
// The ledger and the errors are those of Encode.
func EncodeRanked(ctx context.Context, tok Tokenizer, source RankedSource, cfg EncodeConfig) ([]Sample, *Ledger, error) {
	cfg.Learn = LastAnswer
	return encodeAll(ctx, tok, source.Ranked(), cfg, func(e *encoder, r Ranked) result {
		return e.compare(Conversation{Messages: r.Prompt(), Place: r.Place}, r.Outputs).untied().worth(r.Margin)
	}, nil)
}

// EncodePairs turns preference pairs into samples with two answers, the chosen one first; see EncodeRanked.
func EncodePairs(ctx context.Context, tok Tokenizer, source PairSource, cfg EncodeConfig) ([]Sample, *Ledger, error) {
	cfg.Learn = LastAnswer
	return encodeAll(ctx, tok, source.Pairs(), cfg, func(e *encoder, p Pair) result {
		return e.compare(Conversation{Messages: p.Prompt(), Place: p.Place}, []string{p.Chosen, p.Rejected}).untied()
	}, nil)
}

// EncodeJudged turns judged answers into samples of one answer, whose Margin is 1 where it is good and −1 where it is bad; see EncodeRanked.
func EncodeJudged(ctx context.Context, tok Tokenizer, source JudgedSource, cfg EncodeConfig) ([]Sample, *Ledger, error) {
	cfg.Learn = LastAnswer
	return encodeAll(ctx, tok, source.Judged(), cfg, func(e *encoder, j Judged) result {
		worth := -1.0
		if j.Good {
			worth = 1
		}
		return e.compare(Conversation{Messages: j.Prompt(), Place: j.Place}, []string{j.Output}).worth(worth)
	}, nil)
}

// worth sets the sample's margin.
func (r result) worth(margin float64) result {
	r.sample.Margin = margin
	return r
}

// EncodeAnswers makes the sample of a conversation and answers to it, to be scored; see EncodeRanked.
func EncodeAnswers(tok Tokenizer, prompt []tokenizer.Message, answers []string, cfg EncodeConfig) (Sample, error) {
	cfg.Learn = LastAnswer
	if err := cfg.check(tok); err != nil {
		return Sample{}, err
	}
	if len(answers) == 0 {
		return Sample{}, errors.New("data: no answer to encode")
	}
	r := newEncoder(tok, cfg.withDefaults()).compare(Conversation{Messages: prompt}, answers)
	if r.err != nil {
		return Sample{}, r.err
	}
	return r.sample, nil
}

// untied refuses answers that are the same tokens: there is nothing to prefer.
func (r result) untied() result {
	if r.err != nil {
		return r
	}
	for i, a := range r.sample.Answers {
		for j, b := range r.sample.Answers[:i] {
			if slices.Equal(a.IDs, b.IDs) {
				r.err = fault(ErrTiedOutputs, "output", "answers %d and %d are the same tokens", j, i).policy().at(r.sample.Place)
				return r
			}
		}
	}
	return r
}

// compare makes the sample of a prompt and its answers.
func (e *encoder) compare(prompt Conversation, outputs []string) result {
	texts := slices.Clone(prompt.Messages)
	for _, text := range outputs {
		texts = append(texts, tokenizer.Message{Role: "assistant", Content: text})
	}
	r, err := e.begin(prompt, texts)
	fail := func(err *RecordError) result {
		r.err = err.at(prompt.Place)
		return r
	}
	if err != nil {
		return fail(err)
	}
	prompt = e.withSystem(prompt)
	answers, err := e.answers(prompt, outputs)
	if err != nil {
		return fail(err)
	}
	if longest := longest(answers); len(answers[longest].IDs) > e.cfg.MaxLength {
		full := joined(answers).Len()
		left, how, err := e.shortenAll(prompt, outputs, answers, longest)
		if err != nil {
			r.tokens = full
			return fail(err)
		}
		answers = left
		r.record(prompt, Truncated, ErrOverLong, how, full, joined(answers).Len())
	}
	for i, a := range answers {
		if a.Targets() == 0 {
			return fail(fault(ErrNoLabel, "output", "nothing of answer %d is left within MaxLength %d", i, e.cfg.MaxLength).policy())
		}
	}
	r.sample = joined(answers)
	r.sample.Place = prompt.Place
	return r
}

// answers is one sample for each answer, the prompt included.
func (e *encoder) answers(prompt Conversation, outputs []string) ([]Sample, *RecordError) {
	list := make([]Sample, len(outputs))
	for i, text := range outputs {
		var err *RecordError
		if list[i], err = e.render(prompt.answered(text)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// answered is the conversation with one more answer.
func (c Conversation) answered(text string) Conversation {
	c.Messages = append(slices.Clone(c.Messages), tokenizer.Message{Role: "assistant", Content: text})
	return c
}

// shortenAll shortens the prompt as far as the longest answer asks for.
func (e *encoder) shortenAll(prompt Conversation, outputs []string, whole []Sample, longest int) (list []Sample, how string, err *RecordError) {
	left, s, how, err := e.shorten(prompt.answered(outputs[longest]), whole[longest])
	if err != nil {
		return nil, "", err
	}
	if e.cfg.OverLong == OverLongCutEnd {
		for i := range whole {
			whole[i] = whole[i].cutEnd(e.cfg.MaxLength)
		}
		return whole, how, nil
	}
	left.Messages = left.Messages[:len(left.Messages)-1]
	if list, err = e.answers(left, outputs); err != nil {
		return nil, "", err
	}
	for _, a := range list {
		if len(a.IDs) > e.cfg.MaxLength {
			return nil, "", fault(ErrOverLong, "", "has %d tokens, over MaxLength %d", len(a.IDs), e.cfg.MaxLength).policy()
		}
	}
	list[longest] = s
	return list, how, nil
}

func longest(answers []Sample) int {
	at := 0
	for i, a := range answers {
		if len(a.IDs) > len(answers[at].IDs) {
			at = i
		}
	}
	return at
}

// joined takes the prompt out of answers that have the same one. Where a template prints the prompt differently before different answers,
// or a token spans its end, each answer keeps its own.
func joined(answers []Sample) (s Sample) {
	first := answers[0].prompt()
	for _, a := range answers {
		if !slices.Equal(a.IDs[:a.prompt()], answers[0].IDs[:first]) {
			first = 0
			break
		}
	}
	s.IDs, s.Labels = answers[0].IDs[:first:first], answers[0].Labels[:first:first]
	for _, a := range answers {
		s.Answers = append(s.Answers, Answer{a.IDs[first:], a.Labels[first:]})
	}
	return s
}

// prompt is the number of tokens before the first that is learned.
func (s Sample) prompt() int {
	for i, label := range s.Labels {
		if label != NoLabel {
			return i
		}
	}
	return len(s.Labels)
}
