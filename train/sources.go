package train

import "github.com/gofinetune/finetune/data"

// SourceLosses keeps the training loss of each source of a mixture apart.
type SourceLosses struct {
	Names []string             // of the sources
	Of    func(sample int) int // the source of a sample, an index into Names

	sums, tokens []float64 // since the last metrics
}

// add takes the losses of a batch's labelled tokens, in their order.
func (l *SourceLosses) add(b data.Batch, losses []float64) {
	if l.sums == nil {
		l.sums, l.tokens = make([]float64, len(l.Names)), make([]float64, len(l.Names))
	}
	for i, g := range b.Segments {
		n := b.TargetsOf(g)
		source := l.Of(b.Samples[i])
		for _, loss := range losses[:n] {
			l.sums[source] += loss
		}
		l.tokens[source] += float64(n)
		losses = losses[n:]
	}
}

// metrics are the mean losses since the last call, for the sources that were met.
func (l *SourceLosses) metrics() map[string]float64 {
	if l == nil || l.sums == nil {
		return nil
	}
	m := map[string]float64{}
	for i, name := range l.Names {
		if l.tokens[i] > 0 {
			m["loss/"+name] = l.sums[i] / l.tokens[i]
		}
	}
	l.sums = nil
	return m
}
