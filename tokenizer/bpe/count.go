package bpe

import (
	"context"
	"encoding/json"
	"iter"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/normal"
	"github.com/gofinetune/finetune/tokenizer/internal/split"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

const batchBytes = 1 << 18 // of text that a goroutine takes at a time

// countPieces cuts the texts as the finished tokenizer will, on all cores, and counts the pieces.
func countPieces(ctx context.Context, texts iter.Seq[string], pattern string) (map[string]int64, error) {
	counters := make([]*counter, runtime.GOMAXPROCS(0))
	batches := make(chan []string, len(counters))
	var workers sync.WaitGroup
	for i := range counters {
		c, err := newCounter(pattern)
		if err != nil {
			close(batches)
			return nil, err
		}
		counters[i] = c
		workers.Go(func() {
			for batch := range batches {
				for _, t := range batch {
					c.add(t)
				}
			}
		})
	}
	err := deal(ctx, texts, batches)
	workers.Wait()
	total := counters[0].counts
	for _, c := range counters[1:] {
		for piece, n := range c.counts {
			total[piece] += n
		}
	}
	return total, err
}

// deal hands the texts out in batches and closes the channel, even if the caller's iterator panics.
func deal(ctx context.Context, texts iter.Seq[string], batches chan<- []string) error {
	defer close(batches)
	var batch []string
	size := 0
	for t := range texts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		batch, size = append(batch, t), size+len(t)
		if size >= batchBytes {
			batches <- batch
			batch, size = nil, 0
		}
	}
	batches <- batch
	return nil
}

// counter counts pieces in one goroutine.
type counter struct {
	normalizer normal.Normalizer
	splitter   split.Sequence
	pieces     []text.Text // kept between texts
	counts     map[string]int64
}

func newCounter(pattern string) (*counter, error) {
	normalizer, err := normal.Parse(encode(nfc), "normalizer")
	if err != nil {
		return nil, err
	}
	splitter, err := split.Parse(encode(cutBy(pattern)), "pre_tokenizer")
	return &counter{normalizer: normalizer, splitter: splitter, counts: map[string]int64{}}, err
}

func encode(part any) []byte {
	raw, _ := json.Marshal(part) // maps of strings and booleans: cannot fail
	return raw
}

func (c *counter) add(s string) {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	c.pieces = c.splitter.Split(c.pieces[:0], c.normalizer.Normalize(text.Text{S: s, First: true}))
	for _, p := range c.pieces {
		n, known := c.counts[p.S]
		if !known {
			p.S = strings.Clone(p.S) // a key that is part of the text would keep all of it in memory
		}
		c.counts[p.S] = n + 1
	}
}
