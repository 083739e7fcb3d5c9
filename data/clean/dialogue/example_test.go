package dialogue_test

import (
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/data/clean/dialogue"
	"github.com/gofinetune/finetune/tokenizer"
)

func ExampleCleaner_Clean() {
	cleaner, err := dialogue.New(dialogue.Config{Tags: dialogue.Tags{Into: dialogue.SystemText}})
	if err != nil {
		fmt.Println(err)
		return
	}
	in := data.Conversation{Messages: []tokenizer.Message{
		{Role: "user", Content: "嗯嗯，人工费怎么算？我的电话是13812345678"},
		{Role: "assistant", Content: "按天算，稍后给您回电。"},
	}}
	out, report := cleaner.Clean(in, dialogue.Features{Gender: "female", Region: "华东"})
	for _, m := range out.Messages {
		fmt.Printf("%s: %s\n", m.Role, m.Content)
	}
	for _, c := range report.Changes {
		fmt.Println(c.Rule, c.Field, c.At, c.Value)
	}
	// Output:
	// system: 用户信息：性别女，地区华东
	// user: 人工费怎么算？我的电话是[电话]
	// assistant: 按天算，稍后给您回电。
	// filler messages[0].content 0 嗯嗯
	// phone messages[0].content 12 1*********8
	// tag messages[0].content 0 用户信息：性别女，地区华东
}
