package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/tokenizer"
)

// Question is a prompt to be answered.
type Question struct {
	Messages  []tokenizer.Message
	Reference string // the answer that the record has, for rewards that compare; "" for none
	Place     data.Place
}

// Reward is how good answers to a question are: one number for each. It is called from the goroutine of the run; answers carry no special
// tokens. An error ends the run.
type Reward func(ctx context.Context, q Question, answers []string) ([]float64, error)

// Questions reads prompts: conversations, whose last answer, if they end with one, becomes the Reference. samples are their tokens up to
// where the answer begins. The error is the first bad record, or wraps data.ErrNoTargets where there is none.
func Questions(ctx context.Context, m *model.Model, source data.Source, c data.EncodeConfig) (list []Question, samples []data.Sample, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	longest := c.MaxLength
	if longest == 0 {
		longest = 2048
	}
	for record, err := range source.Conversations() {
		if err != nil {
			return nil, nil, err
		}
		if err := context.Cause(ctx); err != nil {
			return nil, nil, err
		}
		q := Question{Messages: record.Messages, Place: record.Place}
		if n := len(q.Messages); n > 0 && q.Messages[n-1].Role == "assistant" {
			q.Messages, q.Reference = q.Messages[:n-1], q.Messages[n-1].Content
		}
		chat, err := m.Tokenizer.EncodeChat(q.Messages, tokenizer.ChatOptions{AddGenerationPrompt: true, PlainText: !c.ParseControl,
			DefaultTemplate: c.Template, Kwargs: c.TemplateArgs, Tools: record.Tools})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", record.Place, err)
		}
		if len(chat.IDs) == 0 || len(chat.IDs) > longest {
			return nil, nil, fmt.Errorf("%s: the prompt has %d tokens; want 1 to MaxLength %d", record.Place, len(chat.IDs), longest)
		}
		labels := make([]int32, len(chat.IDs))
		for i := range labels {
			labels[i] = data.NoLabel
		}
		list, samples = append(list, q), append(samples, data.Sample{IDs: chat.IDs, Labels: labels, Place: record.Place})
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%w: the data hold no prompt", errors.Join(data.ErrNoTargets))
	}
	return list, samples, nil
}
