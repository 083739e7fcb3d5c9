package arch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const classifier = "ForSequenceClassification"

// classifierOf is transformers' class for classification beside the one for language modelling.
func classifierOf(architecture string) string {
	return strings.TrimSuffix(strings.TrimSuffix(architecture, "ForCausalLM"), "LMHeadModel") + classifier
}

// readScore makes the network one with a score in place of logits where config.json names such a class.
func readScore(c *Config, f fields) {
	list, _ := f.values["architectures"].([]any)
	if !slices.ContainsFunc(list, func(a any) bool { name, _ := a.(string); return strings.HasSuffix(name, classifier) }) {
		return
	}
	labels := 2 // transformers' default
	if named, ok := f.values["id2label"].(map[string]any); ok {
		labels = len(named)
	} else if number, ok := f.values["num_labels"].(float64); ok {
		labels = int(number)
	}
	if labels != 1 {
		f.problem("unsupported", "id2label", "has %d labels; a reward model has one", labels)
	}
	c.Architecture = classifierOf(c.Architecture)
	c.Head, c.Names.Head, c.TieHead, c.Scale.Logits = Head{Score: true}, "score", false, 1
}

// Scoring describes the same network with a score a token in place of its logits, as transformers' class for sequence classification has
// it. pad is the token that the class leaves out where it looks for the last one of a text; −1 for none.
func (c *Config) Scoring(pad int) (*Config, error) {
	source := maps.Clone(c.Source)
	if source == nil {
		return nil, fmt.Errorf("the network was not read from a config.json")
	}
	source["architectures"] = []string{classifierOf(c.Architecture)}
	source["id2label"], source["label2id"] = map[string]any{"0": "LABEL_0"}, map[string]any{"LABEL_0": 0}
	source["vocab_size"] = c.VocabSize
	if pad >= 0 {
		source["pad_token_id"] = pad
	}
	text, err := json.Marshal(source)
	if err != nil {
		return nil, err
	}
	return Parse("config.json", text)
}
