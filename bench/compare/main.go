// Command compare runs a stage of the SDK and of TRL at its best, or generation of the SDK and of transformers, on one workload in turn,
// and prints the ratio:
//
//	compare -python PEERS_PYTHON [-rounds 3] [-steps 6] [-default] [sft|dpo|rm|generate]
//
// The last line reads like: ratio 3.9 tokens/s (3.7–4.0), memory 0.14 of TRL at its best
//
// Run it on an idle machine: beside another busy process OpenMP programs can be ten times slower, and not equally so.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gofinetune/finetune/bench/peers"
)

// result is the line that both sides print.
type result struct {
	TokensPerSecond float64 `json:"tokens_per_s"`
	RowsPerSecond   float64 `json:"rows_per_s"`
	PeakGB          float64 `json:"peak_rss_gb"`
	FirstStep       float64 `json:"seconds_to_first_step"`
	TokensPerStep   float64 `json:"tokens_per_step"`
	IDs             [][]int32
	Log             []struct {
		Loss     float64 `json:"loss"`
		GradNorm float64 `json:"grad_norm"`
	} `json:"log"`
}

func main() {
	python := flag.String("python", os.Getenv("PEERS_PYTHON"), "Python that has torch, transformers, peft, trl and datasets")
	work := flag.String("work", filepath.Join("out", "bench"), "folder for the workload")
	rounds := flag.Int("rounds", 3, "runs of each side")
	steps := flag.Int("steps", 6, "optimizer steps a run")
	plain := flag.Bool("default", false, "TRL as a user finds it, instead of tuned and with its chunked loss")
	flag.Parse()
	var err error
	switch {
	case *python == "" || flag.NArg() > 1 || !slices.Contains([]string{"", "sft", "dpo", "rm", "generate"}, flag.Arg(0)):
		log.Fatal("usage: compare -python PATH [flags] [sft|dpo|rm|generate]   (or PEERS_PYTHON=PATH)")
	case flag.Arg(0) == "generate":
		err = generation(*python, *work, *rounds)
	default:
		err = run(*python, *work, cmp.Or(flag.Arg(0), "sft"), *rounds, *steps, *plain)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// side is what a stage is measured in, and how both sides are called.
type side struct {
	unit  string
	batch int // rows a step
	peer  []string
	best  []string // flags of the peer at its best
	rows  bool     // rows are counted, not tokens
}

var stages = map[string]side{
	"sft": {"tokens/s", 8, []string{"trl_run.py", "sft"}, []string{"--tuned", "--loss", "chunked_nll"}, false},
	"dpo": {"pairs/s", 4, []string{"trl_run.py", "dpo"}, []string{"--tuned"}, true},
	"rm":  {"rankings/s", 2, []string{"reward.py"}, []string{"--tuned"}, true},
}

func (s side) pace(r result) float64 {
	if s.rows {
		return r.RowsPerSecond
	}
	return r.TokensPerSecond
}

func run(python, work, stage string, rounds, steps int, plain bool) error {
	if err := workload(python, work); err != nil {
		return err
	}
	binary := filepath.Join(work, "stage")
	if _, err := peers.Output("go", "build", "-o", binary, "./bench/stage"); err != nil {
		return err
	}
	how := stages[stage]
	peer := append([]string{filepath.Join("bench", "peers", how.peer[0])}, how.peer[1:]...)
	peer = append(peer, work, "--steps", strconv.Itoa(steps), "--batch", strconv.Itoa(how.batch))
	name := "TRL"
	if !plain {
		peer, name = append(peer, how.best...), "TRL at its best"
	}
	var ratios, memory []float64
	for round := range rounds {
		theirs, err := measure(python, peer...)
		if err != nil {
			return err
		}
		ours, err := measure(binary, "-steps", strconv.Itoa(steps), "-batch", strconv.Itoa(how.batch), stage, work)
		if err != nil {
			return err
		}
		if err := sameCurve(ours, theirs); err != nil {
			return err
		}
		ratios = append(ratios, how.pace(ours)/how.pace(theirs))
		memory = append(memory, ours.PeakGB/theirs.PeakGB)
		fmt.Printf("round %d: %.4g %s in %.2f GB (first step after %.2f s)   %s: %.4g %s in %.2f GB (%.2f s)\n", round+1,
			how.pace(ours), how.unit, ours.PeakGB, ours.FirstStep, name, how.pace(theirs), how.unit, theirs.PeakGB, theirs.FirstStep)
	}
	slices.Sort(ratios)
	slices.Sort(memory)
	fmt.Printf("ratio %.1f %s (%.1f–%.1f), memory %.2f of %s\n", ratios[rounds/2], how.unit, ratios[0], ratios[rounds-1], memory[rounds/2], name)
	return nil
}

// workload makes what both sides run on, once.
func workload(python, work string) error {
	if _, err := os.Stat(filepath.Join(work, "adapter")); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "making the workload in", work)
	_, err := peers.Output(python, filepath.Join("bench", "peers", "workload.py"), work)
	return err
}

// Bounds on the curves: rounding through a few steps, and TRL's own rounding of what it logs.
const (
	lossTolerance = 5e-4
	normTolerance = 5e-3 // relative
)

// sameCurve holds the two runs' tokens, losses and gradient norms against each other: otherwise they did not do the same work.
func sameCurve(ours, theirs result) error {
	if ours.TokensPerStep != theirs.TokensPerStep || len(ours.Log) == 0 {
		return fmt.Errorf("the sides saw %g and %g tokens a step", ours.TokensPerStep, theirs.TokensPerStep)
	}
	for i := range min(len(ours.Log), len(theirs.Log)) {
		a, b := ours.Log[i], theirs.Log[i]
		if math.Abs(a.Loss-b.Loss) > lossTolerance || math.Abs(a.GradNorm-b.GradNorm) > normTolerance*math.Max(b.GradNorm, 0.01) {
			return fmt.Errorf("step %d: loss %g and %g, gradient norm %g and %g: the curves differ", i+1, a.Loss, b.Loss, a.GradNorm, b.GradNorm)
		}
	}
	return nil
}

// measure runs a program whose last line is its result.
func measure(name string, args ...string) (r result, err error) {
	out, err := peers.Output(name, args...)
	if err != nil {
		return r, err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
		return r, fmt.Errorf("%s: the last line is not a result: %w", name, err)
	}
	return r, nil
}
