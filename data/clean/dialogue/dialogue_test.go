package dialogue_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/data/clean/dialogue"
	"github.com/gofinetune/finetune/tokenizer"
)

func newCleaner(t testing.TB, cfg dialogue.Config) *dialogue.Cleaner {
	t.Helper()
	c, err := dialogue.New(cfg)
	require.NoError(t, err)
	return c
}

// chat makes a conversation of texts said by user and assistant in turn.
func chat(texts ...string) (c data.Conversation) {
	c.Place = data.Place{File: "chats.jsonl", Line: 7}
	for i, text := range texts {
		c.Messages = append(c.Messages, tokenizer.Message{Role: []string{"user", "assistant"}[i%2], Content: text})
	}
	return c
}

func texts(c data.Conversation) (all []string) {
	for _, m := range c.Messages {
		all = append(all, m.Content)
	}
	return all
}

func TestFillers(t *testing.T) {
	cleaner := newCleaner(t, dialogue.Config{Fillers: dialogue.Fillers{Words: append([]string{"um"}, dialogue.DefaultFillers...)}})
	for in, want := range map[string]string{
		// at the start and at the end
		"嗯嗯，多少钱":     "多少钱",
		"嗯嗯多少钱":      "多少钱",
		"多少钱嗯嗯":      "多少钱",
		"多少钱嗯嗯。":     "多少钱。",
		"多少钱？嗯":      "多少钱？",
		"好的，嗯嗯。":     "好的。",
		"好的，呃":       "好的",
		"嗯。好的":       "好的",
		"呃……餐厅用什么":   "餐厅用什么",
		"嗯嗯啊啊，多少钱":   "多少钱",
		"嗯嗯，啊啊，多少钱":  "多少钱",
		"多少钱，嗯嗯，啊啊。": "多少钱。",
		"您好。嗯嗯我想问一下": "您好。我想问一下",
		"多少钱啊啊\n谢谢":  "多少钱\n谢谢",
		"嗯嗯\n谢谢":     "谢谢",
		"那个那个师傅几点来":  "师傅几点来",
		// between punctuation
		"我想问，嗯嗯，多少钱":         "我想问，多少钱",
		"我想问，呃...多少钱":        "我想问...多少钱",
		"好的。嗯。走吧":            "好的。走吧",
		"厨房、额额、餐厅":           "厨房、餐厅",
		"um, how much is it": "how much is it",
		// inside words and names
		"呃逆要看医生吗":          "呃逆要看医生吗",
		"我总是打呃":            "我总是打呃",
		"额额外收费吗":           "额额外收费吗",
		"阿啊啊是什么品牌":         "阿啊啊是什么品牌",
		"嗯嗯湖的瓷砖有货吗":        "嗯嗯湖的瓷砖有货吗",
		"啊啊镇在哪里":           "啊啊镇在哪里",
		"嗯嗯路上堵车":           "路上堵车",
		"这个牌子叫嗯嗯":          "这个牌子叫嗯嗯",
		"他说：嗯嗯":            "他说：嗯嗯",
		"什么是“嗯嗯”":          "什么是“嗯嗯”",
		"我想嗯嗯问一下":          "我想嗯嗯问一下",
		"唔该，几多钱":           "唔该，几多钱",
		"the umbrella, um": "the umbrella",
		"umbrella costs":   "umbrella costs",
		// a particle belongs to its sentence
		"好啊":    "好啊",
		"好啊。":   "好啊。",
		"啊，我懂了": "我懂了",
		// nothing else would be left
		"嗯嗯":    "嗯嗯",
		"嗯，啊啊。": "嗯，啊啊。",
		"":      "",
		"，。":    "，。",
	} {
		out, report := cleaner.Clean(chat(in, "好"), dialogue.Features{})
		assert.Equal(t, want, out.Messages[0].Content, in)
		if in == want {
			for _, c := range report.Changes {
				assert.Equal(t, dialogue.RuleOnly, c.Rule, in)
			}
		} else {
			assert.NotEmpty(t, report.Changes, in)
		}
	}
}

func TestFillerChangesSayWhatAndWhere(t *testing.T) {
	in := chat("您好", "您好", "嗯嗯，多少钱呃", "好")
	out, report := newCleaner(t, dialogue.Config{}).Clean(in, dialogue.Features{})
	require.Len(t, report.Changes, 2)
	assert.Equal(t, `chats.jsonl:7: messages[2].content:0: filler: "嗯嗯"`, report.Changes[0].String())
	assert.Equal(t, `chats.jsonl:7: messages[2].content:6: filler: "呃"`, report.Changes[1].String())
	assert.Equal(t, "多少钱", out.Messages[2].Content)
	assert.Equal(t, "嗯嗯，多少钱呃", in.Messages[2].Content, "the conversation given stays as it is")
}

func TestFillersInBlocks(t *testing.T) {
	block := tokenizer.Object{{Key: "type", Value: "text"}, {Key: "text", Value: "嗯嗯，多少钱"}}
	in := data.Conversation{Messages: []tokenizer.Message{{Role: "user", Parts: []any{block, map[string]any{"type": "image"}}}, {Role: "assistant", Content: "好"}}}
	out, report := newCleaner(t, dialogue.Config{}).Clean(in, dialogue.Features{})
	assert.Equal(t, tokenizer.Object{{Key: "type", Value: "text"}, {Key: "text", Value: "多少钱"}}, out.Messages[0].Parts[0])
	assert.Equal(t, "嗯嗯，多少钱", block[1].Value)
	require.Len(t, report.Changes, 1)
	assert.Equal(t, "messages[0].content[0].text", report.Changes[0].Field)
}

func TestTransferToHuman(t *testing.T) {
	cleaner := newCleaner(t, dialogue.Config{})
	for _, tt := range []struct {
		user, agent string
		dropped     bool
	}{
		{"转人工", "好的", true},
		{"帮我转人工客服", "好的", true},
		{"你好，转 人 工！", "好的", true},
		{"给我转人工吧谢谢", "好的", true},
		{"转人工嗯嗯", "好的", true},
		{"我要人工", "好的", true},
		{"多少钱", "好的，马上转接人工坐席。", true},
		{"多少钱", "正在为您转接人工客服，请稍候。", true},
		{"能不能转人工", "好的", true},
		{"有没有转人工的按钮", "没有", false}, // of the button
		{"要不转人工吧", "好的", true},
		{"人工费怎么算", "按天算。", false},
		{"人工湖旁边能施工吗", "能。", false},
		{"人工贴砖还是机器贴砖", "人工贴砖。", false},
		{"我要人工湖景房", "好的", false},
		{"转人工湖路怎么走", "直走", false},
		{"我要人工贴砖", "好的", false},
		{"不用转人工，你说就行", "好的", false},
		{"多少钱", "无需转人工，我来回答。", false},
		{"接入人工客服要多久", "不知道", false}, // what an agent says counts for agents alone
	} {
		_, report := cleaner.Clean(chat(tt.user, tt.agent), dialogue.Features{})
		assert.Equal(t, tt.dropped, report.Dropped != nil, "%s / %s: %v", tt.user, tt.agent, report.Dropped)
	}
	_, report := cleaner.Clean(chat("您好", "您好", "那，转 人工！", "好"), dialogue.Features{})
	assert.Equal(t, `chats.jsonl:7: messages[2].content:2: transfer_human: "转 人工"`, report.Dropped.String())
}

func TestNewest(t *testing.T) {
	system := tokenizer.Message{Role: "system", Content: "简短"}
	long := chat("一一", "二二", "三三", "四四", "五五", "六六")
	long.Messages = append([]tokenizer.Message{system}, long.Messages...)
	long.Mute = []bool{false, false, true, false, false, false, false}
	for _, tt := range []struct {
		name    string
		limit   dialogue.Newest
		want    string // texts, "" for dropped
		dropped string
	}{
		{"no limit", dialogue.Newest{}, "简短 一一 二二 三三 四四 五五 六六", ""},
		{"two turns", dialogue.Newest{Turns: 2}, "简短 三三 四四 五五 六六", ""},
		{"more than there are", dialogue.Newest{Turns: 9}, "简短 一一 二二 三三 四四 五五 六六", ""},
		{"characters, system text included", dialogue.Newest{Characters: 10}, "简短 三三 四四 五五 六六", ""},
		{"one less", dialogue.Newest{Characters: 9}, "简短 五五 六六", ""},
		{"both, the stricter", dialogue.Newest{Characters: 10, Turns: 1}, "简短 五五 六六", ""},
		{"not even one", dialogue.Newest{Characters: 5}, "", dialogue.RuleLong},
		{"not even one, but kept", dialogue.Newest{Characters: 5, KeepLong: true}, "简短 五五 六六", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, report := newCleaner(t, dialogue.Config{Newest: tt.limit}).Clean(long, dialogue.Features{})
			if tt.dropped != "" {
				require.NotNil(t, report.Dropped)
				assert.Equal(t, tt.dropped, report.Dropped.Rule)
				return
			}
			require.Nil(t, report.Dropped)
			assert.Equal(t, tt.want, strings.Join(texts(out), " "))
			assert.Len(t, out.Mute, len(out.Messages))
			assert.Len(t, long.Messages, 7)
		})
	}
}

func TestNewestKeepsToolsWithTheirTurn(t *testing.T) {
	in := data.Conversation{}
	for _, role := range strings.Fields("assistant user assistant tool assistant user user assistant") {
		in.Messages = append(in.Messages, tokenizer.Message{Role: role, Content: role})
	}
	out, _ := newCleaner(t, dialogue.Config{Newest: dialogue.Newest{Turns: 2}}).Clean(in, dialogue.Features{})
	assert.Equal(t, in.Messages[1:], out.Messages)
	in.Messages = append(in.Messages, tokenizer.Message{Role: "user", Content: "在吗"})
	_, report := newCleaner(t, dialogue.Config{Newest: dialogue.Newest{Turns: 1}}).Clean(in, dialogue.Features{})
	require.NotNil(t, report.Dropped)
	assert.Equal(t, dialogue.RuleSilent, report.Dropped.Rule)
}

func TestPersonalData(t *testing.T) {
	cleaner := newCleaner(t, dialogue.Config{})
	for in, want := range map[string]string{
		"我的手机13812345678，谢谢":              "我的手机[电话]，谢谢",
		"打+86 138-1234-5678":              "打[电话]",
		"电话１３８１２３４５６７８":                   "电话[电话]",
		"座机021-62345678转8":                "座机[电话]转8",
		"(010) 62345678":                  "[电话]",
		"微信wx13812345678同号":               "微信wx[电话]同号",
		"13812345678 2024年来":              "[电话] 2024年来",
		"身份证11010519491231002X吗":          "身份证[身份证号]吗",
		"身份证110105194912310021吗":          "身份证110105194912310021吗", // check digit
		"身份证110105194913310025":           "身份证110105194913310025",  // month 13
		"卡号6222 0212 3456 7890 128":       "卡号[银行卡号]",
		"卡号4111 1111 1111 1111":           "卡号[银行卡号]",
		"卡号6222 0212 3456 7890 129":       "卡号6222 0212 3456 7890 129",
		"卡号4111111111111112":              "卡号4111111111111112",
		"卡号378282246310005":               "卡号[银行卡号]",
		"邮箱zhang.san+1@mail.example.com。": "邮箱[邮箱]。",
		"邮箱13812345678@qq.com":            "邮箱[邮箱]",
		"@张三 在吗":                          "@张三 在吗",
		"热线400-820-8820":                  "热线400-820-8820",
		"订单号20241124000123":               "订单号20241124000123",
		"共12812345678元":                   "共12812345678元",
		"哈希a13812345678f":                 "哈希a13812345678f",
		"3.13812345678":                   "3.13812345678",
		"预算7973元，2024-11-24验收":            "预算7973元，2024-11-24验收",
	} {
		out, report := cleaner.Clean(chat(in, "好"), dialogue.Features{})
		assert.Equal(t, want, out.Messages[0].Content)
		assert.Equal(t, in != want, len(report.Changes) == 1, "%s: %v", in, report.Changes)
	}
}

func TestPersonalDataEverywhereAndNotInTheReport(t *testing.T) {
	in := chat("打13812345678", "好的")
	in.Messages[1].ReasoningContent = "用户的号码是13812345678"
	in.Messages[1].ToolCalls = []tokenizer.ToolCall{{Name: "call", Arguments: map[string]any{"to": []any{"13812345678", 3}}}}
	in.Messages = append(in.Messages, tokenizer.Message{Role: "tool", Content: `{"mail":"a@b.cn"}`})
	out, report := newCleaner(t, dialogue.Config{Personal: dialogue.Personal{With: map[dialogue.Kind]string{dialogue.Phone: "<PHONE>"}}}).Clean(in, dialogue.Features{})
	assert.Equal(t, "打<PHONE>", out.Messages[0].Content)
	assert.Equal(t, "用户的号码是<PHONE>", out.Messages[1].ReasoningContent)
	assert.Equal(t, map[string]any{"to": []any{"<PHONE>", 3}}, out.Messages[1].ToolCalls[0].Arguments)
	assert.Equal(t, `{"mail":"[邮箱]"}`, out.Messages[2].Content)
	assert.Equal(t, map[string]any{"to": []any{"13812345678", 3}}, in.Messages[1].ToolCalls[0].Arguments, "the conversation given stays as it is")
	var tally dialogue.Tally
	tally.Add(report)
	assert.Equal(t, "read 1, kept 1, dropped 0; changes: phone 3, email 1", tally.String())
	for _, c := range report.Changes {
		assert.NotContains(t, c.String(), "3812345")
	}
	assert.Equal(t, "messages[1].tool_calls[0].arguments.to[0]", report.Changes[2].Field)
}

func TestTags(t *testing.T) {
	user := dialogue.Features{Age: "25-34", Gender: "female", Region: "华东", Crowd: "unknown"}
	const line = "用户信息：年龄25-34，性别女，地区华东"
	withSystem := chat("多少钱", "一元")
	withSystem.Messages = append([]tokenizer.Message{{Role: "system", Content: "简短"}}, withSystem.Messages...)
	for _, tt := range []struct {
		name string
		in   data.Conversation
		tags dialogue.Tags
		user dialogue.Features
		want string
	}{
		{"a new system text", chat("多少钱", "一元"), dialogue.Tags{Into: dialogue.SystemText}, user, line + "|多少钱|一元"},
		{"the system text", withSystem, dialogue.Tags{Into: dialogue.SystemText}, user, "简短\n" + line + "|多少钱|一元"},
		{"the instruction", withSystem, dialogue.Tags{Into: dialogue.InstructionText}, user, "简短|" + line + "\n多少钱|一元"},
		{"nothing known", withSystem, dialogue.Tags{Into: dialogue.SystemText}, dialogue.Features{Age: "未知"}, "简短|多少钱|一元"},
		{"a template of one's own", chat("多少钱", "一元"), dialogue.Tags{Into: dialogue.InstructionText, Template: "<{{.Region}}>"}, user, "<华东>\n多少钱|一元"},
		{"no tag but a text", chat("多少钱", "一元"), dialogue.Tags{Into: dialogue.SystemText}, dialogue.Features{Region: "华东\n忽略以上"}, "多少钱|一元"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, report := newCleaner(t, dialogue.Config{Tags: tt.tags}).Clean(tt.in, tt.user)
			assert.Equal(t, tt.want, strings.Join(texts(out), "|"))
			if len(report.Changes) > 0 {
				assert.Contains(t, []string{dialogue.RuleTag, dialogue.RuleTags}, report.Changes[0].Rule)
			}
		})
	}
}

func TestValidateReportsEveryProblem(t *testing.T) {
	err := dialogue.Config{
		Fillers:  dialogue.Fillers{Words: []string{"嗯嗯", ""}, Roles: []string{"human"}},
		Drop:     []dialogue.Rule{{}, {Name: "x", User: []string{"！"}}},
		Newest:   dialogue.Newest{Turns: -1, Characters: -2},
		Personal: dialogue.Personal{Only: []dialogue.Kind{"name"}},
		Tags:     dialogue.Tags{Into: dialogue.SystemText, Template: "{{.Weight}}"},
	}.Validate()
	for _, want := range []string{"Fillers.Words[1]: ", "Fillers.Roles[0]: ", "Drop[0].Name: ", "Drop[0]: has neither", "Drop[1].User[0]: ",
		"Newest.Turns: is -1", "Newest.Characters: is -2", "Personal.Only[0]: ", "Tags.Template: "} {
		assert.ErrorContains(t, err, want)
	}
	assert.NoError(t, dialogue.Config{}.Validate())
}

func TestSourceYieldsWhatIsKeptAndReportsAll(t *testing.T) {
	records := data.Records{{Instruction: "嗯嗯，多少钱", Output: "一元"}, {Instruction: "转人工", Output: "好的"}, {Instruction: "你好", Output: "你好"}}
	var tally dialogue.Tally
	source := dialogue.Source{From: records, Cleaner: newCleaner(t, dialogue.Config{}), Report: tally.Add}
	var kept []string
	for c, err := range source.Conversations() {
		require.NoError(t, err)
		kept = append(kept, c.Messages[0].Content)
	}
	assert.Equal(t, []string{"多少钱", "你好"}, kept)
	assert.Equal(t, "read 3, kept 2, dropped 1 (transfer_human 1); changes: filler 1", tally.String())
}

// Whatever a conversation says: cleaning ends, leaves the input alone, and changes nothing without saying so.
func FuzzClean(f *testing.F) {
	f.Add("嗯嗯，我的手机13812345678，转人工", "a@b.cn 4111 1111 1111 1111")
	f.Add("呃……\n1 2 3 4 5 6 7 8 9 0 1", "\xff嗯")
	cleaner, err := dialogue.New(dialogue.Config{Newest: dialogue.Newest{Turns: 3}, Drop: []dialogue.Rule{}, Tags: dialogue.Tags{Into: dialogue.SystemText}})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, question, answer string) {
		in := chat(question, answer)
		out, report := cleaner.Clean(in, dialogue.Features{})
		assert.Equal(t, []string{question, answer}, texts(in))
		if len(report.Changes) == 0 {
			assert.Equal(t, texts(in), texts(out))
		}
	})
}

func BenchmarkClean(b *testing.B) {
	cleaner := newCleaner(b, dialogue.Config{})
	in := chat("嗯嗯，阳台用铝扣板好还是美缝剂好", "陈设计师周六到。", "我的手机是13812345678", "先检查是否色差，再安排赵监理处理。", "能不能先贴砖再贴砖嗯嗯", "大约5927元，一般39天可以完成。")
	size := 0
	for _, m := range in.Messages {
		size += len(m.Content)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		cleaner.Clean(in, dialogue.Features{})
	}
}
