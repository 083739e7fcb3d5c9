package dialogue

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/tokenizer"
)

// Features are what is known of the user. Empty, "unknown" and 未知 mean that it is not known, and add no tag.
type Features struct {
	Age    string `json:"age"` // a range: 25-34
	Gender string `json:"gender"`
	Region string `json:"region"`
	Crowd  string `json:"crowd"` // the group of customers: 首次装修
}

// Into says where tags are put.
type Into int

const (
	NoTags          Into = iota // nowhere
	SystemText                  // the end of the system text, on a line of its own; a system message is added where there is none
	InstructionText             // the beginning of the first user text that is kept, on a line of its own
)

// Tags says where and how the user's features are written.
type Tags struct {
	Into Into `json:"into"`

	// Template is a text/template over Features; "" means DefaultTemplate. named writes a label and a value, or nothing
	// where the value is not known; join leaves out what is empty. A template that gives an empty text adds nothing.
	Template string `json:"template"`

	// Values replaces values before they are written; nil means male: 男, female: 女.
	Values map[string]string `json:"values"`
}

// DefaultTemplate writes, for instance, 用户信息：年龄25-34，性别女，地区华东，人群首次装修
const DefaultTemplate = `{{with join "，" (named "年龄" .Age) (named "性别" .Gender) (named "地区" .Region) (named "人群" .Crowd)}}用户信息：{{.}}{{end}}`

// longestFeature is how many code points a feature may have: more is no tag, but a text.
const longestFeature = 64

type tagger struct {
	into     Into
	template *template.Template
	values   map[string]string
}

func newTagger(cfg Tags, problems *[]error) *tagger {
	if cfg.Into != SystemText && cfg.Into != InstructionText {
		problem(problems, "Tags.Into", "is %d; want NoTags, SystemText or InstructionText", cfg.Into)
	}
	text := cfg.Template
	if text == "" {
		text = DefaultTemplate
	}
	t := &tagger{into: cfg.Into, values: cfg.Values}
	if t.values == nil {
		t.values = map[string]string{"male": "男", "female": "女"}
	}
	var err error
	t.template, err = template.New("tags").Funcs(template.FuncMap{"named": named, "join": join}).Parse(text)
	if err == nil {
		_, err = t.write(Features{"25-34", "female", "华东", "首次装修"}) // a field that Features lacks shows only now
	}
	if err != nil {
		problem(problems, "Tags.Template", "%v", err)
	}
	return t
}

func named(label, value string) string {
	if value == "" {
		return ""
	}
	return label + value
}

func join(by string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), by)
}

func (t *tagger) write(f Features) (string, error) {
	var b strings.Builder
	err := t.template.Execute(&b, f)
	return strings.TrimSpace(b.String()), err
}

// add puts the user's tags into the conversation.
func (t *tagger) add(c *data.Conversation, f Features, report *Report) {
	for _, part := range []struct {
		name  string
		value *string
	}{{"age", &f.Age}, {"gender", &f.Gender}, {"region", &f.Region}, {"crowd", &f.Crowd}} {
		t.known(part.name, part.value, report)
	}
	text, err := t.write(f)
	if err != nil {
		report.add(RuleTags, "user", 0, "", err.Error()+"; left out")
		return
	}
	if text == "" {
		return
	}
	role := map[Into]string{SystemText: "system", InstructionText: "user"}[t.into]
	i := slices.IndexFunc(c.Messages, func(m tokenizer.Message) bool {
		return m.Role == role || t.into == SystemText && m.Role == "developer"
	})
	switch {
	case i < 0 && t.into == InstructionText:
		report.add(RuleTags, "messages", 0, text, "there is no message of the user; left out")
		return
	case i < 0:
		i = 0
		c.Messages = slices.Insert(c.Messages, 0, tokenizer.Message{Role: "system", Content: text})
		if c.Mute != nil {
			c.Mute = slices.Insert(c.Mute, 0, false)
		}
	default:
		t.join(&c.Messages[i], text)
	}
	report.add(RuleTag, fmt.Sprintf("messages[%d].content", i), 0, text, "")
}

// known replaces a feature by what is written for it: nothing where it is not known or is no tag.
func (t *tagger) known(name string, value *string, report *Report) {
	v := strings.TrimSpace(*value)
	switch {
	case strings.EqualFold(v, "unknown") || v == "未知":
		v = ""
	case utf8.RuneCountInString(v) > longestFeature || strings.ContainsFunc(v, unicode.IsControl):
		report.add(RuleTags, "user."+name, 0, v, fmt.Sprintf("want at most %d characters on one line; left out", longestFeature))
		v = ""
	}
	if to, ok := t.values[v]; ok {
		v = to
	}
	*value = v
}

// join puts the text into a message, as a line of its own.
func (t *tagger) join(m *tokenizer.Message, text string) {
	block := func(s string) any { return tokenizer.Object{{Key: "type", Value: "text"}, {Key: "text", Value: s}} }
	switch {
	case m.Parts != nil && t.into == SystemText:
		m.Parts = append(slices.Clone(m.Parts), block("\n"+text))
	case m.Parts != nil:
		m.Parts = append([]any{block(text + "\n")}, m.Parts...)
	case m.Content == "":
		m.Content = text
	case t.into == SystemText:
		m.Content += "\n" + text
	default:
		m.Content = text + "\n" + m.Content
	}
}
