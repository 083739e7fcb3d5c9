package bpe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Vocabulary is a trained tokenizer.
type Vocabulary struct {
	Config Config      // in force, defaults filled in
	Tokens []string    // by id: control tokens, bytes, then what was learned; written in the byte-level alphabet
	Merges [][2]string // in the order in which they are applied
}

// Save writes tokenizer.json and tokenizer_config.json into dir, which is made if it is not there. Each file is replaced
// whole.
func (v *Vocabulary) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bpe: %w", err)
	}
	if err := writeJSON(filepath.Join(dir, "tokenizer.json"), v.file()); err != nil {
		return fmt.Errorf("bpe: %w", err)
	}
	if err := writeJSON(filepath.Join(dir, "tokenizer_config.json"), v.settings()); err != nil {
		return fmt.Errorf("bpe: %w", err)
	}
	return nil
}

type object = map[string]any

// Parts of tokenizer.json. The same descriptions cut the texts in training.
var nfc = object{"type": "NFC"}

func cutBy(pattern string) object {
	return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}
}

func byteLevel() object {
	return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}
}

func (v *Vocabulary) file() any {
	return struct {
		Version       string `json:"version"`
		Truncation    any    `json:"truncation"`
		Padding       any    `json:"padding"`
		Added         []any  `json:"added_tokens"`
		Normalizer    any    `json:"normalizer"`
		PreTokenizer  any    `json:"pre_tokenizer"`
		PostProcessor any    `json:"post_processor"`
		Decoder       any    `json:"decoder"`
		Model         any    `json:"model"`
	}{
		Version: "1.0", Added: v.added(), Normalizer: nfc,
		PreTokenizer:  object{"type": "Sequence", "pretokenizers": []any{cutBy(v.Config.Pattern), byteLevel()}},
		PostProcessor: byteLevel(), Decoder: byteLevel(), Model: v.model(),
	}
}

func (v *Vocabulary) added() []any {
	added := []any{}
	for id, s := range v.Config.Special {
		added = append(added, object{"id": id, "content": s, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
	}
	return added
}

func (v *Vocabulary) model() any {
	return struct {
		Type         string      `json:"type"`
		Dropout      any         `json:"dropout"`
		Unk          any         `json:"unk_token"`
		Prefix       string      `json:"continuing_subword_prefix"`
		Suffix       string      `json:"end_of_word_suffix"`
		FuseUnk      bool        `json:"fuse_unk"`
		ByteFallback bool        `json:"byte_fallback"`
		IgnoreMerges bool        `json:"ignore_merges"`
		Vocab        ordered     `json:"vocab"`
		Merges       [][2]string `json:"merges"`
	}{Type: "BPE", Vocab: v.Tokens, Merges: v.Merges}
}

// settings is tokenizer_config.json. The class is the one that takes tokenizer.json as it is.
func (v *Vocabulary) settings() any {
	return object{
		"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
		"eos_token": v.Config.EOS, "pad_token": v.Config.PAD, "additional_special_tokens": v.Config.Special,
		"chat_template": v.Config.ChatTemplate,
	}
}

// ordered is a list of tokens that encodes to an object from token to id, in the order of the ids.
type ordered []string

// MarshalJSON writes {"a": 0, "b": 1}.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for id, token := range o {
		if id > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(token))
		fmt.Fprintf(&b, ":%d", id)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeJSON writes under a temporary name and renames, so that a reader never meets half a file.
func writeJSON(path string, value any) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".*."+filepath.Base(path))
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // after the rename there is nothing to remove
	encoder := json.NewEncoder(temp)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(value)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
