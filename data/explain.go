package data

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/gofinetune/finetune/tokenizer"
)

// Explainer prints the tokens of a sample and which of them are learned.
type Explainer struct {
	Color bool // learned text in green, for a terminal
	IDs   bool // one token a line with its id, instead of running text
}

// Decoder is what explaining needs of a [tokenizer.Tokenizer].
type Decoder interface {
	NewDecoder(skipSpecial bool) *tokenizer.StreamDecoder
}

// Explain prints a sample as text, with + before what is learned:
//
//	sft.jsonl:3: 37 tokens, 9 learned
//	  <|im_start|>|user|↵
//	  您|好|<|im_end|>|↵
//	+ 你好|！|<|im_end|>
//
// A bar stands between tokens. Characters are whole even where a token holds half of one.
func Explain(w io.Writer, tok Decoder, s Sample) error { return Explainer{}.Explain(w, tok, s) }

// Explain prints a sample.
func (x Explainer) Explain(w io.Writer, tok Decoder, s Sample) error {
	p := printer{Explainer: x, start: true}
	fmt.Fprintf(&p.out, "%s: %s, %d learned\n", s.Place, count(len(s.IDs), "token"), s.Targets())
	for _, g := range groupTokens(tok, s) {
		if x.IDs {
			p.line(g)
		} else {
			p.running(g)
		}
	}
	p.endLine()
	_, err := io.WriteString(w, p.out.String())
	return err
}

// group is the least number of tokens that hold whole characters.
type group struct {
	ids     []int32
	labels  []int32
	text    string
	learned bool
}

func groupTokens(tok Decoder, s Sample) []group {
	var groups []group
	var g group
	d := tok.NewDecoder(false)
	flush := func(text string) {
		if g.text += text; len(g.ids) > 0 {
			groups = append(groups, g)
		}
		g = group{}
	}
	for i, id := range s.IDs {
		learned := s.Labels[i] != NoLabel
		if len(g.ids) > 0 && learned != g.learned {
			flush(d.Flush()) // the mask runs through a character: show its halves
		}
		g.ids, g.labels, g.learned = append(g.ids, id), append(g.labels, s.Labels[i]), learned
		if text := d.Push(id); text != "" {
			flush(text)
		}
	}
	flush(d.Flush())
	return groups
}

type printer struct {
	Explainer
	out     strings.Builder
	start   bool // of a line
	learned bool // of the line
}

// running prints a group in running text; a line break in the text breaks the line, and so does a change of the mask.
func (p *printer) running(g group) {
	if !p.start && g.learned != p.learned {
		p.endLine()
	}
	parts := strings.SplitAfter(g.text, "\n")
	for i, part := range parts {
		if part == "" && i > 0 {
			continue
		}
		if p.start {
			p.begin(g.learned)
		} else {
			p.out.WriteByte('|')
		}
		p.out.WriteString(visible(part))
		if strings.HasSuffix(part, "\n") {
			p.endLine()
		}
	}
}

// line prints a group on its own line, with ids, and labels where they are not the ids.
func (p *printer) line(g group) {
	ids := make([]string, len(g.ids))
	for i, id := range g.ids {
		ids[i] = strconv.Itoa(int(id))
		if g.learned && g.labels[i] != id {
			ids[i] += "→" + strconv.Itoa(int(g.labels[i]))
		}
	}
	p.begin(g.learned)
	fmt.Fprintf(&p.out, "%-20s %s", strings.Join(ids, " "), visible(g.text))
	p.endLine()
}

func (p *printer) begin(learned bool) {
	p.start, p.learned = false, learned
	switch {
	case learned && p.Color:
		p.out.WriteString("\x1b[32m+ ")
	case learned:
		p.out.WriteString("+ ")
	default:
		p.out.WriteString("  ")
	}
}

func (p *printer) endLine() {
	if p.start {
		return
	}
	if p.learned && p.Color {
		p.out.WriteString("\x1b[0m")
	}
	p.out.WriteByte('\n')
	p.start = true
}

// visible shows line breaks, and keeps control characters of the data from reaching the terminal.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("↵")
		case r == '\t':
			b.WriteString("⇥")
		case unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
