package dialogue

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/gofinetune/finetune/tokenizer"
)

// Rule drops a conversation in which someone says one of some phrases. Width, case, white space and punctuation inside a
// phrase do not matter.
type Rule struct {
	Name  string   `json:"name"`  // for reports
	User  []string `json:"user"`  // phrases of the user
	Agent []string `json:"agent"` // phrases of the assistant

	// Follows lists what may come after a phrase without changing its meaning (客服, 吧, 谢谢). Any other letter that follows
	// directly makes another word of it, and the phrase does not count: 转人工 is not in 转人工湖路. nil means those of
	// TransferToHuman; "*" allows everything.
	Follows []string `json:"follows"`

	// Denied lists what takes a phrase back that it precedes (不用, 无需). nil means those of TransferToHuman.
	Denied []string `json:"denied"`
}

// TransferToHuman is the rule that drops samples in which the customer asks for a human, or is handed to one.
func TransferToHuman() Rule {
	return Rule{
		Name: RuleHuman,
		User: []string{"转人工", "转接人工", "接人工", "我要人工", "我要找人工", "找人工客服", "要人工客服", "叫人工客服", "人工客服在吗", "找真人", "转真人", "要真人客服", "我要真人",
			"轉人工", "轉接人工", "我要找真人"},
		Agent: []string{"为您转人工", "为您转接人工", "为你转人工", "为你转接人工", "帮您转人工", "帮您转接人工", "给您转人工", "给您转接人工", "马上转接人工", "马上转人工", "正在转接人工", "正在转人工",
			"已转接人工", "已转人工", "接入人工客服", "为您接通人工", "為您轉接人工", "為您轉人工"},
	}
}

// follows and denied are the defaults of a Rule.
var (
	follows = strings.Fields(`客服 客户 客戶 坐席 座席 服务 服務 专员 專員 顾问 顧問 同事 通道 窗口 吧 了 啊 呀 呢 吗 嘛 嗎 哈 哦 噢 谢 謝 可以 可不 行不 行吗 行么 好吗 好不
		好么 一下 来 帮 處理 处理 聊 回答 回复 解决 沟通 咨询 接听 为您 为你 稍 请 請 么 嗯 呃 谁 快 立刻 马上 马 现在 我 你 您`)
	denied = strings.Fields(`不要 不用 不想 不需要 不必 无需 无须 無需 毋须 别 別 没有 沒有 不会 不能 不可 不再 而不是`)
)

// matcher looks for the phrases of a rule.
type matcher struct {
	name            string
	user, agent     [][]rune
	follows, denied [][]rune
	any             bool
}

func newMatcher(r Rule, field string, problems *[]error) *matcher {
	m := &matcher{name: r.Name, any: slices.Contains(r.Follows, "*")}
	if r.Name == "" {
		problem(problems, field+".Name", "is empty; want the name that reports give as the reason")
	}
	if len(r.User)+len(r.Agent) == 0 {
		problem(problems, field, "has neither User nor Agent phrases; it would drop nothing")
	}
	if r.Follows == nil {
		r.Follows = follows
	}
	if r.Denied == nil {
		r.Denied = denied
	}
	for _, list := range []struct {
		name string
		from []string
		to   *[][]rune
	}{{"User", r.User, &m.user}, {"Agent", r.Agent, &m.agent}, {"Follows", r.Follows, &m.follows}, {"Denied", r.Denied, &m.denied}} {
		for i, phrase := range list.from {
			letters := fold(phrase).letters
			if len(letters) == 0 && phrase != "*" {
				problem(problems, fmt.Sprintf("%s.%s[%d]", field, list.name, i), "is %q; want a phrase of letters", phrase)
				continue
			}
			*list.to = append(*list.to, letters)
		}
	}
	return m
}

// dropped looks for the rule's phrases and reports the first.
func (m *matcher) dropped(messages []tokenizer.Message, report *Report) bool {
	for i := range messages {
		phrases := m.agent
		switch messages[i].Role {
		case "assistant":
		case "user":
			phrases = m.user
		default:
			continue
		}
		message := messages[i]
		spokenTexts(&message, i, func(field, text string) string {
			if from, to, ok := m.find(fold(text), phrases); ok && report.Dropped == nil {
				report.drop(m.name, field, from, string([]rune(text)[from:to]), "")
			}
			return text
		})
		if report.Dropped != nil {
			return true
		}
	}
	return false
}

// folded is a text without width, case, white space and punctuation.
type folded struct {
	letters []rune
	at      []int  // where each letter stands in the text, in code points
	apart   []bool // something was left out after the letter, or the text ends
}

func fold(text string) (f folded) {
	at := 0
	for _, r := range text {
		n := r
		if w := width.LookupRune(r).Folded(); w != 0 {
			n = w
		}
		if unicode.IsLetter(n) || unicode.IsDigit(n) {
			f.letters, f.at, f.apart = append(f.letters, unicode.ToLower(n)), append(f.at, at), append(f.apart, false)
		} else if len(f.apart) > 0 {
			f.apart[len(f.apart)-1] = true
		}
		at++
	}
	if len(f.apart) > 0 {
		f.apart[len(f.apart)-1] = true
	}
	return f
}

// find is the place of the first phrase in a text that counts.
func (m *matcher) find(text folded, phrases [][]rune) (from, to int, ok bool) {
	for at := range text.letters {
		for _, p := range phrases {
			end := at + len(p)
			if end <= len(text.letters) && slices.Equal(text.letters[at:end], p) && m.counts(text, at, end) {
				return text.at[at], text.at[end-1] + 1, true
			}
		}
	}
	return 0, 0, false
}

// counts tells whether the phrase at letters[at:end] means what it says.
func (m *matcher) counts(text folded, at, end int) bool {
	if at == 0 || !text.apart[at-1] {
		for _, d := range m.denied {
			from := at - len(d)
			if from < 0 || !slices.Equal(text.letters[from:at], d) {
				continue
			}
			asks := from > 0 && len(d) > 1 && text.letters[from-1] == d[len(d)-1] // 能不能, 有没有: a question, no denial
			if !asks {
				return false
			}
		}
	}
	if m.any || text.apart[end-1] {
		return true
	}
	return slices.ContainsFunc(m.follows, func(f []rune) bool {
		return end+len(f) <= len(text.letters) && slices.Equal(text.letters[end:end+len(f)], f)
	})
}
