package tokenizer

import (
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/jinja"
	"github.com/gofinetune/finetune/tokenizer/internal/model"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// EncodeChat renders a conversation, encodes it, and finds the answers in it.
//
// An answer begins where the model takes over: after what add_generation_prompt writes for the messages before it. It
// ends after the control token that ends the turn, if the template writes one. Where the template says itself what
// the model generates ({% generation %}), that counts, with the end-of-turn token that follows. A message that the
// template does not show has no answer.
//
// With PlainText no character of a message, tool or document takes part in a control token; tokens that are no control
// tokens, such as <think>, are still found in it.
func (t *Tokenizer) EncodeChat(messages []Message, o ChatOptions) (Chat, error) {
	if len(messages) == 0 {
		return Chat{}, errNoMessages
	}
	if slots, err := t.builtIn(o); slots != nil || err != nil {
		return slots.encodeChat(t, messages, o, err)
	}
	r, err := t.newRenderer(messages, o)
	if err != nil {
		return Chat{}, err
	}
	out, err := r.render(len(messages), o.AddGenerationPrompt)
	if err != nil {
		return Chat{}, err
	}
	var forbid func(start, end int) bool
	if o.PlainText {
		forbid = inMarks(out.Marks)
	}
	tokens := t.encodeSpans(out.Text, t.all, forbid)
	chat := Chat{IDs: tokens.ids}
	if r.compiled.HasGeneration() {
		chat.AssistantMask = t.assistantMask(out, tokens, forbid)
	}
	f := &answerFinder{t: t, r: r, messages: messages, out: out, prompted: o.AddGenerationPrompt, gaps: map[string]string{}, tails: map[bool]string{}}
	for _, a := range f.find() {
		if span, ok := tokens.cover(a); ok {
			chat.Answers = append(chat.Answers, span)
		}
	}
	return chat, nil
}

// inMarks tells whether a range of text touches data.
func inMarks(marks []jinja.Mark) func(start, end int) bool {
	return func(start, end int) bool {
		i := sort.Search(len(marks), func(i int) bool { return marks[i].End > start })
		return i < len(marks) && marks[i].Start < end
	}
}

// spanTokens are tokens with the bytes of the text that they cover.
type spanTokens struct {
	ids   []int32
	spans []text.Span
}

// cover gives the tokens of a byte range. A token that straddles its start belongs to it: that is where the tokens of
// prompt and whole text diverge.
func (s spanTokens) cover(a byteSpan) (Span, bool) {
	start := slices.IndexFunc(s.spans, func(x text.Span) bool { return int(x.End) > a.start })
	if start < 0 {
		return Span{}, false
	}
	end := start
	for end < len(s.spans) && int(s.spans[end].Start) < a.end {
		end++
	}
	return Span{start, end, a.message}, end > start
}

// encodeSpans encodes a text; each token comes with the bytes it covers.
func (t *Tokenizer) encodeSpans(s string, m matchers, forbid func(start, end int) bool) spanTokens {
	s = valid(s)
	w := t.worker()
	defer t.release(w)
	out := spanTokens{ids: make([]int32, 0, len(s)/3+8), spans: make([]text.Span, 0, len(s)/3+8)}
	for _, p := range m.before.parts(nil, s, forbid) {
		switch {
		case p.token != nil:
			out.ids = append(out.ids, p.token.ID)
			out.spans = append(out.spans, text.Span{Start: int32(p.start), End: int32(p.end)})
		case m.after == nil && t.cutter != nil && t.bytes != nil && t.unchanged(s[p.start:p.end]):
			out = t.appendCutSpans(out, w, s[p.start:p.end], p.start)
		default:
			out = t.appendTrackedSpans(out, w, s, p, m, forbid)
		}
	}
	return out
}

// unchanged tells whether normalization leaves a text as it is.
func (t *Tokenizer) unchanged(s string) bool {
	return t.normalizer == nil || t.normalizer.Normalize(text.Text{S: s}).S == s
}

// appendCutSpans is the fast way, for bytes: the tokens of a piece are its bytes one after the other.
func (t *Tokenizer) appendCutSpans(out spanTokens, w *worker, s string, base int) spanTokens {
	from := len(out.ids)
	out.ids = t.appendPieces(out.ids, w, text.Text{S: s})
	at := int32(base)
	for _, id := range out.ids[from:] {
		end := at + int32(len(t.bytes[id]))
		out.spans = append(out.spans, text.Span{Start: at, End: end})
		at = end
	}
	return out
}

func (t *Tokenizer) appendTrackedSpans(out spanTokens, w *worker, s string, p part, m matchers, forbid func(start, end int) bool) spanTokens {
	piece := text.New(s[p.start:p.end], p.start, true)
	if t.normalizer != nil {
		piece = t.normalizer.Normalize(piece)
	}
	var within func(start, end int) bool
	if forbid != nil {
		within = func(start, end int) bool {
			origin := piece.Origin(start, end)
			return forbid(int(origin.Start), int(origin.End))
		}
	}
	for _, q := range m.after.parts(nil, piece.S, within) {
		if q.token != nil {
			out.ids = append(out.ids, q.token.ID)
			out.spans = append(out.spans, piece.Origin(q.start, q.end))
			continue
		}
		for _, cut := range t.splitter.Split(nil, piece.Slice(q.start, q.end)) {
			w.tokens = t.model.Append(w.tokens[:0], cut.S, &w.scratch)
			out = appendTokens(out, cut, w.tokens)
		}
	}
	return out
}

func appendTokens(out spanTokens, cut text.Text, tokens []model.Token) spanTokens {
	for _, token := range tokens {
		out.ids = append(out.ids, token.ID)
		out.spans = append(out.spans, cut.Origin(token.Start, token.End))
	}
	return out
}

// assistantMask marks the tokens of {% generation %} blocks as the reference does: by the first token that holds a
// block's first character and the first that holds its last.
func (t *Tokenizer) assistantMask(out jinja.Output, tokens spanTokens, forbid func(start, end int) bool) []bool {
	mask := make([]bool, len(tokens.ids))
	points := t.pointSpans(out.Text, tokens, forbid)
	find := func(point int) int {
		return slices.IndexFunc(points, func(p [2]int) bool { return p[0] <= point && point < p[1] })
	}
	for _, g := range out.Generations {
		start, end := find(g[0]), find(g[1]-1)
		if start < 0 {
			break
		}
		if end <= 0 {
			end = len(mask) - 1
		}
		for i := start; i <= end; i++ {
			mask[i] = true
		}
	}
	return mask
}

// pointSpans are the tokens' offsets in code points, as the post-processor leaves them.
func (t *Tokenizer) pointSpans(s string, tokens spanTokens, forbid func(start, end int) bool) [][2]int {
	if len(t.post) > 0 {
		return t.post.process(t.encodeFull(s, t.all, forbid, 0), nil, false).Offsets
	}
	points := codePoints(s)
	out := make([][2]int, len(tokens.spans))
	for i, span := range tokens.spans {
		start, end := int(span.Start), int(span.End)
		for end < len(s) && !utf8.RuneStart(s[end]) { // a part of a character stands for the whole
			end++
		}
		if points != nil {
			start, end = int(points[start]), int(points[end])
		}
		out[i] = [2]int{start, end}
	}
	return out
}
