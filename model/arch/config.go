package arch

import (
	"math"
	"regexp"
	"strconv"
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
	HeadDim          int // features of a query or key head; NumHeads·HeadDim need not be HiddenSize
	ValueDim         int // features of a value head: HeadDim but with latent attention
	MaxPositions     int // longest context the checkpoint was made for, in tokens

	Names      Names
	Layers     []Layer
	Norm       Norm
	RoPE       RoPE
	LocalRoPE  *RoPE // of the layers with a window, where it differs (Gemma 3)
	Attention  Attention
	Latent     *Latent // latent attention instead of the usual projections (DeepSeek); nil: none
	MLP        MLP
	Experts    *Experts // of the layers that have them; nil: none
	Parallel   bool     // attention and MLP read the same stream and are added to it together
	Scale      Scale
	Head       Head
	Dropout    Dropout
	TieHead    bool   // the output head is the embedding
	DType      string // storage type named by the checkpoint (float32, bfloat16, float16, float64), "" when it names none
	Special    Special
	Parameters []Parameter // in the order of the network

	// Source is config.json as it was read, numbers as json.Number; saving writes it back with the fields that changed.
	Source map[string]any
}

// Layer is what differs from layer to layer.
type Layer struct {
	Window  int   // keys that a query sees at most, its own the last of them; 0: all before it
	RoPE    *RoPE // nil: positions are not turned in
	Experts bool  // the MLP is a choice of experts
}

// Norm is the normalisation in front of attention and MLP, or behind them.
type Norm struct {
	Eps        float64
	Mean       bool // the mean is taken off first: LayerNorm; else RMS norm
	Bias       bool // LayerNorm has one
	UnitOffset bool // the weight is stored less 1 (Gemma)
}

// Attention is what differs between families in the attention block.
type Attention struct {
	QKVBias, OutBias bool
	Grouped          bool // a fused projection holds, for each KV head, its query heads, its key and its value; else all q, all k, all v
	QKNorm           QKNorm
	Scale            float64 // scores are multiplied by it: 1/sqrt(HeadDim) unless the family says otherwise
	Cap              float64 // scores become Cap·tanh(score/Cap); 0: they do not
	ALiBi            bool    // a slope times the key's place is added to scores (Press et al. 2022); there is no RoPE
}

// QKNorm is the norm that queries and keys pass before they are turned.
type QKNorm int

// The norms of queries and keys.
const (
	NoQKNorm     QKNorm = iota
	SharedQKNorm        // over a head, with one weight [HeadDim] for all of them
	HeadQKNorm          // over a head, each with its own weight [heads, HeadDim]
	WholeQKNorm         // over all heads together, with one weight [heads·HeadDim]
)

// Latent is multi-head latent attention (DeepSeek-V2, section 2.1): keys and values are projected up from one narrow vector a token.
type Latent struct {
	QueryRank int     // width of the queries' narrow vector; 0: they are projected at once
	Rank      int     // width of the narrow vector of keys and values
	Plain     int     // features of a head that do not turn
	Turning   int     // features that do: one key for all heads
	Eps       float64 // of the norms of the narrow vectors
}

// MLP is what differs between families in the feed-forward block.
type MLP struct {
	Activation string // silu, gelu, gelu_tanh, relu; the gated form is act(gate)⊙up
	Bias       bool
}

// Experts is a mixture of experts in place of the MLP.
type Experts struct {
	Count            int // experts to choose from
	PerToken         int // chosen for a token
	IntermediateSize int // inner width of one
	SharedSize       int // inner width of the one that every token passes; 0: none
	SharedGate       bool
	Sigmoid          bool    // scores are sigmoids of the router's logits; else their softmax
	Normalize        bool    // the chosen scores are divided by their sum
	Correction       bool    // a bias that only takes part in the choice (DeepSeek-V3's e_score_correction_bias)
	Groups           int     // experts lie in so many groups, of which only the best are chosen from; 0 or 1: one
	GroupsPerToken   int     // groups chosen from
	GroupScoreOfTwo  bool    // a group's score is the sum of its best two; else its best
	Factor           float64 // the chosen weights are multiplied by it
	BalanceLoss      float64 // weight of the load-balancing loss in training; 0: none
}

// Scale are the constant factors that some families put on the stream. 1 changes nothing.
type Scale struct {
	Embedding        float64 // on what the embedding gives
	EmbeddingRounded bool    // that factor is rounded to the type of the stream first (Gemma)
	Residual         float64 // on what attention and MLP add to the stream
	Logits           float64 // on the logits
}

// Head is what differs between families in the output head.
type Head struct {
	Score      bool // one score a token in place of logits: a reward model (ForSequenceClassification with one label)
	Bias       bool
	Normalized bool    // the rows of the weight are divided by their length (Baichuan 2)
	Cap        float64 // logits become Cap·tanh(logit/Cap); 0: they do not
}

// Dropout are the probabilities that the checkpoint names for training.
type Dropout struct {
	Embedding, Attention, Residual float64
}

// RoPE is the rotary position embedding. A Dim of 0 is none.
type RoPE struct {
	Theta       float64
	Dim         int  // features of a head that turn; the rest pass
	Interleaved bool // pairs are (2i, 2i+1) instead of (i, i+Dim/2)
	Scaling     Scaling
}

// Scaling stretches RoPE to longer contexts. The zero value is none.
type Scaling struct {
	Type             string // "", linear, dynamic, yarn, llama3, longrope
	Factor           float64
	OriginalMaxTrain int     // longest context before the stretching
	Amplitude        float64 // cos and sin are multiplied by it (yarn, longrope); 0 means 1

	LowFreqFactor, HighFreqFactor float64   // llama3
	BetaFast, BetaSlow            float64   // yarn
	Untruncated                   bool      // yarn: the borders of the ramp are not rounded to whole features
	ShortFactors, LongFactors     []float64 // longrope: one a pair of features, up to OriginalMaxTrain tokens and beyond
}

// ByLength says whether the angles depend on the length of the sequence.
func (s Scaling) ByLength() bool { return s.Type == "dynamic" || s.Type == "longrope" }

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
	HeadWeight
	Expert // a projection of one of many experts, which may see no token in a step
	Buffer // stored with the weights, but never trained, and not counted
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
		if p.Role != Buffer {
			n += p.Numel()
		}
	}
	return n
}

// NumActiveParameters is the number of weights that one token passes: NumParameters less the experts that are not chosen.
func (c *Config) NumActiveParameters() int64 {
	n := c.NumParameters()
	if c.Experts == nil {
		return n
	}
	idle := int64(c.Experts.Count - c.Experts.PerToken)
	for _, l := range c.Layers {
		if l.Experts {
			n -= idle * 3 * int64(c.HiddenSize) * int64(c.Experts.IntermediateSize)
		}
	}
	return n
}

// KVBytesPerToken is the size of one token's keys and values over all layers, elementSize bytes each.
func (c *Config) KVBytesPerToken(elementSize int) int64 {
	return int64(c.NumLayers) * int64(c.NumKVHeads) * int64(c.HeadDim+c.ValueDim) * int64(elementSize)
}

// defaultScale is 1/sqrt(HeadDim), the scale of scaled dot-product attention.
func (c *Config) defaultScale() float64 { return 1 / math.Sqrt(float64(c.HeadDim)) }

var layerOf = regexp.MustCompile(`\.layers\.(\d+)\.`)

// Ignored says whether a checkpoint may hold a tensor of this name that the network does not use: buffers that old versions saved,
// the head of a model that ties it, and layers behind the last, which predict further tokens (DeepSeek-V3).
func (c *Config) Ignored(name string) bool {
	for _, buffer := range []string{".rotary_emb.inv_freq", ".attn.masked_bias", ".attn.bias", ".attention.masked_bias", ".attention.bias"} {
		if strings.HasSuffix("."+name, buffer) {
			return true
		}
	}
	if c.TieHead && name == c.Names.Head+".weight" {
		return true
	}
	if found := layerOf.FindStringSubmatch(name); found != nil {
		layer, err := strconv.Atoi(found[1])
		return err == nil && layer >= c.NumLayers && c.Source["num_nextn_predict_layers"] != nil
	}
	return false
}
