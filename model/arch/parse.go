package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits far above any published model; beyond them a number is a mistake or an attack.
const (
	maxFile    = 16 << 20
	maxHidden  = 1 << 20
	maxLayers  = 1 << 14
	maxVocab   = 1 << 27
	maxContext = 1 << 30
	maxDepth   = 64
)

// family maps a model_type's fields to a Config. What it leaves unsaid, and what is the same in nearly every family, readCommon fills in
// before read.
type family struct {
	architecture string
	defaults     defaults
	renamed      map[string][]string // what this family calls a common field, the name that counts first
	innerRatio   int                 // intermediate_size over hidden_size where the file names none; 0: it must
	names        Names
	read         func(c *Config, f fields)
}

// defaults are what transformers takes for fields that the file leaves out.
type defaults struct {
	eps, theta, rotary float64 // 0: 1e-6, 10000, 1
	activation         string  // "": silu
	tie                bool
	kvHeads            int  // 0: as many as query heads
	headDim            int  // 0: hidden_size over num_attention_heads
	latent             bool // latent attention has its own fields for heads and RoPE
	unturned           bool // no RoPE
}

// required marks a field whose default in transformers has nothing to do with the rest of the file.
const required = -1

// allHeads marks families whose query heads each have their own keys and values, whatever else the file says.
const allHeads = -2

func (d defaults) filled() defaults {
	d.eps, d.theta, d.rotary = or(d.eps, 1e-6), or(d.theta, 10000), or(d.rotary, 1)
	if d.activation == "" {
		d.activation = "silu"
	}
	return d
}

func or(value, fallback float64) float64 {
	if value == 0 {
		return fallback
	}
	return value
}

var families = map[string]family{
	"baichuan":    baichuan,
	"bloom":       bloom,
	"cohere":      cohere,
	"deepseek_v2": deepseekV2,
	"deepseek_v3": deepseekV3,
	"gemma":       gemma,
	"gemma2":      gemma2,
	"gemma3_text": gemma3,
	"glm":         glm,
	"glm4":        glm4,
	"gpt2":        gpt2,
	"gpt_neox":    gptNeoX,
	"granite":     granite,
	"internlm2":   internlm2,
	"internlm3":   internlm3,
	"llama":       llama,
	"minicpm":     minicpm,
	"mistral":     mistral,
	"mixtral":     mixtral,
	"olmo2":       olmo2,
	"phi":         phi,
	"phi3":        phi3,
	"qwen2":       qwen2,
	"qwen2_moe":   qwen2MoE,
	"qwen3":       qwen3,
	"qwen3_moe":   qwen3MoE,
	"smollm3":     smollm3,
	"starcoder2":  starcoder2,
}

// Families lists the model types that are supported, in alphabetical order.
func Families() []string { return slices.Sorted(maps.Keys(families)) }

// Read reads and checks a config.json.
func Read(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: has %d bytes; a config.json has some thousands", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse checks the bytes of a config.json; name appears in errors, which are *Error.
func Parse(name string, data []byte) (*Config, error) {
	values, problem := object(data)
	if problem != nil {
		return nil, &Error{File: name, Problems: []Problem{*problem}}
	}
	var problems []Problem
	f := fields{values: values, problems: &problems, used: map[string]bool{}}
	c := &Config{Source: literal(data)}
	fam, known := readFamily(c, f)
	f.renamed = fam.renamed
	if known || c.Family == "" { // what another family calls missing is no news
		readCommon(c, f, fam)
	}
	if known {
		fam.read(c, f)
		readScore(c, f)
		refuseUnhonoured(f)
	}
	if len(problems) > 0 {
		return nil, &Error{File: name, Problems: problems}
	}
	c.Parameters = parameters(c)
	return c, nil
}

// object decodes data, which must be one JSON object without duplicate keys.
func object(data []byte) (map[string]any, *Problem) {
	if !utf8.Valid(data) {
		return nil, &Problem{Class: "invalid_utf8", Text: "is not UTF-8 text"}
	}
	if depth(data) > maxDepth {
		return nil, &Problem{Class: "too_deep", Text: fmt.Sprintf("nests deeper than %d", maxDepth)}
	}
	if err := wellFormed(data); errors.Is(err, jsontext.ErrDuplicateName) {
		return nil, &Problem{Class: "duplicate_key", Text: "has a field twice: " + err.Error()}
	} else if err != nil {
		return nil, &Problem{Class: "invalid_json", Text: "is not valid JSON: " + strings.TrimPrefix(err.Error(), "jsontext: ")}
	}
	var value any
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&value); err != nil {
		return nil, &Problem{Class: "invalid_json", Text: "is not valid JSON: " + err.Error()}
	}
	values, ok := value.(map[string]any)
	if !ok {
		return nil, &Problem{Class: "not_an_object", Text: "is not a JSON object"}
	}
	return values, nil
}

// literal decodes an object whose numbers stay as they were written: saved as 2, a 2.0 would be another type to transformers.
func literal(data []byte) (values map[string]any) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	_ = d.Decode(&values) // object has decoded the same bytes
	return values
}

// wellFormed reads data as one strict JSON value.
func wellFormed(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if err := d.SkipValue(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("text after the value")
	}
	return nil
}

// depth is the deepest nesting of brackets outside strings.
func depth(data []byte) (deepest int) {
	level, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[' || b == '{':
			level++
			deepest = max(deepest, level)
		case b == ']' || b == '}':
			level--
		}
	}
	return deepest
}

func readFamily(c *Config, f fields) (family, bool) {
	v, _ := f.get("model_type")
	if v == nil {
		f.problem("missing_field", "model_type", "is missing; want one of %v", Families())
		return family{}, false
	}
	c.Family, _ = v.(string)
	fam, ok := families[c.Family]
	if !ok {
		f.bad("model_type", "is %v, which is not supported; supported are %v", show(v), Families())
		return family{}, false
	}
	c.Architecture, c.Names = fam.architecture, fam.names
	return fam, true
}

// readCommon reads what nearly every family names alike. A family overrides it where it differs.
func readCommon(c *Config, f fields, fam family) {
	d := fam.defaults.filled()
	c.VocabSize = f.size(maxVocab, "vocab_size")
	c.HiddenSize = f.size(maxHidden, "hidden_size")
	if fam.innerRatio > 0 {
		c.IntermediateSize = f.sizeOr(fam.innerRatio*c.HiddenSize, 4*maxHidden, "intermediate_size")
	} else {
		c.IntermediateSize = f.size(4*maxHidden, "intermediate_size")
	}
	c.NumLayers = f.size(maxLayers, "num_hidden_layers")
	c.NumHeads = f.size(maxHidden, "num_attention_heads")
	c.MaxPositions = f.sizeOr(2048, maxContext, "max_position_embeddings")
	c.Scale = Scale{Embedding: 1, Residual: 1, Logits: 1}
	c.Norm.Eps = f.positive(d.eps, "rms_norm_eps")
	c.MLP.Activation = f.oneOf(d.activation, activations, "hidden_act")
	c.TieHead = f.boolean(d.tie, "tie_word_embeddings")
	c.DType = f.oneOf("", dtypes, "dtype", "torch_dtype")
	c.Special = Special{BOS: one(f.tokenIDs("bos_token_id", c.VocabSize)), PAD: one(f.tokenIDs("pad_token_id", c.VocabSize)),
		EOS: f.tokenIDs("eos_token_id", c.VocabSize)}
	c.Dropout = Dropout{Embedding: f.probability("embd_pdrop", "embd_dropout", "embedding_dropout"),
		Attention: f.probability("attention_dropout", "attn_pdrop"), Residual: f.probability("hidden_dropout", "resid_pdrop", "residual_dropout")}
	if d.latent {
		f.get("head_dim")
		return
	}
	readHeads(c, f, d)
	if !d.unturned && c.HeadDim > 0 {
		c.RoPE = readRoPE(c, f, d, c.HeadDim)
	}
}

func readHeads(c *Config, f fields, d defaults) {
	switch d.kvHeads {
	case required:
		c.NumKVHeads = f.size(maxHidden, "num_key_value_heads")
	case allHeads:
		c.NumKVHeads = c.NumHeads
	default:
		c.NumKVHeads = f.sizeOr(c.NumHeads, maxHidden, "num_key_value_heads")
	}
	if c.NumKVHeads > 0 && c.NumHeads%c.NumKVHeads != 0 {
		f.bad("num_key_value_heads", "is %d; want a divisor of num_attention_heads %d", c.NumKVHeads, c.NumHeads)
	}
	named, _ := f.get("head_dim")
	switch {
	case named == nil && d.headDim == required:
		f.problem("missing_field", "head_dim", "is missing; want a whole number (transformers would take its own, whatever hidden_size says)")
	case named == nil && c.NumHeads > 0 && c.HiddenSize%c.NumHeads != 0:
		f.bad("num_attention_heads", "is %d, which does not divide hidden_size %d", c.NumHeads, c.HiddenSize)
	}
	if c.NumHeads > 0 {
		c.HeadDim = f.sizeOr(c.HiddenSize/c.NumHeads, maxHidden, "head_dim")
		c.ValueDim = c.HeadDim
	}
	if c.HeadDim > 0 {
		c.Attention.Scale = c.defaultScale()
	}
}

var activations = map[string]string{
	"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh",
	"relu": "relu",
}

var dtypes = map[string]string{
	"float32": "float32", "float16": "float16", "bfloat16": "bfloat16", "float64": "float64",
	"torch.float32": "float32", "torch.float16": "float16", "torch.bfloat16": "bfloat16", "torch.float64": "float64",
}

func one(ids []int) int {
	if len(ids) == 0 {
		return -1
	}
	return ids[0]
}
