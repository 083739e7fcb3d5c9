// Command sftlora teaches a checkpoint a chat style: sftlora <checkpoint> <chats.jsonl> <out>
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 4 {
		log.Fatal("usage: sftlora <checkpoint> <chats.jsonl> <out>")
	}
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err) // only main ends the process
	}
}

func run(ctx context.Context, checkpoint, chats, out string) error {
	lm, err := model.Load(ctx, checkpoint, model.LoadConfig{}) // and its tokenizer
	if err != nil {
		return err
	}
	defer lm.Close()
	adapter, err := lora.Attach(lm, lora.Config{Rank: 16})
	if err != nil {
		return err
	}
	defer adapter.Close()
	trainer, err := sft.NewTrainer(lm, sft.Config{
		Data:   data.File{Path: chats},
		Config: train.Config{Output: out, Sinks: []observe.Sink{observe.NewTerminal(os.Stderr)}},
	})
	if err != nil {
		return err // every config problem at once
	}
	if _, err := trainer.Run(ctx); err != nil {
		return err // Ctrl-C, or a pod that is preempted: a checkpoint has been written
	}
	return adapter.Save(out)
}
