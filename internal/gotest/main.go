// Command gotest runs `go test`, prints what it prints, and ends with a line that counts:
//
//	go run ./internal/gotest "./..." "-tags torchcheck ./model ./lora"
//	…
//	test: 412 passed, 9 skipped (7 not yet supported), 0 failed; with -tags torchcheck: 60 passed, 0 skipped, 0 failed
//
// Each argument is one run of go test with these arguments. Before the last line it lists what was skipped, and why. A run that
// is silent for long says on standard error what it is waiting for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, `usage: gotest "ARGUMENTS OF go test" …`)
		os.Exit(2)
	}
	ok, err := runAll(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// runAll makes the runs one after the other, and prints the last line whatever happens in them.
func runAll(ctx context.Context, runs []string, out io.Writer) (ok bool, err error) {
	var lines []string
	ok = true
	for _, arguments := range runs {
		r := newReport(out)
		if err := run(ctx, strings.Fields(arguments), r); err != nil {
			return false, err
		}
		r.listSkipped()
		lines = append(lines, label(arguments)+r.counts())
		ok = ok && r.failures() == 0
	}
	fmt.Fprintln(out, "test: "+strings.Join(lines, "; "))
	return ok, nil
}

// label tells runs apart by their build tags.
func label(arguments string) string {
	fields := strings.Fields(arguments)
	for i, f := range fields {
		if f == "-tags" && i+1 < len(fields) {
			return "with -tags " + fields[i+1] + ": "
		}
	}
	return ""
}

const (
	silence = 30 * time.Second // without a line of output, until gotest says what it waits for
	pulse   = 5 * time.Second
)

// run is one go test. Tests that fail are in the report; the error is about go test itself.
func run(ctx context.Context, arguments []string, r *report) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, arguments...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test then stops its tests
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { watch(r, done) })
	readErr := read(events, r)
	waitErr := cmd.Wait()
	close(done)
	watching.Wait()
	r.finish()
	var exit *exec.ExitError
	switch {
	case context.Cause(ctx) != nil:
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	case readErr != nil:
		return fmt.Errorf("go test %s: %w", strings.Join(arguments, " "), readErr)
	case errors.As(waitErr, &exit) && r.failures() > 0:
		return nil // and the report says which
	case waitErr != nil:
		return fmt.Errorf("go test %s: %w", strings.Join(arguments, " "), waitErr)
	case r.packages == 0:
		return fmt.Errorf("go test %s: no package was tested", strings.Join(arguments, " "))
	}
	return nil
}

// read hands over events, one JSON object a line. What is not one is printed as it stands.
func read(from io.Reader, r *report) error {
	d := json.NewDecoder(from)
	for {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r.add(e)
	}
}

func watch(r *report, done <-chan struct{}) {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if waiting := r.waiting(silence); waiting != "" {
				fmt.Fprintf(os.Stderr, "… %s: %s\n", time.Since(began).Round(time.Second), waiting)
			}
		}
	}
}
