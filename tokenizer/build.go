package tokenizer

import (
	"runtime"
	"strconv"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/model"
	"github.com/gofinetune/finetune/tokenizer/internal/normal"
	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
	"github.com/gofinetune/finetune/tokenizer/internal/split"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// build makes a tokenizer of the parts of tokenizer.json. Errors are *fault.Error.
func build(c *contents, conf config) (*Tokenizer, error) {
	t := &Tokenizer{config: conf, workers: make(chan *worker, runtime.GOMAXPROCS(0))}
	if err := t.index(c); err != nil {
		return nil, err
	}
	var err error
	if t.normalizer, err = normal.Parse(c.normalizer, "normalizer"); err != nil {
		return nil, err
	}
	if t.splitter, err = split.Parse(c.preTokenizer, "pre_tokenizer"); err != nil {
		return nil, err
	}
	if t.decoder, err = parseDecoder(c.decoder, "decoder"); err != nil {
		return nil, err
	}
	if t.post, err = parsePost(c.postProcessor, "post_processor", t); err != nil {
		return nil, err
	}
	t.track = t.normalizer != nil && t.splitter.NeedsOrigin()
	if err := t.buildModel(&c.model); err != nil {
		return nil, err
	}
	t.addNamed()
	t.buildMatchers()
	t.joinBytes()
	return t, nil
}

// index numbers the vocabulary and the added tokens.
func (t *Tokenizer) index(c *contents) error {
	vocab := c.model.vocab
	if c.model.pieces != nil {
		vocab = make(map[string]int32, len(c.model.pieces))
		for i, p := range c.model.pieces {
			vocab[p.Text] = int32(i) // of equal pieces the last counts
		}
	}
	if vocab == nil {
		return fault.New(fault.MissingField, "model.vocab", "is missing")
	}
	size, err := tableSize(vocab, c.added)
	if err != nil {
		return err
	}
	t.tokens, t.known, t.special = make([]string, size), make([]bool, size), make([]bool, size)
	t.ids = make(map[string]int32, len(vocab)+len(c.added))
	for token, id := range vocab {
		if t.known[id] {
			return fault.New(fault.DuplicateID, "model.vocab["+strconv.Quote(token)+"]", "has id %d, as has %q", id, t.tokens[id])
		}
		t.set(token, id)
	}
	for i, p := range c.model.pieces { // pieces that occur twice
		t.tokens[i], t.known[i] = p.Text, true
	}
	return t.indexAdded(c.added)
}

// tableSize is the largest id + 1. Ids far beyond the number of tokens are refused: tables are as long.
func tableSize(vocab map[string]int32, added []addedToken) (int, error) {
	size := 0
	check := func(field string, id int32) error {
		if limit := 16*(len(vocab)+len(added)) + 1<<16; int(id) >= limit {
			return fault.New(fault.BadValue, field, "is id %d; with %d tokens ids must be below %d", id, len(vocab)+len(added), limit)
		}
		size = max(size, int(id)+1)
		return nil
	}
	for token, id := range vocab {
		if err := check("model.vocab["+strconv.Quote(token)+"]", id); err != nil {
			return 0, err
		}
	}
	for i, a := range added {
		if err := check(spec.Index("added_tokens", i), a.ID); err != nil {
			return 0, err
		}
	}
	return size, nil
}

func (t *Tokenizer) set(token string, id int32) {
	t.ids[token], t.tokens[id], t.known[id] = id, token, true
}

func (t *Tokenizer) indexAdded(added []addedToken) error {
	seen := map[string]bool{}
	for i := range added {
		a, field := &added[i], spec.Index("added_tokens", i)
		switch id, there := t.ids[a.Content]; {
		case a.Content == "":
			return fault.New(fault.BadValue, field+".content", "is empty; it would match everywhere")
		case seen[a.Content]:
			return fault.New(fault.DuplicateKey, field, "%q is listed twice", a.Content)
		case there && id != a.ID:
			return fault.New(fault.DuplicateID, field, "%q has id %d here and %d in the vocabulary", a.Content, a.ID, id)
		case !there && t.known[a.ID]:
			return fault.New(fault.DuplicateID, field, "%q takes id %d, which is that of %q", a.Content, a.ID, t.tokens[a.ID])
		}
		seen[a.Content] = true
		t.set(a.Content, a.ID)
		t.special[a.ID] = a.Special
		t.added = append(t.added, a)
	}
	sortAdded(t.added)
	return nil
}

// addNamed makes control tokens of those that the checkpoint's configuration names (eos_token, …) and that are in the
// vocabulary, but not yet found in text.
func (t *Tokenizer) addNamed() {
	for _, token := range t.config.special {
		id, ok := t.ids[token]
		if ok && !t.special[id] && !t.isAdded(token) {
			t.special[id] = true
			t.added = append(t.added, &addedToken{ID: id, Content: token, Special: true})
		}
	}
	sortAdded(t.added)
}

func (t *Tokenizer) isAdded(token string) bool {
	for _, a := range t.added {
		if a.Content == token {
			return true
		}
	}
	return false
}

func (t *Tokenizer) buildMatchers() {
	normalized := func(s string) string {
		if t.normalizer == nil {
			return s
		}
		return t.normalizer.Normalize(text.Text{S: s, First: true}).S
	}
	t.all = newMatchers(t.added, normalized, func(*addedToken) bool { return true })
	t.plain = newMatchers(t.added, normalized, func(a *addedToken) bool { return !a.Special })
	t.all.link(t.plain)
	for _, a := range t.added {
		if n := normalized(a.Content); a.Normalized && n != a.Content {
			if t.shown == nil {
				t.shown = map[int32]string{}
			}
			t.shown[a.ID] = n
		}
	}
}

// modelConfig are the small fields of the model.
type modelConfig struct {
	Type         *string  `json:"type"`
	Unk          *string  `json:"unk_token"`
	UnkID        *int32   `json:"unk_id"`
	Prefix       *string  `json:"continuing_subword_prefix"`
	Suffix       *string  `json:"end_of_word_suffix"`
	FuseUnk      bool     `json:"fuse_unk"`
	ByteFallback bool     `json:"byte_fallback"`
	IgnoreMerges bool     `json:"ignore_merges"`
	Dropout      *float64 `json:"dropout"`
	MaxChars     *int     `json:"max_input_chars_per_word"`
}

func (c modelConfig) kind(m *modelContents) string {
	switch {
	case c.Type != nil:
		return *c.Type
	case m.merges != nil: // files older than the field
		return "BPE"
	case m.pieces != nil:
		return "Unigram"
	case c.MaxChars != nil || c.Prefix != nil:
		return "WordPiece"
	}
	return "WordLevel"
}

func (t *Tokenizer) buildModel(m *modelContents) (err error) {
	var c modelConfig
	if err := spec.Decode(m.small, "model", &c); err != nil {
		return err
	}
	kind := c.kind(m)
	if (kind == "Unigram") != (m.pieces != nil) {
		return fault.New(fault.WrongType, "model.vocab", "has the wrong form for a %s model", kind)
	}
	switch kind {
	case "BPE":
		err = t.buildBPE(c, m)
	case "Unigram":
		err = t.buildUnigram(c, m)
	case "WordPiece":
		most := 100
		if c.MaxChars != nil {
			most = *c.MaxChars
		}
		prefix := "##"
		if c.Prefix != nil {
			prefix = *c.Prefix
		}
		t.model, err = model.NewWordPiece(m.vocab, orDefault(c.Unk, "[UNK]"), prefix, most)
	case "WordLevel":
		t.model = model.NewWordLevel(m.vocab, orDefault(c.Unk, "<unk>"))
	default:
		err = fault.New(fault.BadValue, "model.type", "unknown model %q; want BPE, Unigram, WordPiece or WordLevel", kind)
	}
	return err
}

func orDefault(s *string, value string) string {
	if s == nil {
		return value
	}
	return *s
}

func (t *Tokenizer) buildBPE(c modelConfig, m *modelContents) error {
	if c.Dropout != nil && *c.Dropout != 0 {
		return fault.New(fault.BadValue, "model.dropout", "is %g; random encoding is not supported", *c.Dropout)
	}
	bpe, err := model.NewBPE(model.BPEConfig{
		Vocab:        m.vocab,
		Merges:       m.merges,
		ByteLevel:    t.readBytes(),
		ByteFallback: c.ByteFallback,
		FuseUnk:      c.FuseUnk,
		IgnoreMerges: c.IgnoreMerges,
		Unk:          orDefault(c.Unk, ""),
		Prefix:       orDefault(c.Prefix, ""),
		Suffix:       orDefault(c.Suffix, ""),
		Fallback:     fallback(m.vocab),
	})
	t.model = bpe
	t.config.cleanUp = false // made for WordPiece: with BPE the reference ignores the setting, as it would eat spaces
	return err
}

// fallback finds the token of a byte, written <0x0A>.
func fallback(vocab map[string]int32) func(byte) (int32, bool) {
	const digits = "0123456789ABCDEF"
	return func(b byte) (int32, bool) {
		id, ok := vocab["<0x"+string(digits[b>>4])+string(digits[b&15])+">"]
		return id, ok
	}
}

// readBytes arranges that a byte-level model gets bytes, and tells whether it is one. ByteLevel writes bytes as
// characters; where nothing reads those but the model, both steps are left out.
func (t *Tokenizer) readBytes() bool {
	last := len(t.splitter) - 1
	for i, s := range t.splitter {
		b, ok := s.(split.ByteLevel)
		if !ok {
			continue
		}
		if i < last || mapsBytes(t.normalizer) { // others read the characters: turn them back at the end
			t.splitter = append(t.splitter, split.Unmap{})
			return true
		}
		b.Raw = true
		t.splitter[i] = b
		t.simplify()
		return true
	}
	if mapsBytes(t.normalizer) {
		t.splitter = append(t.splitter, split.Unmap{})
		return true
	}
	return false
}

func mapsBytes(n normal.Normalizer) bool {
	switch n := n.(type) {
	case normal.ByteLevel:
		return true
	case normal.Sequence:
		for _, part := range n {
			if mapsBytes(part) {
				return true
			}
		}
	}
	return false
}

// simplify drops a ByteLevel that does nothing any more, and notes where one cutter is all there is.
func (t *Tokenizer) simplify() {
	last := len(t.splitter) - 1
	b := t.splitter[last].(split.ByteLevel)
	if b.PrefixSpace {
		return
	}
	switch {
	case b.Cut:
		t.splitter[last] = split.All{Cutter: pattern.ByteLevel}
	case last > 0:
		t.splitter = t.splitter[:last]
	}
	if all, ok := t.splitter[0].(split.All); ok && len(t.splitter) == 1 {
		t.cutter = all.Cutter
	}
}

func (t *Tokenizer) buildUnigram(c modelConfig, m *modelContents) (err error) {
	unk := int32(-1)
	if c.UnkID != nil {
		unk = *c.UnkID
	}
	var bytes func(byte) (int32, bool)
	if c.ByteFallback {
		bytes = fallback(t.ids)
	}
	t.surface = true
	t.model, err = model.NewUnigram(m.pieces, unk, bytes)
	return err
}

// joinBytes prepares the fast way of decoding.
func (t *Tokenizer) joinBytes() {
	if _, ok := t.decoder.(byteLevelDecoder); !ok {
		return
	}
	t.bytes = make([][]byte, len(t.tokens))
	for id, token := range t.tokens {
		if shown, ok := t.shown[int32(id)]; ok {
			token = shown
		}
		if raw, ok := bytelevel.Raw(nil, token); ok {
			t.bytes[id] = raw
		} else {
			t.bytes[id] = []byte(token)
		}
	}
}
