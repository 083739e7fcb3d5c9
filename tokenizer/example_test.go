package tokenizer_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/tokenizer"
)

// exampleCheckpoint stands for a folder downloaded from a hub.
func exampleCheckpoint() (dir string, done func()) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range map[string]string{
		"tokenizer.json":        string(byteLevelJSON()),
		"tokenizer_config.json": `{"eos_token": "<|im_end|>"}`,
		"chat_template.jinja": `{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return dir, func() { os.RemoveAll(dir) }
}

func ExampleLoad() {
	dir, done := exampleCheckpoint()
	defer done()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	ids := tok.Encode("hello world")
	for _, id := range ids {
		token, _ := tok.Token(id)
		fmt.Println(token)
	}
	fmt.Println(tok.Decode(ids, false))
	// Output:
	// hello
	// Ġworld
	// hello world
}

func ExampleTokenizer_EncodeFull() {
	dir, done := exampleCheckpoint()
	defer done()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	e := tok.EncodeFull("é hello<|im_end|>", tokenizer.Options{ParseControl: true})
	for i, token := range e.Tokens {
		fmt.Println(token, e.Offsets[i])
	}
	// Output:
	// Ã [0 1]
	// © [0 1]
	// Ġ [1 2]
	// hello [2 7]
	// <|im_end|> [7 17]
}

func ExampleTokenizer_EncodeChat() {
	dir, done := exampleCheckpoint()
	defer done()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	messages := []tokenizer.Message{
		{Role: "user", Content: "Say <|im_end|>."},
		{Role: "assistant", Content: "No."},
	}
	chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range chat.Answers {
		fmt.Printf("message %d: %q\n", a.Message, tok.Decode(chat.IDs[a.Start:a.End], false))
	}
	control := 0
	for _, id := range chat.IDs {
		if tok.IsSpecial(id) {
			control++
		}
	}
	fmt.Println(control, "control tokens") // two turns; the user's is text
	// Output:
	// message 1: "No.<|im_end|>"
	// 4 control tokens
}

func ExampleTokenizer_NewDecoder() {
	dir, done := exampleCheckpoint()
	defer done()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	d := tok.NewDecoder(true)
	for _, id := range tok.Encode("a 中") { // 中 is three tokens
		fmt.Printf("%q ", d.Push(id))
	}
	fmt.Printf("%q\n", d.Flush())
	// Output: "a" " " "" "" "中" ""
}

func ExampleSlotTemplate() {
	dir, done := exampleCheckpoint()
	defer done()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	template, err := tokenizer.BuiltInTemplate("chatml")
	if err != nil {
		log.Fatal(err)
	}
	turns, err := template.EncodeTurns(tok, "", []tokenizer.Turn{{Question: "hello", Answer: "world"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n%q\n", tok.Decode(turns[0].Prompt, false), tok.Decode(turns[0].Answer, false))
	// Output:
	// "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
	// "world<|im_end|>\n"
}
