// Package tokenizer turns text into token ids and back, exactly as the checkpoint's tokenizer.json says.
package tokenizer
