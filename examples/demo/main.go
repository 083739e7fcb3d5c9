// Command demo teaches a small model something new and shows that it learned it: the whole path, from text to a merged checkpoint.
//
//	go run ./examples/demo [-base checkpoint] [-out folder]
//
// Without -base it first makes the model: a tokenizer, and a few million weights trained on simple questions (base.go).
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

// options are the command line.
type options struct {
	base, out, data string
	seed            uint64
	steps           int // optimizer steps of LoRA
	held            int // questions asked before and after, and not learned from
	show            int // of them printed
	rate            float64
	network         network // made where base is ""
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("demo: ")
	o := options{network: small}
	flag.StringVar(&o.base, "base", "", "checkpoint `folder` to start from; none makes a small one")
	flag.StringVar(&o.out, "out", filepath.Join("out", "demo"), "`folder` for what is made")
	flag.StringVar(&o.data, "data", samples(), "`folder` with sft_general.jsonl and sft_domain.jsonl")
	flag.Uint64Var(&o.seed, "seed", 1, "of the weights, the order of the records and the choice of the questions")
	flag.IntVar(&o.steps, "steps", 300, "optimizer steps of LoRA")
	flag.IntVar(&o.held, "held", 32, "questions held out, to be asked before and after")
	flag.IntVar(&o.show, "show", 6, "of these printed")
	flag.Float64Var(&o.rate, "rate", 0, "learning rate of LoRA; 0 takes 5e-3 for the small base and 2e-4 for yours")
	flag.IntVar(&o.network.steps, "base-steps", small.steps, "optimizer steps that make the small base")
	flag.IntVar(&o.network.hidden, "base-hidden", small.hidden, "width of the small base")
	flag.Float64Var(&o.network.rate, "base-rate", small.rate, "learning rate of the small base")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the first Ctrl-C ends the step in hand and saves, the second ends the process
	if err := run(ctx, o, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// samples is the folder data beside this file.
func samples() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "data")
}

func run(ctx context.Context, o options, w io.Writer) error {
	began := time.Now()
	if o.rate == 0 {
		o.rate = 2e-4 // a grown model's
		if o.base == "" {
			o.rate = 5e-3
		}
	}
	if o.base == "" {
		o.base = filepath.Join(o.out, "base")
		if err := makeBase(ctx, o); err != nil {
			return err
		}
	}
	lm, err := model.Load(ctx, o.base, model.LoadConfig{})
	if err != nil {
		return err
	}
	defer lm.Close()
	learned, held, err := split(filepath.Join(o.data, "sft_domain.jsonl"), o.held, o.seed)
	if err != nil {
		return err
	}
	before, err := ask(ctx, lm, held)
	if err != nil {
		return err
	}

	adapter, err := lora.Attach(lm, lora.Config{Rank: 16, Targets: []string{lora.AllLinear}, Seed: o.seed})
	if err != nil {
		return err
	}
	defer adapter.Close()
	recorder := &observe.Recorder{}
	trainer, err := sft.NewTrainer(lm, sft.Config{
		Data: learned, Eval: held, Encode: data.EncodeConfig{Template: "chatml"},
		Config: train.Config{
			LearningRate: o.rate, Schedule: schedule.Config{Name: schedule.Cosine, WarmupSteps: o.steps / 20},
			MicroBatch: 8, Steps: o.steps, EvalEvery: max(1, o.steps/5), Seed: o.seed,
			Output: o.out, Sinks: []observe.Sink{observe.NewTerminal(os.Stderr), recorder},
		},
	})
	if err != nil {
		return err
	}
	result, err := trainer.Run(ctx)
	if err != nil {
		return err
	}
	after, err := ask(ctx, lm, held)
	if err != nil {
		return err
	}

	if err := adapter.Save(filepath.Join(o.out, "adapter")); err != nil {
		return err
	}
	if err := adapter.Merge(); err != nil {
		return err
	}
	if err := lm.Save(filepath.Join(o.out, "merged"), model.SaveConfig{}); err != nil {
		return err
	}
	r := report{o, held, before, after, recorder.Losses()[0], result, adapter.Report(), time.Since(began)}
	r.print(w)
	return nil
}
