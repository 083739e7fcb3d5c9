package pretrain

import (
	"iter"
	"strings"

	"github.com/gofinetune/finetune/data"
)

// rows cuts samples to at most length tokens. A row that goes on with a text begins with the last token before it, so that every token but a
// text's first is predicted once: nothing is dropped.
func rows(samples []data.Sample, length int) []data.Sample {
	list := make([]data.Sample, 0, len(samples))
	for _, s := range samples {
		for at := 0; ; at += length - 1 {
			end := min(at+length, len(s.IDs))
			list = append(list, data.Sample{IDs: s.IDs[at:end], Labels: s.Labels[at:end], Place: s.Place})
			if end == len(s.IDs) {
				break
			}
		}
	}
	return list
}

// plain is instruction data as texts: the contents of a conversation's messages, one a line.
type plain struct {
	source data.Source
	name   string
}

func (p plain) Documents() iter.Seq2[data.Document, error] {
	return func(yield func(data.Document, error) bool) {
		for c, err := range p.source.Conversations() {
			var lines []string
			for _, m := range c.Messages {
				lines = append(lines, m.Content)
			}
			if !yield(data.Document{Text: strings.Join(lines, "\n"), Source: p.name, Place: c.Place}, err) {
				return
			}
		}
	}
}

// named gives all documents of a source its name.
type named struct {
	source TextSource
	name   string
}

func (n named) Documents() iter.Seq2[data.Document, error] {
	return func(yield func(data.Document, error) bool) {
		for d, err := range n.source.Documents() {
			d.Source = n.name
			if !yield(d, err) {
				return
			}
		}
	}
}
