package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/jinja"
)

// byteSpan is the answer of a message, in bytes of the rendered text.
type byteSpan struct{ start, end, message int }

// answerFinder finds the answers in a rendered conversation.
//
// The marks say where each message's text is. What stands between the message before and the answer (the header), and
// between the answer's text and its end, is learned from shorter renderings of the same conversation: messages[:i]
// with a generation prompt, and messages[:i+1]. Headers and ends repeat, so few of those are needed.
type answerFinder struct {
	t        *Tokenizer
	r        *renderer
	messages []Message
	out      jinja.Output
	prompted bool              // out ends with a generation prompt
	gaps     map[string]string // by role: what stands between a message of that role and an answer
	tails    map[bool]string   // without and with tool calls: what follows an answer's text, up to its end
}

func isAssistant(m Message) bool { return m.Role == "assistant" || m.Role == "model" }

func (f *answerFinder) find() []byteSpan {
	var found []byteSpan
	marked := f.markedByTemplate()
	for i, m := range f.messages {
		if !isAssistant(m) {
			continue
		}
		span, ok := marked[i]
		switch {
		case ok:
			span = f.trim(f.extend(span))
		case f.r.compiled.HasGeneration() && len(f.out.GenBytes) > 0:
			continue // the template marks answers, and this is none
		default:
			if span, ok = f.byPrefixes(i); !ok {
				continue
			}
		}
		// Where the template makes one turn of two messages, the first ends where the second begins.
		if n := len(found); n > 0 && found[n-1].end > span.start {
			found[n-1].end = max(found[n-1].start, span.start)
		}
		found = append(found, span)
	}
	return found
}

// trim leaves out the white space after an end-of-turn token.
func (f *answerFinder) trim(span byteSpan) byteSpan {
	end := span.start + len(strings.TrimRightFunc(f.out.Text[span.start:span.end], unicode.IsSpace))
	if end < span.end && f.endsWithControl(span.start, end) {
		span.end = end
	}
	return span
}

// markedByTemplate gives the {% generation %} blocks by message. Several blocks of one message are joined.
func (f *answerFinder) markedByTemplate() map[int]byteSpan {
	found := map[int]byteSpan{}
	next, before := 0, 0 // the first assistant message that may come, and where the block before ended
	for _, g := range f.out.GenBytes {
		i, ok := f.messageIn(g)
		if !ok { // none of a message's words: the rest of the answer before, or an empty answer
			if i = f.nextAssistant(next); next > 0 && strings.TrimSpace(f.out.Text[before:g[0]]) == "" {
				i = next - 1
			}
			if i < 0 {
				continue
			}
		}
		span, there := found[i]
		if !there {
			span = byteSpan{g[0], g[1], i}
		}
		span.end = g[1]
		found[i] = span
		next, before = i+1, g[1]
	}
	return found
}

// messageIn is the assistant message whose text is in a range.
func (f *answerFinder) messageIn(g [2]int) (int, bool) {
	for _, m := range f.out.Marks {
		if m.Start < g[1] && m.End > g[0] && m.Source >= 0 && isAssistant(f.messages[m.Source]) {
			return m.Source, true
		}
	}
	return 0, false
}

func (f *answerFinder) nextAssistant(i int) int {
	for ; i < len(f.messages); i++ {
		if isAssistant(f.messages[i]) {
			return i
		}
	}
	return -1
}

// extend includes the end-of-turn token that follows a block: a control token that also follows it when nothing else
// does, so that it is not the header of the next turn.
func (f *answerFinder) extend(span byteSpan) byteSpan {
	end := f.control(f.out, span.end)
	if end == 0 || f.endsWithControl(span.start, span.end) {
		return span
	}
	if span.message < len(f.messages)-1 || f.prompted {
		alone, err := f.r.render(span.message+1, false)
		if err != nil || len(alone.GenBytes) == 0 || f.control(alone, alone.GenBytes[len(alone.GenBytes)-1][1]) == 0 {
			return span
		}
	}
	span.end = end
	return span
}

// maxControl is more than the length of any control token in use.
const maxControl = 128

func (f *answerFinder) endsWithControl(start, end int) bool {
	for at := end - 1; at >= max(start, end-maxControl); at-- {
		if f.control(f.out, at) == end {
			return true
		}
	}
	return false
}

// control is the end of a control token that begins at a place, 0 if there is none. Data is none.
func (f *answerFinder) control(out jinja.Output, at int) int {
	end, token := f.t.all.before.longestAt(out.Text, at)
	if token == nil {
		end, token = f.t.all.after.longestAt(out.Text, at)
	}
	if token == nil || !token.Special || inMarks(out.Marks)(at, end) {
		return 0
	}
	return end
}

// lastControl is the end of the last control token that lies within a range, 0 if there is none.
func (f *answerFinder) lastControl(out jinja.Output, from, to int) int {
	for at := to - 1; at >= from; at-- {
		if end := f.control(out, at); end > 0 && end <= to {
			return end
		}
	}
	return 0
}

// shown is where a message's text begins and ends in a rendering; ok is false if none of it is there.
func shown(out jinja.Output, message int) (start, end int, ok bool) {
	for _, m := range out.Marks {
		if m.Source != message {
			continue
		}
		if !ok {
			start, ok = m.Start, true
		}
		end = m.End
	}
	return start, end, ok
}

// byPrefixes finds an answer in a template that does not mark it.
func (f *answerFinder) byPrefixes(i int) (byteSpan, bool) {
	textStart, textEnd, ok := shown(f.out, i)
	start, found := f.start(i)
	if !found {
		if !ok {
			return byteSpan{}, false
		}
		start = textStart
	}
	if !ok || textEnd < start {
		textStart, textEnd = start, start
	}
	return byteSpan{start, f.end(i, start, textStart, textEnd), i}, true
}

// start is where the header of an answer ends.
func (f *answerFinder) start(i int) (int, bool) {
	before := 0
	if i > 0 {
		_, end, ok := shown(f.out, i-1)
		if gap, known := f.gaps[f.messages[i-1].Role]; ok && known && strings.HasPrefix(f.out.Text[end:], gap) {
			return end + len(gap), true
		}
		before = end
	}
	prompt, err := f.r.render(i, true)
	if err != nil || prompt.Text == "" {
		return 0, false // many templates refuse an empty conversation, or one that ends so
	}
	gap := ""
	if i > 0 {
		if _, end, ok := shown(prompt, i-1); ok {
			gap = prompt.Text[end:]
		}
	}
	common := commonPrefix(prompt.Text, f.out.Text)
	if common == len(prompt.Text) {
		if gap != "" {
			f.gaps[f.messages[i-1].Role] = gap
		}
		return common, true
	}
	switch header := f.header(i, prompt.Text, before); {
	case header > 0:
		return header, true
	case common > before && common > 0:
		return common, true
	case gap == "":
		return 0, false
	}
	// The template shows the turns before otherwise now (it takes old reasoning out, say): compare from there on.
	return before + commonPrefix(gap, f.out.Text[before:]), true
}

// header is the end of the whole header of an answer where it stands before the answer's text, though the turns before
// are shown otherwise than when the header is all that follows them. 0 if it is not there.
func (f *answerFinder) header(i int, prompt string, before int) int {
	textStart, _, ok := shown(f.out, i)
	bare, err := f.r.render(i, false)
	if !ok || err != nil || textStart < before {
		return 0
	}
	header, found := strings.CutPrefix(prompt, bare.Text)
	at := strings.LastIndex(f.out.Text[before:textStart], header)
	if !found || header == "" || at < 0 {
		return 0
	}
	return before + at + len(header)
}

// end is where an answer ends: after the end-of-turn token, if there is one. Its text was seen from textStart to
// textEnd.
func (f *answerFinder) end(i, start, textStart, textEnd int) int {
	calls := f.messages[i].ToolCalls != nil
	if tail, known := f.tails[calls]; known && !calls && strings.HasPrefix(f.out.Text[textEnd:], tail) {
		return textEnd + len(tail)
	}
	alone, aloneStart, aloneEnd, ok := f.alone(i, start, textStart)
	if !ok {
		return textEnd
	}
	// The next message may show this one's words again (the name of the tool that answers): only as much as the
	// message alone has.
	if size := aloneEnd - aloneStart; strings.HasPrefix(f.out.Text[start:], alone.Text[aloneStart:aloneEnd]) {
		textEnd = start + size
	}
	tail := alone.Text[aloneEnd:]
	common := commonPrefix(tail, f.out.Text[textEnd:])
	if end := f.lastControl(alone, aloneEnd, len(alone.Text)); end > 0 && end-aloneEnd <= common {
		f.tails[calls] = tail[:end-aloneEnd]
		return textEnd + end - aloneEnd
	}
	// Another control token in the same place ends the turn when others follow (<|end|> in place of <|return|>).
	if f.control(alone, aloneEnd+common) > 0 {
		if after := f.control(f.out, textEnd+common); after > 0 {
			return after
		}
	}
	if end := f.lastControl(f.out, textEnd, textEnd+common); end > 0 {
		return end
	}
	return textEnd + len(strings.TrimRightFunc(tail[:common], unicode.IsSpace))
}

// alone renders the conversation up to an answer, and finds where the answer starts and its text ends there.
func (f *answerFinder) alone(i, start, textStart int) (out jinja.Output, from, to int, ok bool) {
	if out = f.out; i < len(f.messages)-1 || f.prompted {
		var err error
		if out, err = f.r.render(i+1, false); err != nil {
			return out, 0, 0, false
		}
	}
	first, to, ok := shown(out, i)
	switch {
	case strings.HasPrefix(out.Text, f.out.Text[:start]):
		from = start
	case ok: // turns before are shown otherwise: the same distance from the message's text
		from = max(0, first-(textStart-start))
	default:
		return out, 0, 0, false
	}
	return out, from, max(from, to), true
}

// commonPrefix is the length of what two texts begin with, in whole characters.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return n
}
