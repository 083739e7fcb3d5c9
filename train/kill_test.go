package train_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// childOutput, in the environment, makes the test binary train into that folder instead of testing.
const childOutput = "FINETUNE_TEST_TRAIN_INTO"

// killed is a run that takes a second or two and saves at every step.
func killed(out string) setting {
	s := shuffled()
	s.config.Epochs, s.config.Output, s.config.SaveEvery, s.config.KeepLast, s.config.Resume = 30, out, 1, 3, "auto"
	return s
}

// TestChildTrains is the child of TestKilledAtAnyMoment.
func TestChildTrains(t *testing.T) {
	out := os.Getenv(childOutput)
	if out == "" {
		t.Skip("only as the child of TestKilledAtAnyMoment")
	}
	o := killed(out).run(t, context.Background())
	require.NoError(t, o.err)
}

// A process that is killed, at whatever moment, leaves a folder from which the next goes on, to the same weights bit for bit.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some processes")
	}
	whole := killed(t.TempDir())
	want := whole.run(t, context.Background())
	require.NoError(t, want.err)
	out := t.TempDir()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills, unfinished := 0, 0
	for finished := false; !finished && kills < 50; kills++ {
		before, _ := listed(out)
		child := exec.Command(os.Args[0], "-test.run=^TestChildTrains$", "-test.v")
		child.Env = append(os.Environ(), childOutput+"="+out)
		var said bytes.Buffer
		child.Stdout, child.Stderr = &said, &said
		require.NoError(t, child.Start())
		done := make(chan error, 1)
		go func() { done <- child.Wait() }()
		// It is killed a moment after it has got on by a checkpoint, so that there is progress however slow the machine is.
		for waiting := true; waiting; {
			select {
			case err := <-done:
				require.NoError(t, err, said.String())
				finished, waiting = true, false
			case <-time.After(5 * time.Millisecond):
				if now, _ := listed(out); now != before {
					waiting = false
				}
			}
		}
		if finished {
			break
		}
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
		_ = child.Process.Kill() // it may have finished meanwhile
		<-done
		half, err := filepath.Glob(filepath.Join(out, "checkpoints", "*.tmp"))
		require.NoError(t, err)
		unfinished += len(half)
	}
	t.Logf("killed %d times; %d unfinished checkpoints were found", kills, unfinished)
	assert.Equal(t, weightsFile(t, want.result.Checkpoint), weightsFile(t, filepath.Join(out, "checkpoints", filepath.Base(want.result.Checkpoint))))
	assert.Equal(t, 60, want.result.Steps)
}

func listed(out string) (newest string, err error) {
	found, err := filepath.Glob(filepath.Join(out, "checkpoints", "step-????????"))
	if len(found) == 0 {
		return "", err
	}
	return found[len(found)-1], err
}

func weightsFile(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "weights.safetensors"))
	require.NoError(t, err)
	return data
}
