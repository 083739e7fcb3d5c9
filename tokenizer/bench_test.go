package tokenizer_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// documents are the sample texts, Chinese and English, and their size in bytes.
func documents(b *testing.B) (texts []string, size int) {
	type document struct{ Text string }
	for _, path := range testdata.Cases(b, testdata.Data(b), "docs.jsonl") {
		for _, d := range readLines[document](b, path) {
			texts = append(texts, d.Text)
			size += len(d.Text)
		}
	}
	return texts, size
}

// BenchmarkEncode encodes the sample texts with each golden tokenizer: on one core ids alone and with offsets, and in
// a batch on all.
func BenchmarkEncode(b *testing.B) {
	texts, size := documents(b)
	for _, path := range testdata.Cases(b, testdata.Goldens(b), "tokenizer/*/tokenizer.json") {
		tok, err := tokenizer.Load(filepath.Dir(path))
		require.NoError(b, err)
		name := filepath.Base(filepath.Dir(path))
		run := func(how string, encode func()) {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					encode()
				}
			})
		}
		run("ids", func() {
			for _, text := range texts {
				tok.Encode(text)
			}
		})
		run("offsets", func() {
			for _, text := range texts {
				tok.EncodeFull(text, tokenizer.Options{})
			}
		})
		run("batch", func() { tok.EncodeBatch(texts, tokenizer.Options{}) })
	}
}

// BenchmarkChat renders and encodes the sample dialogues.
func BenchmarkChat(b *testing.B) {
	tok, err := tokenizer.Load(filepath.Join(testdata.Goldens(b), "tokenizer", "chat", "chatml_tools"))
	if err != nil {
		b.Skip(err)
	}
	var chats [][]tokenizer.Message
	size := 0
	for _, c := range readLines[chatCase](b, filepath.Join(testdata.Goldens(b), "tokenizer", "chat", "chatml_tools", "cases.jsonl")) {
		chats = append(chats, c.Messages)
		data, err := json.Marshal(c.Messages)
		require.NoError(b, err)
		size += len(data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, messages := range chats {
			if _, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(chats)*b.N)/b.Elapsed().Seconds(), "chats/s")
}

func BenchmarkDecode(b *testing.B) {
	texts, size := documents(b)
	tok, err := tokenizer.Load(filepath.Join(testdata.Goldens(b), "tokenizer", "qwen2_bpe"))
	if err != nil {
		b.Skip(err)
	}
	ids := tok.EncodeBatch(texts, tokenizer.Options{})
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, text := range ids {
			tok.Decode(text, false)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	path := testdata.Cases(b, testdata.Goldens(b), "tokenizer/*/tokenizer.json")[0]
	for b.Loop() {
		if _, err := tokenizer.Load(filepath.Dir(path)); err != nil {
			b.Fatal(err)
		}
	}
}
