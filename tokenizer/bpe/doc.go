// Package bpe trains byte-level BPE tokenizers of the kind that GPT-2, Llama 3 and Qwen have (Sennrich et al. 2016,
// Radford et al. 2019).
//
//	vocabulary, err := bpe.Train(ctx, slices.Values(texts), bpe.Config{VocabSize: 4096})
//	err = vocabulary.Save("checkpoint")                   // tokenizer.json, tokenizer_config.json with a ChatML template
//	tok, err := tokenizer.Load("checkpoint")
//
// Every byte is a token, so there is no unknown text. A text is cut into pieces by a regular expression; inside the
// pieces, the pair of neighbouring tokens that is met most often becomes a token, until the vocabulary is full. Of pairs
// met equally often the one with the lower ids comes first. Ids and merges are those that BpeTrainer of Hugging Face
// tokenizers learns from the same texts, and its libraries load the files.
//
// The texts are read once; what stays in memory is one copy of each distinct piece. The result depends on the texts and
// the config alone, not on the number of cores.
package bpe
