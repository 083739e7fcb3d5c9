// Package tokenizer turns text and conversations into token ids and back, exactly as a checkpoint's own files say.
//
//	tok, err := tokenizer.Load("checkpoint")               // tokenizer.json, its configuration, the chat template
//	ids := tok.Encode("hello <|im_end|>")                  // control tokens in user text stay text
//	text := tok.Decode(ids, false)
//	chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true})
//	for _, a := range chat.Answers { … chat.IDs[a.Start:a.End] … } // what a model is to learn
//
// Ids, tokens, offsets and decoded text are those of the tokenizers library, for byte-level and SentencePiece-like BPE,
// Unigram, WordPiece and WordLevel with every normalizer, pre-tokenizer, post-processor and decoder that published
// checkpoints use; the rendered text and the assistant mask are those of transformers. What is unknown is refused by
// name: a step left out would cut text otherwise than in training.
//
// What a reader could not guess:
//   - A control token (an added token with "special": true) is recognised in text only with [Options.ParseControl]. That
//     is the reference's behaviour and lets whoever writes the text end a turn or speak as the system; so it is not
//     the default. Added tokens that are not special (<think>, <tool_call>) are recognised always.
//   - In a conversation [ChatOptions.PlainText] says the same. It does not look for control tokens in the rendered text:
//     the template engine knows for each character whether it came from a message, and none that did takes part in a
//     control token, whatever the template does with it.
//   - A character of Unicode 16.0 is classified the same under every Go release, as ids depend on it.
//   - Padding and truncation set in tokenizer.json are left to the batch.
//
// A [Tokenizer] is immutable and for concurrent use. One goroutine encodes some 20 to 30 MB of text a second with
// byte-level BPE, three to eight times as much as the Rust library on one thread; [Tokenizer.EncodeBatch] uses all
// cores. Each goroutine that encodes has a cache of words of at most 2 MiB, which the tokenizer keeps for the next.
//
// Checkpoints without a chat template can name a [SlotTemplate] (chatml, llama2, alpaca, …: LLaMA-Factory's names),
// which encodes as LLaMA-Factory does, and can be written into the checkpoint as Jinja.
package tokenizer
