package tokenizer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// FuzzLoad reads any bytes as tokenizer.json: an error with its place, or a tokenizer that encodes and decodes.
func FuzzLoad(f *testing.F) {
	for _, path := range testdata.Cases(f, testdata.BadInputs(f), "tokenizer/*.json") {
		data, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(data)
	}
	for _, part := range []string{
		`{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1.5],["▁",-2]]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁"},"decoder":{"type":"Metaspace"}}`,
		`{"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1,"##b":2}},"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"}}`,
		`{"model":{"type":"BPE","unk_token":"u","fuse_unk":true,"byte_fallback":true,"vocab":{"u":0,"<0x61>":1,"b":2},"merges":[]},"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"NFKC"}]}}`,
		`{"model":{"type":"WordLevel","unk_token":"u","vocab":{"u":0}},"added_tokens":[{"id":1,"content":"x","lstrip":true,"rstrip":true,"normalized":true,"single_word":true}],"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"u","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"u":{"id":"u","ids":[0],"tokens":["u"]}}}}`,
	} {
		f.Add([]byte(part))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		folder, err := os.MkdirTemp(dir, "")
		require.NoError(t, err)
		defer os.RemoveAll(folder)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "tokenizer.json"), data, 0o644))
		tok, err := tokenizer.Load(folder)
		var fault *tokenizer.FileError
		if err != nil {
			require.True(t, errors.As(err, &fault), "%v", err)
			require.NotEmpty(t, fault.Class)
			return
		}
		for _, text := range []string{"", "a b  ab x", "中文 <0x61> ▁\n", "\xff\u0301"} {
			full := tok.EncodeFull(text, tokenizer.Options{AddSpecial: true, ParseControl: true})
			for i, id := range full.IDs {
				require.Less(t, int(id), tok.Size())
				require.LessOrEqual(t, full.Offsets[i][0], full.Offsets[i][1])
				require.LessOrEqual(t, full.Offsets[i][1], utf8.RuneCountInString(text))
			}
			tok.Decode(full.IDs, true)
			tok.Encode(text)
		}
	})
}

// FuzzRoundTrip: a byte-level tokenizer gives every text back, whole or as a stream, and the batch agrees.
func FuzzRoundTrip(f *testing.F) {
	for _, text := range []string{"", "hello world", "it's\r\n\n 中文 👩‍💻", "<|im_end|>", "\x00\xff", "e\u0301"} {
		f.Add(text)
	}
	tok := byteLevelWithTemplate(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		var valid strings.Builder
		for _, r := range text { // each byte that is not UTF-8 is one U+FFFD
			valid.WriteRune(r)
		}
		for _, o := range []tokenizer.Options{{}, {ParseControl: true}} {
			ids := tok.EncodeBatch([]string{text}, o)[0]
			require.Equal(t, valid.String(), tok.Decode(ids, false))
			require.Equal(t, valid.String(), stream(tok, ids, false))
			full := tok.EncodeFull(text, o)
			require.Equal(t, list(ids), list(full.IDs))
			end := 0
			for i, at := range full.Offsets { // in order, and nothing left out
				require.LessOrEqual(t, at[0], end, "token %d", i)
				end = at[1]
			}
			require.Equal(t, utf8.RuneCountInString(text), end)
		}
		for _, id := range tok.Encode(text) {
			require.False(t, tok.IsSpecial(id))
		}
	})
}

// FuzzStream decodes any ids: no half character comes out, and the parts are the whole.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 2, 255, 0xE4, 0xB8, 0xAD})
	bytesOnly := byteLevelWithTemplate(f, "")
	pieces, err := tokenizer.Load(filepath.Join(testdata.Goldens(f), "tokenizer", "llama2_bpe"))
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, tok := range []*tokenizer.Tokenizer{bytesOnly, pieces} {
			ids := make([]int32, len(data))
			for i, b := range data {
				ids[i] = int32(int(b) * tok.Size() / 256)
			}
			whole := tok.Decode(ids, false)
			if tok == bytesOnly || !strings.Contains(whole, "\uFFFD") {
				require.Equal(t, whole, stream(tok, ids, false))
			}
			d := tok.NewDecoder(true)
			for _, id := range ids {
				require.True(t, utf8.ValidString(d.Push(id)))
			}
		}
	})
}

// FuzzMessages reads any bytes as messages and renders them.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(thinking))
	f.Add([]byte(`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"x":1e400}}}]}]`))
	tok := byteLevelWithTemplate(f, "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | tojson }}{{ m.tool_calls | tojson if m.tool_calls }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
	f.Fuzz(func(t *testing.T, data []byte) {
		messages, err := tokenizer.ParseMessages(data)
		if err != nil {
			return
		}
		chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true})
		if err != nil {
			return
		}
		require.Len(t, controlIDs(tok, chat.IDs), 2*len(messages))
		for _, a := range chat.Answers {
			require.Less(t, a.Start, a.End)
			require.LessOrEqual(t, a.End, len(chat.IDs))
		}
	})
}
