package pretrain

import (
	"context"
	"iter"

	"github.com/gofinetune/finetune/data"
)

// reader turns sources into samples, through a cache where there is one.
type reader struct {
	trainer *Trainer
	cache   *data.Cache // nil: none
}

func (t *Trainer) open() (*reader, error) {
	r := &reader{trainer: t}
	if t.config.Cache == "" {
		return r, nil
	}
	var err error
	r.cache, err = data.OpenCache(t.config.Cache)
	return r, err
}

// close ends the use of samples that lie in the cache.
func (r *reader) close() {
	if r.cache != nil {
		_ = r.cache.Close()
	}
}

func (r *reader) source(ctx context.Context, s Source) ([]data.Sample, *data.Ledger, error) {
	switch {
	case s.Texts != nil:
		return r.texts(ctx, named{s.Texts, s.Name}.Documents())
	case s.Plain:
		return r.texts(ctx, plain{s.Instructions, s.Name}.Documents())
	case r.cache != nil:
		return r.cache.Encode(ctx, r.trainer.model.Tokenizer, s.Instructions, r.trainer.config.Encode)
	}
	return data.Encode(ctx, r.trainer.model.Tokenizer, s.Instructions, r.trainer.config.Encode)
}

func (r *reader) texts(ctx context.Context, documents iter.Seq2[data.Document, error]) ([]data.Sample, *data.Ledger, error) {
	c := data.TextConfig{Lenient: r.trainer.config.Lenient, Workers: r.trainer.config.Encode.Workers}
	if r.cache != nil {
		return r.cache.EncodeDocuments(ctx, r.trainer.model.Tokenizer, documents, c)
	}
	return data.EncodeDocuments(ctx, r.trainer.model.Tokenizer, documents, c)
}

func (r *reader) heldOut(ctx context.Context, source TextSource) ([]data.Sample, error) {
	samples, _, err := r.texts(ctx, source.Documents())
	return rows(samples, r.trainer.config.RowLength), err
}
