// Command stage runs a stage on a workload of bench/peers/workload.py and prints one JSON line with what it measured, in the
// fields of bench/peers/trl_run.py: stage [flags] sft|dpo|rm WORKLOAD
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/dpo"
	"github.com/gofinetune/finetune/lora"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/rm"
	"github.com/gofinetune/finetune/sft"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
	"github.com/gofinetune/finetune/train/schedule"
)

func main() {
	steps := flag.Int("steps", 6, "optimizer steps")
	batch := flag.Int("batch", 8, "records a step")
	full := flag.Bool("full", false, "train every weight instead of the adapter")
	dtype := flag.String("dtype", "float32", "type to compute in")
	profile := flag.String("cpuprofile", "", "file for a CPU profile")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: stage [flags] sft|dpo|rm WORKLOAD")
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		_ = pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	if err := run(flag.Arg(0), flag.Arg(1), *steps, *batch, *full, *dtype); err != nil {
		log.Fatal(err)
	}
}

// trainer is what every stage has.
type trainer interface {
	Run(ctx context.Context) (train.Result, error)
}

// newTrainer makes the stage's trainer with the peer's settings.
func newTrainer(stage, workload string, lm *model.Model, c train.Config) (trainer, error) {
	file := data.File{Path: filepath.Join(workload, stage+".jsonl")}
	switch stage {
	case "sft":
		c.LearningRate = 5e-5
		return sft.NewTrainer(lm, sft.Config{Data: file, Config: c})
	case "dpo":
		c.LearningRate = 5e-6
		return dpo.NewTrainer(lm, dpo.Config{Data: file, Config: c})
	case "rm":
		c.LearningRate = 1e-4
		return rm.NewTrainer(lm, rm.Config{Data: file, Config: c})
	}
	return nil, fmt.Errorf("stage %q; want sft, dpo or rm", stage)
}

func run(stage, workload string, steps, batch int, full bool, dtype string) error {
	ctx, began := context.Background(), time.Now()
	folder, start := "model", "adapter"
	if stage == "rm" {
		folder, start = "reward", "reward_adapter"
	}
	lm, err := model.Load(ctx, filepath.Join(workload, folder), model.LoadConfig{DType: dtype})
	if err != nil {
		return err
	}
	defer lm.Close()
	if !full {
		adapter, err := lora.Load(lm, filepath.Join(workload, start))
		if err != nil {
			return err
		}
		defer adapter.Close()
	}
	recorder := &observe.Recorder{}
	trainer, err := newTrainer(stage, workload, lm, train.Config{Schedule: schedule.Config{Name: schedule.Constant}, MicroBatch: batch,
		Steps: steps, InOrder: true, Sinks: []observe.Sink{recorder}})
	if err != nil {
		return err
	}
	base := peakGB()
	if _, err := trainer.Run(ctx); err != nil {
		return err
	}
	return report(stage, recorder, base, began, full, dtype)
}

type line struct {
	Loss         float64 `json:"loss"`
	GradNorm     float64 `json:"grad_norm"`
	LearningRate float64 `json:"learning_rate"`
}

// report leaves the first step out of the pace, as the peer's script does.
func report(stage string, recorder *observe.Recorder, base float64, began time.Time, full bool, dtype string) error {
	_, steps := observe.All[observe.Step](recorder.Events())
	var seconds, tokens, rows float64
	var lines []line
	for i, s := range steps {
		tokens += float64(s.Tokens)
		if i > 0 {
			seconds += s.Duration.Seconds()
			rows += float64(s.Samples)
		}
		lines = append(lines, line{s.Loss, s.GradNorm, s.LearningRate})
	}
	perStep := seconds / float64(len(steps)-1)
	tokensPerStep := tokens / float64(len(steps))
	first := time.Duration(0)
	for _, e := range recorder.Events() {
		if e.Step == 1 && first == 0 {
			first = e.Time.Sub(began)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"stage": stage, "dtype": dtype, "full": full, "steps": len(steps), "tokens_per_step": tokensPerStep,
		"tokens_per_s": tokensPerStep / perStep, "rows_per_s": rows / seconds, "seconds_to_first_step": first.Seconds(),
		"base_rss_gb": base, "peak_rss_gb": peakGB(), "log": lines,
	})
}

// peakGB is the largest resident size of the process so far, in 10⁹ bytes.
func peakGB() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return float64(usage.Maxrss) / 1e6
}
