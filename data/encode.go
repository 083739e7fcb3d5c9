package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/gofinetune/finetune/tokenizer"
)

// EncodeConfig says how conversations become samples. The zero value learns every answer, drops what is longer than
// 2048 tokens even without its earlier turns, and stops at the first bad record.
type EncodeConfig struct {
	MaxLength int            `json:"max_length"`        // tokens of a sample; 0 means 2048
	Learn     LearnPolicy    `json:"learn"`             // 0 means EveryAnswer; a record may say otherwise
	OverLong  OverLongPolicy `json:"over_long"`         // 0 means OverLongDrop; earlier turns are dropped first in any case but OverLongCutEnd
	Lenient   bool           `json:"lenient,omitempty"` // bad records are dropped and listed in the ledger instead of ending the work

	System       string         `json:"system,omitempty"`        // system text of conversations that have none; "" leaves it to the template
	Template     string         `json:"template,omitempty"`      // built-in template for a checkpoint that ships none: chatml, llama2, …
	TemplateArgs map[string]any `json:"template_args,omitempty"` // further variables of the template, such as enable_thinking

	// ParseControl turns control tokens written in the text of a record into their ids, as the reference does. It is for
	// trusted data only: anybody whose text is in the data can then end a turn or speak as the system.
	ParseControl bool `json:"parse_control,omitempty"`
	// DropControlText drops records in whose text control tokens are written; otherwise they are kept as plain text and noted.
	DropControlText bool `json:"drop_control_text,omitempty"`

	Workers int `json:"-"` // goroutines that encode; 0 means one per core
	// Progress is called from time to time, from the goroutine that called Encode; it may be nil.
	Progress func(records int, tokens int64) `json:"-"`
}

// Validate reports every problem at once.
func (c EncodeConfig) Validate() error {
	var problems []error
	want := func(ok bool, field, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(field+": "+format, args...))
		}
	}
	want(c.MaxLength == 0 || c.MaxLength > 1, "MaxLength", "is %d; want 0 (2048), or 2 and more tokens", c.MaxLength)
	want(c.Learn >= 0 && c.Learn <= EveryToken, "Learn", "is %d; want EveryAnswer, LastAnswer or EveryToken", c.Learn)
	want(c.OverLong >= 0 && c.OverLong <= OverLongCutEnd, "OverLong", "is %d; want one of the policies", c.OverLong)
	want(c.Workers >= 0, "Workers", "is %d; want 0 (all cores) or more", c.Workers)
	if c.Template != "" {
		_, err := tokenizer.BuiltInTemplate(c.Template)
		want(err == nil, "Template", "%v", err)
	}
	want(!c.ParseControl || !c.DropControlText, "DropControlText", "contradicts ParseControl")
	return errors.Join(problems...)
}

func (c EncodeConfig) withDefaults() EncodeConfig {
	if c.MaxLength == 0 {
		c.MaxLength = 2048
	}
	if c.Learn == LearnDefault {
		c.Learn = EveryAnswer
	}
	return c
}

// Encode turns conversations into samples, on all cores and in the order of the source. Each sample is what the chat
// template and the tokenizer make of the whole conversation, up to the end-of-turn token of the last learned answer;
// where the template ends an answer without such a token, the tokenizer's EOS is added and learned.
//
// The ledger, which is never nil, accounts for every record. The error is the first bad record (not so if Lenient), an
// unreadable source, the cause of ctx, or wraps ErrNoTargets when no sample is left.
func Encode(ctx context.Context, tok Tokenizer, source Source, cfg EncodeConfig) ([]Sample, *Ledger, error) {
	return encodeAll(ctx, tok, source.Conversations(), cfg, (*encoder).encode, nil)
}

// encodeAll encodes records on all cores. kept, which may be nil, is told of those that became a sample, in their order.
func encodeAll[R any](ctx context.Context, tok Tokenizer, records iter.Seq2[R, error], cfg EncodeConfig,
	encode func(*encoder, R) result, kept func(result)) ([]Sample, *Ledger, error) {
	ledger := &Ledger{}
	if err := cfg.check(tok); err != nil {
		return nil, ledger, err
	}
	e := newEncoder(tok, cfg.withDefaults())
	var samples []Sample
	one := func(r R) result { return encode(e, r) }
	err := ordered(ctx, records, cfg.Workers, one, func(r result, sourceErr error) error {
		if err := r.enter(ledger, sourceErr, cfg.Lenient); err != nil {
			return err
		}
		if r.err == nil && sourceErr == nil {
			samples = append(samples, r.sample)
			if kept != nil {
				kept(r)
			}
		}
		if cfg.Progress != nil && ledger.Read%256 == 0 {
			cfg.Progress(ledger.Read, ledger.Tokens)
		}
		return nil
	})
	if err == nil {
		e.noteDoubleBOS(samples, ledger)
		err = ledger.finish()
	}
	if err != nil {
		return nil, ledger, err
	}
	return samples, ledger, nil
}

// check looks for what Encode cannot work with.
func (c EncodeConfig) check(tok Tokenizer) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if !tok.HasChatTemplate() && c.Template == "" {
		return errors.New("data: the checkpoint ships no chat template; name a built-in one in Template (chatml, llama2, qwen, …)")
	}
	return nil
}

// result is what became of one record.
type result struct {
	sample  Sample
	prompt  Prompt       // of EncodePrompts
	err     *RecordError // why there is no sample
	tokens  int          // of a record that was dropped
	entries []Entry
	name    string
	ignored []string
}

// enter writes the result into the ledger. It returns the error that ends the work, if any.
func (r result) enter(l *Ledger, sourceErr error, lenient bool) error {
	err := r.err
	if sourceErr != nil && !errors.As(sourceErr, &err) {
		return sourceErr // not about a record: nothing to skip
	}
	switch {
	case err == nil:
		l.keep(r.sample, r.name, r.ignored, r.entries)
		return nil
	case err.Class == ErrEmptyFile && lenient:
		l.note(err.Place, err.Class, err.Msg)
		return nil
	case err.Class == ErrEmptyFile:
		return err
	}
	l.drop(err, r.name, r.tokens)
	if err.Unread || !lenient && !err.byPolicy {
		return err
	}
	return nil
}

// encoder makes samples of conversations; it is for concurrent use.
type encoder struct {
	tok     Tokenizer
	cfg     EncodeConfig
	eos     int32 // −1: none
	control controlTokens
}

func newEncoder(tok Tokenizer, cfg EncodeConfig) *encoder {
	e := &encoder{tok: tok, cfg: cfg, eos: -1}
	if id, ok := endOfText(tok, cfg.Template); ok {
		e.eos = id
	}
	if !cfg.ParseControl {
		e.control = newControlTokens(tok)
	}
	return e
}

// endOfText is the token that ends an answer: a built-in template may replace the tokenizer's.
func endOfText(tok Tokenizer, template string) (int32, bool) {
	t, ok := tok.(*tokenizer.Tokenizer)
	if !ok || t.HasChatTemplate() {
		return tok.EOS()
	}
	builtIn, err := tokenizer.BuiltInTemplate(template)
	if err != nil {
		return tok.EOS()
	}
	return builtIn.EOS(t)
}

// begin looks at a record before its texts are encoded.
func (e *encoder) begin(c Conversation, texts []tokenizer.Message) (r result, err *RecordError) {
	r = result{name: c.Name, ignored: c.Ignored}
	if c.Repaired != "" {
		r.record(c, Repaired, "byte_order_mark", c.Repaired, 0, 0)
	}
	if token := e.control.find(texts); token != "" {
		if e.cfg.DropControlText {
			return r, fault(ErrControlText, "", "the control token %s is written in the text", token).policy()
		}
		r.record(c, Noted, ErrControlText, "the control token "+token+" is written in the text; kept as plain text", 0, 0)
	}
	return r, nil
}

// record keeps an entry about the record for the ledger.
func (r *result) record(c Conversation, a Action, class Class, reason string, before, after int) {
	r.entries = append(r.entries, Entry{c.Place, c.Name, a, class, reason, before, after})
}

func (e *encoder) encode(c Conversation) result {
	r, err := e.begin(c, c.Messages)
	fail := func(err *RecordError) result {
		r.err = err.at(c.Place)
		return r
	}
	if err != nil {
		return fail(err)
	}
	c = e.withSystem(c)
	s, err := e.render(c)
	if err != nil {
		return fail(err)
	}
	if full := len(s.IDs); full > e.cfg.MaxLength {
		var how string
		if _, s, how, err = e.shorten(c, s); err != nil {
			r.tokens = full
			return fail(err)
		}
		r.record(c, Truncated, ErrOverLong, how, full, len(s.IDs))
	}
	if s.Targets() == 0 {
		r.tokens = len(s.IDs)
		return fail(fault(ErrNoLabel, "", "no token to learn from is left").policy())
	}
	s.Place = c.Place
	r.sample = s
	return r
}

// withSystem puts the configured system text before a conversation that has none.
func (e *encoder) withSystem(c Conversation) Conversation {
	if e.cfg.System == "" || len(c.Messages) > 0 && isSystem(c.Messages[0]) {
		return c
	}
	c.Messages = slices.Insert(slices.Clone(c.Messages), 0, tokenizer.Message{Role: "system", Content: e.cfg.System})
	if c.Mute != nil {
		c.Mute = slices.Insert(slices.Clone(c.Mute), 0, false)
	}
	return c
}

func isSystem(m tokenizer.Message) bool { return m.Role == "system" || m.Role == "developer" }

// render makes the sample of a conversation, however long it is.
func (e *encoder) render(c Conversation) (Sample, *RecordError) {
	chat, err := e.tok.EncodeChat(c.Messages, tokenizer.ChatOptions{
		Tools: c.Tools, Kwargs: e.cfg.TemplateArgs, PlainText: !e.cfg.ParseControl, DefaultTemplate: e.cfg.Template,
	})
	if err != nil {
		return Sample{}, fault(ErrTemplate, "", "%v", err)
	}
	learned := e.learned(c, chat.Answers)
	if len(learned) == 0 {
		return Sample{}, fault(ErrNoLabel, "", "no answer of it is to be learned").policy()
	}
	return e.label(chat.IDs, learned, c.learn(e.cfg.Learn) == EveryToken), nil
}

func (c Conversation) learn(otherwise LearnPolicy) LearnPolicy {
	if c.Learn != LearnDefault {
		return c.Learn
	}
	return otherwise
}

// learned picks the answers to learn.
func (e *encoder) learned(c Conversation, answers []tokenizer.Span) []tokenizer.Span {
	var out []tokenizer.Span
	for i, a := range answers {
		last := i == len(answers)-1
		switch {
		case c.Mute != nil && c.Mute[a.Message]:
		case !last && c.learn(e.cfg.Learn) == LastAnswer:
		default:
			out = append(out, a)
		}
	}
	return out
}

// label cuts the tokens after the last learned answer and marks what is learned.
func (e *encoder) label(ids []int32, learned []tokenizer.Span, everything bool) Sample {
	last := learned[len(learned)-1]
	n := last.End
	addEOS := e.eos >= 0 && (n == last.Start || ids[n-1] != e.eos && !e.tok.IsSpecial(ids[n-1]))
	if addEOS {
		n++
	}
	buf := make([]int32, 2*n)
	s := Sample{IDs: buf[:n:n], Labels: buf[n:]}
	copy(s.IDs, ids[:last.End])
	if addEOS {
		s.IDs[n-1] = e.eos
	}
	if everything {
		copy(s.Labels, s.IDs)
		return s
	}
	for i := range s.Labels {
		s.Labels[i] = NoLabel
	}
	for _, a := range learned {
		copy(s.Labels[a.Start:a.End], s.IDs[a.Start:a.End])
	}
	s.Labels[n-1] = s.IDs[n-1]
	return s
}

// noteDoubleBOS notes samples that begin with two BOS tokens: a template that writes what the tokenizer adds anyway.
func (e *encoder) noteDoubleBOS(samples []Sample, l *Ledger) {
	bos, ok := e.tok.BOS()
	for _, s := range samples {
		if ok && len(s.IDs) > 1 && s.IDs[0] == bos && s.IDs[1] == bos {
			l.note(s.Place, "double_bos", "the chat template begins with BOS twice; correct it before training")
			return // one is enough: the template is the same for all
		}
	}
}
