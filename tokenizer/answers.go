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
	tails    map[bool]string   // without and with tool calls: what follows an answer's text
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
		if ok {
			span.end = f.extend(span, i)
		} else if len(f.out.GenBytes) > 0 {
			continue // the template marks answers, and this is none
		} else if span, ok = f.byPrefixes(i); !ok {
			continue
		}
		found = append(found, span)
	}
	return found
}

// markedByTemplate gives the {% generation %} blocks by message. Several blocks of one message are joined.
func (f *answerFinder) markedByTemplate() map[int]byteSpan {
	found := map[int]byteSpan{}
	next := 0 // the first assistant message that may come
	for _, g := range f.out.GenBytes {
		i, ok := f.messageIn(g)
		if !ok { // an empty answer: it belongs to the next message
			if i = f.nextAssistant(next); i < 0 {
				continue
			}
		}
		span, there := found[i]
		if !there {
			span = byteSpan{g[0], g[1], i}
		}
		span.end = g[1]
		found[i] = span
		next = i + 1
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
func (f *answerFinder) extend(span byteSpan, i int) int {
	end := f.control(f.out, span.end)
	if end == 0 || endsWithControl(f, span) {
		return span.end
	}
	if i == len(f.messages)-1 && !f.prompted {
		return end
	}
	alone, err := f.r.render(i+1, false)
	if err != nil || len(alone.GenBytes) == 0 || f.control(alone, alone.GenBytes[len(alone.GenBytes)-1][1]) == 0 {
		return span.end
	}
	return end
}

// maxControl is more than the length of any control token in use.
const maxControl = 128

func endsWithControl(f *answerFinder, span byteSpan) bool {
	for at := span.end - 1; at >= max(span.start, span.end-maxControl); at-- {
		if f.control(f.out, at) == span.end {
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

// firstControl is the end of the first control token in a range, 0 if there is none.
func (f *answerFinder) firstControl(out jinja.Output, from, to int) int {
	for at := from; at < to; at++ {
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
		textEnd = start
	}
	return byteSpan{start, f.end(i, start, textEnd), i}, true
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
	switch common := commonPrefix(prompt.Text, f.out.Text); {
	case common == len(prompt.Text):
		if gap != "" {
			f.gaps[f.messages[i-1].Role] = gap
		}
		return common, true
	case common > before && common > 0:
		return common, true
	case gap == "":
		return 0, false
	}
	// The template shows the turns before otherwise now (it takes old reasoning out, say): compare from there on.
	return before + commonPrefix(gap, f.out.Text[before:]), true
}

// end is where an answer ends whose text ends at textEnd: after the end-of-turn token, if there is one.
func (f *answerFinder) end(i, start, textEnd int) int {
	tail, known := f.tails[f.messages[i].ToolCalls != nil]
	if end, ok := f.afterTail(tail, textEnd); known && ok {
		return end
	}
	alone, err := f.r.render(i+1, false)
	if err != nil {
		return textEnd
	}
	_, end, ok := shown(alone, i)
	if !ok {
		if end = commonPrefix(alone.Text, f.out.Text); end < start {
			return textEnd
		}
		end = start
	}
	tail = alone.Text[end:]
	if after, ok := f.afterTail(tail, textEnd); ok {
		f.tails[f.messages[i].ToolCalls != nil] = tail
		return after
	}
	common := commonPrefix(tail, f.out.Text[textEnd:])
	// Another control token in the same place ends the turn when others follow (<|end|> in place of <|return|>).
	if f.control(alone, end+common) > 0 {
		if after := f.control(f.out, textEnd+common); after > 0 {
			return after
		}
	}
	return textEnd + len(strings.TrimRightFunc(tail[:common], unicode.IsSpace))
}

// afterTail follows a known tail up to and with its first control token.
func (f *answerFinder) afterTail(tail string, at int) (int, bool) {
	common := commonPrefix(tail, f.out.Text[at:])
	end := f.firstControl(f.out, at, at+common)
	return end, end > 0
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
