package tokenizer

// Tokenizer turns text into token ids and back. It is immutable after [Load] and safe for concurrent use.
type Tokenizer struct{}

// Options says how [Tokenizer.EncodeFull] and [Tokenizer.EncodeBatch] treat special tokens. The zero value is what
// training data and user input want: nothing added, and control tokens written in the text stay text.
type Options struct {
	AddSpecial   bool // add what the post-processor adds: BOS, EOS, [CLS], …
	ParseControl bool // control tokens written in the text become their ids, as in the reference
}

// Encoding is a text cut into tokens.
type Encoding struct {
	IDs     []int32
	Tokens  []string
	Offsets [][2]int // [start, end) of each token, in code points of the original text; {0, 0} for added specials
	TypeIDs []int32  // 0 for the first text of a pair and 1 for the second, where the tokenizer tells them apart
	Special []bool   // added by the post-processor, not found in the text
}

// Load reads the tokenizer of a checkpoint folder.
func Load(dir string) (*Tokenizer, error) { panic("not yet") }

// Encode gives the ids of a text: no special token is added, and control tokens written in the text stay text.
func (t *Tokenizer) Encode(text string) []int32 { panic("not yet") }

// EncodeFull encodes a text with its tokens and offsets.
func (t *Tokenizer) EncodeFull(text string, o Options) Encoding { panic("not yet") }

// EncodePair encodes two texts as one sequence, as the post-processor joins them.
func (t *Tokenizer) EncodePair(first, second string, o Options) Encoding { panic("not yet") }

// EncodeBatch encodes many texts on all cores; the result is in the order of the texts.
func (t *Tokenizer) EncodeBatch(texts []string, o Options) [][]int32 { panic("not yet") }

// Decode turns ids back into text. With skipSpecial control tokens are left out.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string { panic("not yet") }

// Size is the largest id + 1: the least number of rows that an embedding must have.
func (t *Tokenizer) Size() int { panic("not yet") }

// ID gives the id of a token written as in tokenizer.json.
func (t *Tokenizer) ID(token string) (int32, bool) { panic("not yet") }

// Token gives the token of an id, as written in tokenizer.json.
func (t *Tokenizer) Token(id int32) (string, bool) { panic("not yet") }

// IsSpecial tells whether an id is a control token.
func (t *Tokenizer) IsSpecial(id int32) bool { panic("not yet") }

// BOS is the token that begins a sequence, where the checkpoint names one.
func (t *Tokenizer) BOS() (int32, bool) { panic("not yet") }

// EOS is the token that ends an answer, where the checkpoint names one.
func (t *Tokenizer) EOS() (int32, bool) { panic("not yet") }

// PAD is the padding token, where the checkpoint names one.
func (t *Tokenizer) PAD() (int32, bool) { panic("not yet") }

// Save writes the tokenizer's files into dir, byte for byte as they were read where nothing was changed.
func (t *Tokenizer) Save(dir string) error { panic("not yet") }

// NewDecoder returns a decoder for a stream of ids.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *StreamDecoder { panic("not yet") }

// StreamDecoder turns ids into text as they come, and never gives out half a character.
type StreamDecoder struct{}

// Push takes the next id and returns the text that is certain by now; it may be empty.
func (d *StreamDecoder) Push(id int32) string { panic("not yet") }

// Flush returns what was held back and starts over.
func (d *StreamDecoder) Flush() string { panic("not yet") }
