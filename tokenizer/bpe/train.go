package bpe

import (
	"context"
	"fmt"
	"iter"
)

// Train learns a vocabulary from texts, which are read once. Bytes that are not UTF-8 count as U+FFFD, and control tokens
// written in a text as plain text. The error is a fault of the config or the cause of ctx.
//
// Fewer tokens than VocabSize are learned when no pair is left that was met MinCount times.
func Train(ctx context.Context, texts iter.Seq[string], c Config) (*Vocabulary, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("bpe: %w", err)
	}
	c = c.withDefaults()
	counts, err := countPieces(ctx, texts, c.Pattern)
	if err != nil {
		return nil, fmt.Errorf("bpe: %w", err)
	}
	l := newLearner(c)
	for piece, n := range counts {
		l.addPiece(piece, n)
	}
	if err := l.learn(ctx); err != nil {
		return nil, fmt.Errorf("bpe: %w", err)
	}
	return &Vocabulary{Config: c, Tokens: l.tokens, Merges: l.distinctMerges()}, nil
}
