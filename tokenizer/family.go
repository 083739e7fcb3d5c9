package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/tokenizer/internal/spec"
)

// familySplit are the model types whose tokenizer transformers (since 5.0) builds anew from the vocabulary and the merges, with the
// family's own normalizer and pre-tokenizer, whatever tokenizer.json says. Published checkpoints carry the same ones in the file;
// for the others this keeps ids equal to the reference's.
var familySplit = map[string]struct{ normalizer, preTokenizer string }{
	"qwen2": {
		normalizer: `{"type":"NFC"}`,
		preTokenizer: `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` +
			`"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},` +
			`"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`,
	},
}

// applyFamily replaces what transformers would, going by model_type in the config.json beside the tokenizer. No such file, or one
// that cannot be read, changes nothing: the weights' loader reports it.
func applyFamily(dir string, c *contents) {
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return
	}
	var config struct {
		ModelType string `json:"model_type"`
	}
	if json.Unmarshal(data, &config) != nil {
		return
	}
	if f, ok := familySplit[config.ModelType]; ok && c.model.vocab != nil {
		c.normalizer, c.preTokenizer = spec.Raw(f.normalizer), spec.Raw(f.preTokenizer)
	}
}
