package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/tokenizer"
	"github.com/gofinetune/finetune/train"
)

// split reads records and sets n of them apart. None of their questions is in the rest, nor in the history of the rest.
func split(path string, n int, seed uint64) (learned, held data.Records, err error) {
	var all data.Records
	for r, err := range (data.File{Path: path}).Records() {
		if err != nil {
			return nil, nil, err
		}
		all = append(all, r)
	}
	if n < 1 || n >= len(all) {
		return nil, nil, fmt.Errorf("-held is %d; want 1 to %d, as %s has %d records", n, len(all)-1, path, len(all))
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	held = all[:n]
	asked := map[string]bool{}
	for _, r := range held {
		asked[r.Instruction] = true
	}
	known := func(turn [2]string) bool { return asked[turn[0]] }
	learned = slices.DeleteFunc(all[n:], func(r data.Record) bool { return slices.ContainsFunc(r.History, known) })
	return learned, held, nil
}

// ask has the model answer each record's question.
func ask(ctx context.Context, lm *model.Model, records data.Records) ([]string, error) {
	answers := make([]string, len(records))
	for i, r := range records {
		c, err := r.Conversation()
		if err != nil {
			return nil, err
		}
		question := c.Messages[:len(c.Messages)-1]
		for piece, err := range lm.Chat(ctx, question, model.GenerateConfig{MaxTokens: 64, Chat: tokenizer.ChatOptions{DefaultTemplate: "chatml"}}) {
			if err != nil {
				return nil, err
			}
			answers[i] += piece
		}
	}
	return answers, nil
}

// right counts the answers that are exactly those of the records.
func right(records data.Records, answers []string) (n int) {
	for i, r := range records {
		if strings.TrimSpace(answers[i]) == r.Output {
			n++
		}
	}
	return n
}

// report is what the demo has come to.
type report struct {
	options       options
	held          data.Records
	before, after []string
	first         float64
	result        train.Result
	share         lora.Report
	took          time.Duration
}

func (r report) print(w io.Writer) {
	for i, record := range r.held[:min(r.options.show, len(r.held))] {
		fmt.Fprintf(w, "\nquestion  %s\nbefore    %s\nafter     %s\nexpected  %s\n", record.Instruction, r.before[i], r.after[i], record.Output)
	}
	fmt.Fprintf(w, "\n%s\n", r.share)
	fmt.Fprintf(w, "loss %.3g → %.3g, on held-out %.3g\n", r.first, r.result.Loss, r.result.EvalLoss)
	fmt.Fprintf(w, "loss curve   %s\n", filepath.Join(r.options.out, "loss.png"))
	fmt.Fprintf(w, "demo: held-out answers right %d/%d before, %d/%d after; loss %.2g → %.2g; %.0f tokens/s; peak %d MB; %.0f s\n",
		right(r.held, r.before), len(r.held), right(r.held, r.after), len(r.held), r.first, r.result.Loss,
		r.result.TokensPerSecond, r.result.PeakBytes/1e6, r.took.Seconds())
}
