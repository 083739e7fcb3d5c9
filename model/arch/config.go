package arch

import (
	"math"
	"strings"
)

// Config is a network. Sizes are counts of features, heads, layers or tokens.
type Config struct {
	Family       string // model_type: llama, qwen2, …
	Architecture string // the class transformers loads it with: LlamaForCausalLM, …

	VocabSize        int // rows of the embedding; may exceed the tokenizer's
	HiddenSize       int
	IntermediateSize int // inner width of the MLP
	NumLayers        int
	NumHeads         int // query heads
	NumKVHeads       int // key and value heads; NumHeads is a multiple
	HeadDim          int // features of one head; NumHeads·HeadDim need not be HiddenSize
	MaxPositions     int // longest context the checkpoint was made for, in tokens

	Norm       Norm
	RoPE       RoPE
	Attention  Attention
	MLP        MLP
	Scale      Scale
	TieHead    bool   // the output head is the embedding
	DType      string // storage type named by the checkpoint (float32, bfloat16, float16, float64), "" when it names none
	Special    Special
	Parameters []Parameter // in the order of the network

	// Source is config.json as it was read, numbers as json.Number; saving writes it back with the fields that changed.
	Source map[string]any
}

// Norm is the normalisation in front of attention and MLP.
type Norm struct {
	Eps        float64
	UnitOffset bool // the weight is stored less 1 (Gemma)
}

// Attention is what differs between families in the attention block.
type Attention struct {
	QKVBias, OutBias bool
	QKNorm           bool    // each head's query and key pass an RMS norm of HeadDim before they are turned
	Scale            float64 // scores are multiplied by it: 1/sqrt(HeadDim) unless the family says otherwise
}

// MLP is what differs between families in the feed-forward block.
type MLP struct {
	Activation string // silu, gelu, gelu_tanh, relu; the gated form act(gate)⊙up
	Bias       bool
}

// Scale are the constant factors that some families put on the stream. 1 changes nothing.
type Scale struct {
	Embedding float64 // on what the embedding gives
	Residual  float64 // on what attention and MLP add to the stream
	Logits    float64 // on the logits
}

// RoPE is the rotary position embedding.
type RoPE struct {
	Theta       float64
	Dim         int  // features of a head that turn; the rest pass
	Interleaved bool // pairs are (2i, 2i+1) instead of (i, i+Dim/2)
	Scaling     Scaling
}

// Scaling stretches RoPE to longer contexts. The zero value is none.
type Scaling struct {
	Type             string // "", linear, llama3
	Factor           float64
	LowFreqFactor    float64 // llama3
	HighFreqFactor   float64 // llama3
	OriginalMaxTrain int     // llama3: original_max_position_embeddings
}

// Special are the token ids that config.json names; −1 where it names none.
type Special struct {
	BOS, PAD int
	EOS      []int
}

// Role says what a parameter does, which decides how it is trained and counted.
type Role int

// The roles of parameters.
const (
	Embedding Role = iota
	Projection
	Bias
	NormWeight
	Head
)

// Parameter is one tensor of the network.
type Parameter struct {
	Name  string // as in the checkpoint: model.layers.0.self_attn.q_proj.weight
	Shape []int64
	Role  Role
}

// Numel is the number of elements.
func (p Parameter) Numel() int64 {
	n := int64(1)
	for _, size := range p.Shape {
		n *= size
	}
	return n
}

// NumParameters is the number of weights; a tied head counts once.
func (c *Config) NumParameters() int64 {
	var n int64
	for _, p := range c.Parameters {
		n += p.Numel()
	}
	return n
}

// KVBytesPerToken is the size of one token's keys and values over all layers, elementSize bytes each.
func (c *Config) KVBytesPerToken(elementSize int) int64 {
	return 2 * int64(c.NumLayers) * int64(c.NumKVHeads) * int64(c.HeadDim) * int64(elementSize)
}

// defaultScale is 1/sqrt(HeadDim), the scale of scaled dot-product attention.
func (c *Config) defaultScale() float64 { return 1 / math.Sqrt(float64(c.HeadDim)) }

// Ignored says whether a checkpoint may hold a tensor of this name that the network does not use: buffers that old versions saved,
// and the head of a model that ties it.
func (c *Config) Ignored(name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq") || strings.HasSuffix(name, ".attn.masked_bias") ||
		c.TieHead && name == "lm_head.weight"
}
