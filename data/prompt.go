package data

import (
	"context"

	"github.com/gofinetune/finetune/tokenizer"
)

// Prompt is a conversation to be answered.
type Prompt struct {
	Messages  []tokenizer.Message
	Reference string // the answer that the record has, for rewards that compare; "" for none
	Place     Place
}

// EncodePrompts reads prompts: conversations, whose last answer, if they end with one, becomes the Reference. The samples are their tokens up
// to where the answer begins, none of which is learned. Where a prompt is too long, its earlier turns are dropped; one whose last turn is too
// long alone is dropped, or ends the work with OverLongError. The ledger and the errors are those of Encode.
func EncodePrompts(ctx context.Context, tok Tokenizer, source Source, cfg EncodeConfig) ([]Prompt, []Sample, *Ledger, error) {
	var prompts []Prompt
	samples, ledger, err := encodeAll(ctx, tok, source.Conversations(), cfg, (*encoder).ask, func(r result) { prompts = append(prompts, r.prompt) })
	if err != nil {
		return nil, nil, ledger, err
	}
	return prompts, samples, ledger, nil
}

// ask makes the sample of a prompt.
func (e *encoder) ask(c Conversation) result {
	reference := ""
	if n := len(c.Messages); n > 0 && c.Messages[n-1].Role == "assistant" {
		c.Messages, reference = c.Messages[:n-1], c.Messages[n-1].Content
	}
	c.Mute = nil // nothing of a prompt is learned
	r, err := e.begin(c, c.Messages)
	fail := func(err *RecordError) result {
		r.err = err.at(c.Place)
		return r
	}
	if err != nil {
		return fail(err)
	}
	c = e.withSystem(c)
	h := e.splitTurns(c)
	ids, err := e.question(c)
	full := len(ids)
	dropped := 0
	for err == nil && len(ids) > e.cfg.MaxLength && dropped+1 < len(h.starts) {
		dropped++
		c = h.without(dropped)
		ids, err = e.question(c)
	}
	if err != nil {
		return fail(err)
	}
	if len(ids) > e.cfg.MaxLength {
		r.tokens = full
		err := fault(ErrOverLong, "", "the prompt has %d tokens, over MaxLength %d", len(ids), e.cfg.MaxLength)
		if e.cfg.OverLong != OverLongError {
			err = err.policy()
		}
		return fail(err)
	}
	if dropped > 0 {
		r.record(c, Truncated, ErrOverLong, "the oldest "+count(dropped, "turn")+" dropped", full, len(ids))
	}
	r.prompt = Prompt{Messages: c.Messages, Reference: reference, Place: c.Place}
	r.sample = Sample{IDs: ids, Labels: Unlabelled(len(ids)), Place: c.Place}
	return r
}

// question are the tokens of a conversation up to where the answer begins.
func (e *encoder) question(c Conversation) ([]int32, *RecordError) {
	chat, err := e.tok.EncodeChat(c.Messages, tokenizer.ChatOptions{AddGenerationPrompt: true, Tools: c.Tools, Kwargs: e.cfg.TemplateArgs,
		PlainText: !e.cfg.ParseControl, DefaultTemplate: e.cfg.Template})
	if err != nil {
		return nil, fault(ErrTemplate, "", "%v", err)
	}
	return chat.IDs, nil
}
