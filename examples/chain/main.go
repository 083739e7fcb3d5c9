// Command chain takes a model of random weights through every stage, twice: pretraining, fine-tuning, a reward model and PPO; and from the
// same fine-tuned model, DPO. After each stage it says what the stage has changed.
//
//	go run ./examples/chain -data testdata/data
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/dpo"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/mixer"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/ppo"
	"github.com/gofinetune/finetune/pretrain"
	"github.com/gofinetune/finetune/rm"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/train"
)

type options struct {
	data, out string
	steps     int // of the longer stages; the shorter ones take a share of it
}

func (o options) file(name string) data.File { return data.File{Path: filepath.Join(o.data, name)} }

func main() {
	var o options
	flag.StringVar(&o.data, "data", filepath.Join("testdata", "data"), "folder with pt.jsonl, sft_domain.jsonl, rm.jsonl and dpo.jsonl")
	flag.StringVar(&o.out, "out", filepath.Join("out", "chain"), "folder for the checkpoints")
	flag.IntVar(&o.steps, "steps", 300, "optimizer steps of pretraining and fine-tuning")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.out, 0o777); err != nil {
		return err
	}
	for _, stage := range []func(context.Context, options) error{pretraining, tuning, rewards, optimising, preferring} {
		if err := stage(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// pretraining learns texts, with instructions mixed in, and saves out/base.
func pretraining(ctx context.Context, o options) error {
	m, err := newModel(ctx, o)
	if err != nil {
		return err
	}
	defer m.Close()
	trainer, err := pretrain.NewTrainer(m, pretrain.Config{
		Sources: []pretrain.Source{
			{Name: "texts", Role: mixer.Domain, Ratio: 9, Texts: o.file("pt.jsonl")},
			{Name: "tasks", Role: mixer.Instruction, Ratio: 1, Instructions: o.file("sft_general.jsonl")},
		},
		Mix:       mixer.Config{Exhausted: mixer.Cover},
		Config:    train.Config{LearningRate: 3e-3, Steps: o.steps, MaxTokens: 512, EvalShare: 0.05},
		RowLength: 256,
	})
	if err != nil {
		return err
	}
	result, err := trainer.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("pretrain: loss %.2f on held-out texts\n", result.EvalLoss)
	return m.Save(filepath.Join(o.out, "base"), model.SaveConfig{})
}

// tuning learns answers and saves out/sft.
func tuning(ctx context.Context, o options) error {
	m, err := model.Load(ctx, filepath.Join(o.out, "base"), model.LoadConfig{})
	if err != nil {
		return err
	}
	defer m.Close()
	trainer, err := sft.NewTrainer(m, sft.Config{Data: o.file("sft_domain.jsonl"),
		Config: train.Config{LearningRate: 3e-3, Steps: o.steps, MicroBatch: 16, EvalShare: 0.1}})
	if err != nil {
		return err
	}
	result, err := trainer.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("sft: loss %.2f on held-out answers\n", result.EvalLoss)
	return m.Save(filepath.Join(o.out, "sft"), model.SaveConfig{})
}

// rewards makes a reward model of the tuned one and saves out/reward.
func rewards(ctx context.Context, o options) error {
	m, err := model.Load(ctx, filepath.Join(o.out, "sft"), model.LoadConfig{})
	if err != nil {
		return err
	}
	defer m.Close()
	trainer, err := rm.NewTrainer(m, rm.Config{Data: every{o.file("rm.jsonl"), 5, false}, Center: 0.01,
		Config: train.Config{LearningRate: 1e-3, Steps: o.steps, MicroBatch: 8, AdamW: train.AdamW{WeightDecay: 0.3}}})
	if err != nil {
		return err
	}
	if _, err := trainer.Run(ctx); err != nil {
		return err
	}
	report, err := rm.Evaluate(ctx, m, every{o.file("rm.jsonl"), 5, true}, data.EncodeConfig{})
	if err != nil {
		return err
	}
	fmt.Println("rm: held out:", report)
	return m.Save(filepath.Join(o.out, "reward"), model.SaveConfig{})
}

// optimising raises the tuned model's reward with an adapter, and saves out/ppo.
func optimising(ctx context.Context, o options) error {
	policy, adapter, err := adapted(ctx, o)
	if err != nil {
		return err
	}
	defer policy.Close()
	defer adapter.Close()
	judge, err := model.Load(ctx, filepath.Join(o.out, "reward"), model.LoadConfig{})
	if err != nil {
		return err
	}
	defer judge.Close()
	told := &rewardsTold{}
	trainer, err := ppo.NewTrainer(policy, ppo.Config{Data: o.file("sft_domain.jsonl"), Reward: rm.Reward(judge, data.EncodeConfig{}),
		Answers: 4, MaxTokens: 48, Iterations: 2, Unfinished: 1, Beta: 0.2,
		Config: train.Config{LearningRate: 5e-4, MicroBatch: 8, Steps: max(2, o.steps/5), Sinks: told.sinks()}})
	if err != nil {
		return err
	}
	if _, err := trainer.Run(ctx); err != nil {
		return err
	}
	first, last := told.ends()
	fmt.Printf("ppo: mean reward %.2f at first, %.2f at last\n", first, last)
	return adapter.Save(filepath.Join(o.out, "ppo"))
}

// preferring learns the pairs with an adapter, and saves out/dpo.
func preferring(ctx context.Context, o options) error {
	policy, adapter, err := adapted(ctx, o)
	if err != nil {
		return err
	}
	defer policy.Close()
	defer adapter.Close()
	told := &rewardsTold{}
	trainer, err := dpo.NewTrainer(policy, dpo.Config{Data: o.file("dpo.jsonl"),
		Config: train.Config{LearningRate: 5e-3, MicroBatch: 8, Steps: max(2, o.steps/5), EvalShare: 0.1, Sinks: told.sinks()}})
	if err != nil {
		return err
	}
	if _, err := trainer.Run(ctx); err != nil {
		return err
	}
	fmt.Printf("dpo: margin %.2f, accuracy %.2f on held-out pairs\n", told.held()["rewards/margins"], told.held()["rewards/accuracies"])
	return adapter.Save(filepath.Join(o.out, "dpo"))
}

// adapted is the tuned model with a fresh adapter.
func adapted(ctx context.Context, o options) (*model.Model, *lora.Adapter, error) {
	m, err := model.Load(ctx, filepath.Join(o.out, "sft"), model.LoadConfig{})
	if err != nil {
		return nil, nil, err
	}
	a, err := lora.Attach(m, lora.Config{Targets: []string{lora.AllLinear}})
	if err != nil {
		m.Close()
	}
	return m, a, err
}
