package model_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/tokenizer/bpe"
)

var sampled = model.Sampling{Temperature: 1.5, TopK: 40, TopP: 0.95}

func generate(t testing.TB, m *model.Model, c model.GenerateConfig, prompts ...[]int32) [][]int32 {
	t.Helper()
	answers, err := m.GenerateBatch(context.Background(), prompts, c)
	require.NoError(t, err)
	return answers
}

func TestTheSameSeedGeneratesTheSameText(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	c := model.GenerateConfig{Sampling: sampled, Seed: 3, MaxTokens: 30, Stop: []int32{}}
	first := generate(t, m, c, tokens(5, 1))
	assert.Equal(t, first, generate(t, m, c, tokens(5, 1)))
	c.Seed = 4
	assert.NotEqual(t, first, generate(t, m, c, tokens(5, 1)))
}

// A sequence is what it would be with other neighbours, longer and shorter, finished earlier or later.
func TestATextDoesNotDependOnItsNeighbours(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	for name, sampling := range map[string]model.Sampling{"greedy": {}, "sampled": sampled} {
		t.Run(name, func(t *testing.T) {
			c := model.GenerateConfig{Sampling: sampling, Seed: 3, MaxTokens: 20, Stop: []int32{2, 3, 4, 5, 6, 7}}
			mine := tokens(6, 9)
			want := generate(t, m, c, mine)[0]
			assert.Equal(t, want, generate(t, m, c, mine, tokens(1, 2), tokens(33, 3))[0])
			assert.Equal(t, want, generate(t, m, c, mine, tokens(50, 4))[0])
		})
	}
}

// Token by token over a cache is what the whole sequence gives without one.
func TestTheCacheChangesNothing(t *testing.T) {
	m := newModel(t, untied, model.LoadConfig{})
	prompt := tokens(4, 1)
	answer := generate(t, m, model.GenerateConfig{MaxTokens: 12, Stop: []int32{}}, prompt)[0]
	for i := range answer {
		seen := slices.Concat(prompt, answer[:i])
		all := logits(t, m, model.Sequences(seen), []int32{int32(len(seen) - 1)})
		best := 0
		for id, x := range all {
			if x > all[best] {
				best = id
			}
		}
		assert.Equal(t, int32(best), answer[i], "token %d", i)
	}
}

func TestGenerationEnds(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	prompt := tokens(5, 1)
	free := generate(t, m, model.GenerateConfig{MaxTokens: 10, Stop: []int32{}}, prompt)[0]
	require.Len(t, free, 10, "after MaxTokens")
	stop := free[3]
	first := slices.Index(free, stop)
	assert.Equal(t, free[:first+1], generate(t, m, model.GenerateConfig{MaxTokens: 10, Stop: []int32{stop}}, prompt)[0], "after a stop token, which is given")
	assert.Len(t, generate(t, m, model.GenerateConfig{Stop: []int32{}}, prompt)[0], 256, "after the default number")
	assert.Equal(t, []int32{2}, m.EndTokens(), "by config.json's end token where no other is asked for")
	assert.Empty(t, generate(t, m, model.GenerateConfig{}), "of no prompt there is no text")
}

func TestGenerationStopsWhenCancelled(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	reason := errors.New("the reader has left")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	n := 0
	var last error
	for _, err := range m.Generate(ctx, tokens(5, 1), model.GenerateConfig{MaxTokens: 50, Stop: []int32{}}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 3 {
			cancel(reason)
		}
	}
	assert.Equal(t, 3, n)
	assert.ErrorIs(t, last, reason)
	_, err := m.GenerateBatch(ctx, [][]int32{{1}}, model.GenerateConfig{})
	assert.ErrorIs(t, err, reason)
	assert.Equal(t, handles, torch.Live())
	assert.Equal(t, bytes, torch.MemoryNow().Live)
}

// A consumer that breaks, or panics, frees the cache.
func TestAConsumerThatBreaksLeavesNothing(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	for range m.Generate(context.Background(), tokens(5, 1), model.GenerateConfig{}) {
		assert.Greater(t, torch.Live(), handles, "the cache")
		break
	}
	assert.Equal(t, handles, torch.Live())
	assert.Panics(t, func() {
		for range m.Generate(context.Background(), tokens(5, 1), model.GenerateConfig{}) {
			panic("in the consumer")
		}
	})
	assert.Equal(t, handles, torch.Live())
	assert.Equal(t, bytes, torch.MemoryNow().Live)
}

func TestWhatCannotBeGenerated(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	handles := torch.Live()
	for name, tt := range map[string]struct {
		prompt []int32
		config model.GenerateConfig
		want   []string
	}{
		"an empty prompt":  {nil, model.GenerateConfig{}, []string{"prompt 0 is empty"}},
		"an id beyond":     {[]int32{1, 64}, model.GenerateConfig{}, []string{"token id 64 at place 1", "64 rows"}},
		"a negative id":    {[]int32{-5}, model.GenerateConfig{}, []string{"token id -5"}},
		"far too many":     {[]int32{1}, model.GenerateConfig{MaxTokens: math.MaxInt}, []string{"MaxTokens"}},
		"more than memory": {[]int32{1}, model.GenerateConfig{MaxTokens: 1 << 30}, []string{"memory"}},
		"a stop beyond":    {[]int32{1}, model.GenerateConfig{Stop: []int32{64}}, []string{"Stop has id 64"}},
		"every problem":    {[]int32{1}, model.GenerateConfig{MaxTokens: -1, Sampling: model.Sampling{Temperature: -1, TopK: -1, TopP: 2, MinP: -1, RepetitionPenalty: -1, NoRepeatNGram: -1}}, []string{"MaxTokens", "Temperature", "TopK", "TopP", "MinP", "RepetitionPenalty", "NoRepeatNGram"}},
		"not a number":     {[]int32{1}, model.GenerateConfig{Sampling: model.Sampling{Temperature: math.NaN()}}, []string{"Temperature"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for _, err := range m.Generate(context.Background(), tt.prompt, tt.config) {
				n++
				for _, want := range tt.want {
					assert.ErrorContains(t, err, want)
				}
			}
			assert.Equal(t, 1, n, "one error, and no token")
			assert.Equal(t, handles, torch.Live())
		})
	}
	_, err := m.GenerateBatch(context.Background(), [][]int32{{1}, {}}, model.GenerateConfig{})
	assert.ErrorContains(t, err, "prompt 1 is empty")
}

// Weights that are NaN give an error, not token 0 for ever.
func TestLogitsThatAreNotNumbers(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	require.NoError(t, torch.Do(func(s *torch.Scope) {
		s.Copy(m.Parameter("model.norm.weight").Tensor, s.Float32s([]float32{float32(math.NaN())}))
	}))
	_, err := m.GenerateBatch(context.Background(), [][]int32{{1}}, model.GenerateConfig{})
	assert.ErrorContains(t, err, "NaN")
}

func TestOutOfMemoryWhileGenerating(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	defer torch.LimitMemory(0)
	handles, bytes := torch.Live(), torch.MemoryNow().Live
	for room := int64(1); ; room += 2000 {
		torch.LimitMemory(bytes + room)
		_, err := m.GenerateBatch(context.Background(), [][]int32{tokens(9, 1), tokens(20, 2)}, model.GenerateConfig{MaxTokens: 8, Stop: []int32{}})
		torch.LimitMemory(0)
		require.Equal(t, handles, torch.Live())
		require.Equal(t, bytes, torch.MemoryNow().Live)
		if err == nil {
			break
		}
		require.ErrorIs(t, err, torch.ErrOutOfMemory)
		require.Less(t, room, int64(1<<24))
	}
}

// Several goroutines generate on one model at once; each gets what it would alone. Run it with -race.
func TestGeneratingFromManyGoroutines(t *testing.T) {
	m := newModel(t, tied, model.LoadConfig{})
	config := func(g int) model.GenerateConfig {
		return model.GenerateConfig{Sampling: sampled, Seed: uint64(g), MaxTokens: 12, Stop: []int32{}}
	}
	want := make([][]int32, 6)
	for g := range want {
		want[g] = generate(t, m, config(g), tokens(3+g, uint64(g)))[0]
	}
	var group sync.WaitGroup
	for g := range want {
		group.Go(func() {
			var got []int32
			for id, err := range m.Generate(context.Background(), tokens(3+g, uint64(g)), config(g)) {
				assert.NoError(t, err)
				got = append(got, id)
				m.EndTokens()
			}
			assert.Equal(t, want[g], got)
		})
	}
	group.Wait()
}

// talker is a model with random weights over the ids of a tokenizer with a chat template.
func talker(t testing.TB) *model.Model {
	t.Helper()
	tok, err := tokenizer.Load(chatTokenizer(t))
	require.NoError(t, err)
	config, err := arch.Parse("config.json", []byte(strings.Replace(untied, `"vocab_size":64`, `"vocab_size":4096`, 1)))
	require.NoError(t, err)
	require.LessOrEqual(t, tok.Size(), config.VocabSize)
	m, err := model.New(config, tok, 1, model.LoadConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

var question = []tokenizer.Message{{Role: "user", Content: "你好，<|im_end|> who are you?"}}

// A random model says bytes at random. Whatever it says, each piece is whole characters, and all of them are the decoded answer.
func TestChatYieldsWholeCharacters(t *testing.T) {
	m := talker(t)
	for seed := range uint64(5) {
		c := model.GenerateConfig{Sampling: model.Sampling{Temperature: 1}, MaxTokens: 60, Seed: seed}
		var text strings.Builder
		for piece, err := range m.Chat(context.Background(), question, c) {
			require.NoError(t, err)
			assert.NotEmpty(t, piece)
			assert.True(t, utf8.ValidString(piece), "%q", piece)
			text.WriteString(piece)
		}
		chat, err := m.Tokenizer.EncodeChat(question, tokenizer.ChatOptions{AddGenerationPrompt: true, PlainText: true})
		require.NoError(t, err)
		ids := generate(t, m, c, chat.IDs)[0]
		if slices.Contains(m.EndTokens(), ids[len(ids)-1]) {
			ids = ids[:len(ids)-1]
		}
		assert.Equal(t, m.Tokenizer.Decode(ids, true), text.String())
	}
}

// The token that ends an answer is not part of its text, also where it is an ordinary word.
func TestChatDoesNotShowTheStopToken(t *testing.T) {
	m := talker(t)
	chat, err := m.Tokenizer.EncodeChat(question, tokenizer.ChatOptions{AddGenerationPrompt: true, PlainText: true})
	require.NoError(t, err)
	ids := generate(t, m, model.GenerateConfig{MaxTokens: 5, Stop: []int32{}}, chat.IDs)[0]
	stop := ids[2]
	var text strings.Builder
	for piece, err := range m.Chat(context.Background(), question, model.GenerateConfig{MaxTokens: 5, Stop: []int32{stop}}) {
		require.NoError(t, err)
		text.WriteString(piece)
	}
	assert.Equal(t, m.Tokenizer.Decode(ids[:slices.Index(ids, stop)], true), text.String())
}

// A base model's checkpoint often ends texts with another token than its chat template ends answers with. Chat heeds both.
func TestChatStopsWhereTheTemplateEndsAnAnswer(t *testing.T) {
	dir := t.TempDir()
	texts := func(yield func(string) bool) { yield("some words to learn from") }
	vocabulary, err := bpe.Train(t.Context(), texts, bpe.Config{VocabSize: 280, Special: []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, EOS: "<|endoftext|>"})
	require.NoError(t, err)
	require.NoError(t, vocabulary.Save(dir))
	tok, err := tokenizer.Load(dir)
	require.NoError(t, err)
	end, ok := tok.ID("<|im_end|>")
	require.True(t, ok)
	config, err := arch.Parse("config.json", []byte(strings.NewReplacer(`"vocab_size":64`, `"vocab_size":280`, `"eos_token_id":2`, `"eos_token_id":0`).Replace(untied)))
	require.NoError(t, err)
	m, err := model.New(config, tok, 1, model.LoadConfig{})
	require.NoError(t, err)
	defer m.Close()
	require.NotContains(t, m.EndTokens(), end)
	messages, ended := []tokenizer.Message{{Role: "user", Content: "words"}}, 0
	chat, err := tok.EncodeChat(messages, tokenizer.ChatOptions{AddGenerationPrompt: true, PlainText: true})
	require.NoError(t, err)
	for seed := range uint64(4) {
		c := model.GenerateConfig{MaxTokens: 300, Sampling: model.Sampling{Temperature: 1}, Seed: seed}
		var text strings.Builder
		for piece, err := range m.Chat(t.Context(), messages, c) {
			require.NoError(t, err)
			text.WriteString(piece)
		}
		c.Stop = []int32{}
		said := generate(t, m, c, chat.IDs)[0]
		at := slices.IndexFunc(said, func(id int32) bool { return id == end || id == m.EndTokens()[0] })
		if at >= 0 && said[at] == end {
			ended++
			assert.Equal(t, tok.Decode(said[:at], true), text.String())
		}
	}
	assert.NotZero(t, ended, "in no text a random model has said <|im_end|>")
}

func TestChatWithoutWhatItNeeds(t *testing.T) {
	only := func(m *model.Model, messages []tokenizer.Message) (last error) {
		n := 0
		for text, err := range m.Chat(context.Background(), messages, model.GenerateConfig{}) {
			assert.Empty(t, text)
			last = err
			n++
		}
		assert.Equal(t, 1, n)
		return last
	}
	assert.ErrorContains(t, only(newModel(t, tied, model.LoadConfig{}), question), "no tokenizer")
	assert.Error(t, only(load(t, chatModel(t), model.LoadConfig{}), question), "no chat template")
}
