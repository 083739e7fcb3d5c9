package bpe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// train learns from texts with room for extra tokens.
func train(t testing.TB, extra int, c bpe.Config, texts ...string) *bpe.Vocabulary {
	c.VocabSize = 256 + 3 + extra
	if c.Special != nil {
		c.VocabSize = 256 + len(c.Special) + extra
	}
	v, err := bpe.Train(context.Background(), slices.Values(texts), c)
	require.NoError(t, err)
	return v
}

func load(t testing.TB, v *bpe.Vocabulary) *tokenizer.Tokenizer {
	dir, err := os.MkdirTemp("", "bpe") // rapid's T has no TempDir
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, v.Save(dir))
	tok, err := tokenizer.Load(dir)
	require.NoError(t, err)
	return tok
}

func TestMergesByHand(t *testing.T) {
	for _, tt := range []struct {
		name  string
		texts []string
		want  [][2]string
	}{
		{"the most frequent pair first", []string{"ab ab cd ab", "cd"}, [][2]string{{"a", "b"}, {"c", "d"}}}, // 3 and 2 times; the space and ab also 2, with higher ids
		{"of equals the one with the lower ids", []string{"zy", "ab", "zy", "ab"}, [][2]string{{"a", "b"}, {"z", "y"}}},
		{"pairs of pairs", []string{"abab", "abab"}, [][2]string{{"a", "b"}, {"ab", "ab"}}},
		{"a run counts overlapping pairs", []string{"aaaa", "bcbc"}, [][2]string{{"a", "a"}, {"b", "c"}}}, // 3 and 2 times
		{"not across pieces", []string{"a1", "a1", "1a", "1a"}, [][2]string{}},
		{"once is not enough", []string{"ab"}, [][2]string{}},
		{"no texts", nil, [][2]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, train(t, 2, bpe.Config{}, tt.texts...).Merges)
		})
	}
}

func TestControlTokens(t *testing.T) {
	v := train(t, 50, bpe.Config{Special: []string{"<eos>", "stop"}, EOS: "<eos>", PAD: "<eos>"}, slices.Repeat([]string{"stop <eos> stopping"}, 9)...)
	tok := load(t, v)
	assert.Equal(t, []string{"<eos>", "stop"}, v.Tokens[:2])
	for _, id := range tok.Encode("stop stopping <eos>") {
		assert.False(t, tok.IsSpecial(id), "plain text became the control token %q", v.Tokens[id])
	}
	eos, _ := tok.EOS()
	pad, _ := tok.PAD()
	assert.Equal(t, []int32{0, 0}, []int32{eos, pad})
}

func TestChatTemplate(t *testing.T) {
	tok := load(t, train(t, 0, bpe.Config{}))
	messages := []tokenizer.Message{{Role: "user", Content: "嗨"}, {Role: "assistant", Content: "你好"}}
	text, err := tok.RenderChat(messages, tokenizer.ChatOptions{})
	require.NoError(t, err)
	assert.Equal(t, "<|im_start|>user\n嗨<|im_end|>\n<|im_start|>assistant\n你好<|im_end|>\n", text)
	chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{PlainText: true})
	require.NoError(t, err)
	require.Len(t, chat.Answers, 1)
	answer := chat.IDs[chat.Answers[0].Start:chat.Answers[0].End]
	assert.Equal(t, "你好<|im_end|>", tok.Decode(answer, false))
}

// The texts come back from their ids, and the cores at work do not show in the vocabulary.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("abc 漢字é1\n!"))), 1, 20).Draw(rt, "texts")
		v := train(t, 40, bpe.Config{}, texts...)
		before := runtime.GOMAXPROCS(1)
		again := train(t, 40, bpe.Config{}, texts...)
		runtime.GOMAXPROCS(before)
		require.Equal(rt, v, again)
		tok := load(t, v)
		for _, s := range append(texts, rapid.String().Filter(sameTables).Draw(rt, "other")) {
			require.Equal(rt, norm.NFC.String(s), tok.Decode(tok.Encode(s), false))
		}
	})
}

// sameTables says whether Go's normalisation, which the round trip is held against, has the reference's tables for all of s. The
// reference's are older: it does not move marks that they do not know, and neither do we.
func sameTables(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unidata.NoClass(r) || r == 0x11938 })
}

func TestInvalidUTF8(t *testing.T) {
	bad := train(t, 5, bpe.Config{}, "a\xff\xfeb", "a\xff\xfeb")
	assert.Equal(t, train(t, 5, bpe.Config{}, "a\ufffd\ufffdb", "a\ufffd\ufffdb"), bad)
}

func TestConfigProblems(t *testing.T) {
	err := bpe.Config{VocabSize: 100, MinCount: -1, Special: []string{"<s>", "<s>", ""}, Pattern: "("}.Validate()
	for _, field := range []string{"VocabSize: is 100; want 259", "MinCount", `Special[1]: "<s>" is listed twice`, "Special[2]", "EOS", "PAD", "Pattern"} {
		assert.ErrorContains(t, err, field)
	}
	_, err = bpe.Train(context.Background(), slices.Values([]string(nil)), bpe.Config{VocabSize: 1})
	assert.ErrorContains(t, err, "VocabSize")
}

func TestCancelled(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(context.Background())
	texts := func(yield func(string) bool) {
		for yield(strings.Repeat("text ", 1000)) {
			cancel(stopped)
		}
	}
	_, err := bpe.Train(ctx, texts, bpe.Config{})
	assert.ErrorIs(t, err, stopped)
}

func TestSaveErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	assert.Error(t, train(t, 0, bpe.Config{}).Save(filepath.Join(file, "below")))
	dir := t.TempDir()
	require.NoError(t, train(t, 0, bpe.Config{}).Save(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "temporary files are left")
}

func Example() {
	texts := []string{"打印机报警怎么办", "打印机很慢怎么办", "扫描仪报警怎么办"}
	vocabulary, err := bpe.Train(context.Background(), slices.Values(texts), bpe.Config{VocabSize: 280})
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := vocabulary.Save(dir); err != nil {
		fmt.Println(err)
		return
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode("扫描仪很慢怎么办")
	fmt.Println(len(ids), "tokens:", tok.Decode(ids, false))
	// Output:
	// 15 tokens: 扫描仪很慢怎么办
}

func BenchmarkTrain(b *testing.B) {
	var texts []string
	size := 0
	for i := range 2000 {
		s := fmt.Sprintf("第%d号：the quick brown fox %x jumps over 懒狗，%o 次。", i, i*7919, i*104729)
		texts, size = append(texts, s), size+len(s)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		train(b, 1000, bpe.Config{}, texts...)
	}
}
