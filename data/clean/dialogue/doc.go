// Package dialogue cleans conversations before they are learned: filler words are stripped, samples in which the agent
// hands the customer to a human are dropped, the newest turns are kept within a limit, personal data are masked, and
// tags of the user are put into the system text or the instruction.
//
//	cleaner, err := dialogue.New(dialogue.Config{Newest: dialogue.Newest{Turns: 10}})
//	if err != nil {
//		return err // every problem of the configuration at once
//	}
//	var tally dialogue.Tally
//	source := dialogue.Source{From: data.File{Path: "chats.jsonl"}, Cleaner: cleaner, Report: tally.Add}
//	samples, ledger, err := data.Encode(ctx, tok, source, data.EncodeConfig{})
//	fmt.Println(tally) // read 1000, kept 871, dropped 129 (transfer 129); changes: fillers 412, phone 31
//
// The steps run in this order: drop rules are looked at first, over the whole conversation and without its fillers, so
// that a handover in an old turn counts too; then turns are cut, personal data masked and tags added.
//
// Every change and every removal is recorded with its rule, its value and its place: file, line, field, and code point
// in the text that the step was given. Nothing changes silently, and the conversation passed in is left as it is.
//
// # What a filler is
//
// 嗯嗯 is a filler in 嗯嗯，多少钱 and in 多少钱嗯嗯, but not in 阿啊啊是什么品牌: only at the start or the end of a sentence
// or between punctuation, never inside a word. Where no punctuation follows, three things show that the characters belong
// to a word: a list of such words (呃逆, 额外), a noun that needs a name before it (嗯嗯湖的…, 呃镇在…), and a verb of
// naming before them (叫嗯嗯). In doubt the text stays as it is: a filler left in costs less than a broken word.
//
// # What a handover is
//
// A phrase of the user or of the agent: 转人工, 正在为您转接人工客服. The word 人工 alone is none (人工费, 人工湖), nor is a phrase
// that goes on as another word (转人工湖路) or that is denied (不用转人工).
package dialogue
