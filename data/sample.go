package data

import (
	"errors"

	"github.com/gofinetune/finetune/tokenizer"
)

// NoLabel marks a token that is context only: the loss ignores it.
const NoLabel int32 = -100

// ErrNoTargets is returned when no sample with a token to learn is left.
var ErrNoTargets = errors.New("no sample is left to learn from")

// Sample is an encoded record. Labels are aligned with IDs: Labels[t] is IDs[t] where the token is learned and
// NoLabel elsewhere. The shift by one, by which token t is predicted from the tokens before it, happens in the loss.
type Sample struct {
	IDs, Labels []int32

	// Answers continue IDs, the best first, for learning from preferences: two of a pair, or those of a ranking. Each sees IDs, which is
	// computed once, and none of the others. IDs may be empty then.
	Answers []Answer
	Margin  float64 // by how much the first answer is better than the second, where that is known; of a single answer: 1 good, −1 bad
	Place   Place
}

// Answer is one of several continuations of a sample's tokens.
type Answer struct {
	IDs, Labels []int32
}

// Len is the number of tokens.
func (s Sample) Len() int {
	n := len(s.IDs)
	for _, a := range s.Answers {
		n += len(a.IDs)
	}
	return n
}

// Targets counts the tokens that are learned. The first token is never one: nothing comes before it to predict it from.
func (s Sample) Targets() int {
	n := labelled(s.Labels[min(1, len(s.Labels)):])
	for _, a := range s.Answers {
		first := 0
		if len(s.IDs) == 0 {
			first = min(1, len(a.Labels))
		}
		n += labelled(a.Labels[first:])
	}
	return n
}

func labelled(labels []int32) (n int) {
	for _, label := range labels {
		if label != NoLabel {
			n++
		}
	}
	return n
}

// Unlabelled are the labels of n tokens that are context only.
func Unlabelled(n int) []int32 {
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = NoLabel
	}
	return labels
}

// cutEnd keeps the first n tokens.
func (s Sample) cutEnd(n int) Sample {
	if len(s.IDs) > n {
		s.IDs, s.Labels = s.IDs[:n], s.Labels[:n]
	}
	return s
}

// Tokenizer is what encoding needs of a [tokenizer.Tokenizer].
type Tokenizer interface {
	HasChatTemplate() bool
	EncodeChat([]tokenizer.Message, tokenizer.ChatOptions) (tokenizer.Chat, error)
	EncodeFull(string, tokenizer.Options) tokenizer.Encoding
	BOS() (int32, bool)
	EOS() (int32, bool)
	IsSpecial(int32) bool
	Token(int32) (string, bool)
	Size() int
}
