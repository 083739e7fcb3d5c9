package tokenizer_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/tokenizer"
)

const thinking = `[{"role":"user","content":"a"},{"role":"assistant","content":"<think>\none\n</think>\n\nfirst "},
	{"role":"user","content":"b"},{"role":"assistant","content":"<think>\ntwo\n</think>\n\nsecond"}]`

// TestAnswers shows what counts as an answer, in layouts in use.
func TestAnswers(t *testing.T) {
	chatML := "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
	for _, tt := range []struct {
		name, template, messages string
		want                     []string
	}{
		{"the header and the line break after the turn are outside", chatML,
			`[{"role":"user","content":"q"},{"role":"assistant","content":"yes"},{"role":"user","content":"r"}]`,
			[]string{"yes<|im_end|>"}},
		{"several turns, one empty", chatML,
			`[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":""},{"role":"user","content":""},{"role":"assistant","content":"b"}]`,
			[]string{"<|im_end|>", "b<|im_end|>"}},
		{"the conversation begins with an answer", chatML,
			`[{"role":"assistant","content":"hello"},{"role":"user","content":"q"}]`,
			[]string{"hello<|im_end|>"}},
		{"two answers in a row", chatML,
			`[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}]`,
			[]string{"a<|im_end|>", "b<|im_end|>"}},
		{"the answer repeats the question", chatML,
			`[{"role":"user","content":"same"},{"role":"assistant","content":"same"},{"role":"user","content":"same"},{"role":"assistant","content":"same"}]`,
			[]string{"same<|im_end|>", "same<|im_end|>"}},
		{"old thinking is taken out",
			"{% for m in messages %}<|im_start|>{{ m.role }}\n{% if loop.last %}{{ m.content }}{% else %}{{ m.content.split('</think>')[-1] | trim }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
			thinking, []string{"first<|im_end|>", "<think>\ntwo\n</think>\n\nsecond<|im_end|>"}},
		{"the prompt opens the thinking",
			"{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}",
			thinking, []string{"one\n</think>\n\nfirst <|im_end|>", "two\n</think>\n\nsecond<|im_end|>"}},
		{"no generation prompt, trimmed text",
			"{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content | trim }} [/INST]{% else %} {{ m.content | trim }} <|endoftext|>{% endif %}{% endfor %}",
			thinking, []string{" <think>\none\n</think>\n\nfirst <|endoftext|>", " <think>\ntwo\n</think>\n\nsecond <|endoftext|>"}},
		{"no end token",
			"{% for m in messages %}\n{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}\nassistant:{% endif %}",
			`[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]`,
			[]string{" a", " b"}},
		{"the last turn ends otherwise",
			"{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content }}{% if loop.last %}<|endoftext|>{% else %}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}",
			`[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]`,
			[]string{"a<|im_end|>", "b<|endoftext|>"}},
		{"tool calls, whose name the tool's turn repeats",
			"{% for m in messages %}<|im_start|>{{ m.name or m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}{{ c.function.arguments | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
			`[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]},
			  {"role":"tool","name":"f","content":"21"},{"role":"assistant","content":"done"}]`,
			[]string{`<call>f{"x": 1}</call><|im_end|>`, "done<|im_end|>"}},
		{"marked by the template, the end token outside",
			"{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}",
			thinking, []string{"<think>\none\n</think>\n\nfirst <|im_end|>", "<think>\ntwo\n</think>\n\nsecond<|im_end|>"}},
		{"marked by the template inside a macro, with the line break",
			"{% macro answer(m) %}{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% endmacro %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{{ answer(m) }}{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}",
			thinking, []string{"<think>\none\n</think>\n\nfirst <|im_end|>", "<think>\ntwo\n</think>\n\nsecond<|im_end|>"}},
		{"an answer the template leaves out", "{% for m in messages if m.role == 'user' %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}",
			`[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]`, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok := byteLevelWithTemplate(t, tt.template)
			messages, err := tokenizer.ParseMessages([]byte(tt.messages))
			require.NoError(t, err)
			for _, prompt := range []bool{false, true} {
				chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true, AddGenerationPrompt: prompt})
				require.NoError(t, err)
				got := []string{}
				for _, a := range chat.Answers {
					got = append(got, tok.Decode(chat.IDs[a.Start:a.End], false))
				}
				assert.Equal(t, tt.want, got, "generation prompt: %v", prompt)
			}
		})
	}
}

func TestMessageJSONKeepsOrderAndNulls(t *testing.T) {
	const in = `{"role":"assistant","z":1,"content":null,"tool_calls":[{"name":"f","arguments":"{}"},{"id":"1","type":"function","function":{"arguments":{"b":1,"a":null},"name":"g"}}],"a":{"y":1.0,"x":[]}}`
	messages, err := tokenizer.ParseMessages([]byte("[" + in + "]"))
	require.NoError(t, err)
	out, err := messages[0].MarshalJSON()
	require.NoError(t, err)
	assert.Equal(t, in, string(out))
	assert.Equal(t, "g", messages[0].ToolCalls[1].Name)

	messages[0].Content = "now <there>"
	messages[0].ToolCalls[0].Name = "h"
	out, err = messages[0].MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(out), `"content":"now <there>"`)
	assert.Contains(t, string(out), `{"name":"h","arguments":"{}"}`)
}

func TestParseMessagesNamesTheField(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, "messages: is an object; want a list"},
		{`[1]`, "messages[0]: is a number; want an object"},
		{`[{"role":3}]`, "messages[0]: role: is a number; want a string"},
		{`[{"role":"a","content":3}]`, "messages[0]: content: is a number; want a string"},
		{`[{"role":"a","tool_calls":{}}]`, "messages[0]: tool_calls: is an object; want a list"},
		{`[{"role":"a","tool_calls":[1]}]`, "messages[0]: tool_calls[0]: is a number; want an object"},
		{`[{"role":"a","tool_calls":[{"function":"f"}]}]`, "messages[0]: tool_calls[0]: function: is a string; want an object"},
		{`[] []`, "more data"},
	} {
		_, err := tokenizer.ParseMessages([]byte(tt.in))
		assert.ErrorContains(t, err, tt.want)
	}
}
