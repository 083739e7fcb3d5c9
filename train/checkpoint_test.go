package train_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
)

func damage(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[(at+int64(len(data)))%int64(len(data))] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o666))
}

// A damaged newest checkpoint is passed over for the one before it, loudly, and replaced when the run gets there again.
func TestADamagedCheckpointIsPassedOver(t *testing.T) {
	for _, file := range []string{"weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"} {
		t.Run(file, func(t *testing.T) {
			out := t.TempDir()
			s := saving(out)
			s.config.KeepLast = 2
			whole := s.run(t, context.Background())
			require.NoError(t, whole.err)
			damage(t, filepath.Join(step(out, 6), file), -3)

			direct := s
			direct.config.Output, direct.config.Resume = "", step(out, 6)
			refused := direct.run(t, context.Background())
			assert.ErrorIs(t, refused.err, train.ErrDamaged)
			assert.ErrorContains(t, refused.err, file)

			s.config.Resume = "auto"
			again := s.run(t, context.Background())
			require.NoError(t, again.err)
			require.Len(t, again.warnings(), 1)
			assert.Equal(t, "damaged_checkpoint", again.warnings()[0].Class)
			assert.Contains(t, again.warnings()[0].Text, file)
			assert.Contains(t, again.warnings()[0].Text, "resuming from step-00000005")
			assert.Equal(t, whole.numbers()[5:], again.numbers())
			assert.Equal(t, whole.weights, again.weights)
			assert.Equal(t, []string{"step-00000005", "step-00000006"}, folders(t, out))

			third := s.run(t, context.Background())
			require.NoError(t, third.err)
			assert.Empty(t, third.warnings(), "the damaged one was replaced")
			assert.Empty(t, third.steps)
		})
	}
}

func TestAllCheckpointsDamagedIsForTheUserToDecide(t *testing.T) {
	out := t.TempDir()
	s := saving(out)
	s.config.KeepLast = 2
	require.NoError(t, s.run(t, context.Background()).err)
	damage(t, filepath.Join(step(out, 5), "weights.safetensors"), -1)
	require.NoError(t, os.Remove(filepath.Join(step(out, 6), "manifest.json")))
	s.config.Resume = "auto"
	o := s.run(t, context.Background())
	assert.ErrorIs(t, o.err, train.ErrDamaged)
	assert.ErrorContains(t, o.err, "weights.safetensors")
	assert.ErrorContains(t, o.err, "manifest.json is missing")
	assert.Len(t, folders(t, out), 2, "nothing is removed")
}

// A changed config is not damage: falling back would only hide it.
func TestAChangedConfigIsNotPassedOver(t *testing.T) {
	out := t.TempDir()
	s := saving(out)
	require.NoError(t, s.run(t, context.Background()).err)
	s.config.Resume, s.config.Seed = "auto", 8
	assert.ErrorContains(t, s.run(t, context.Background()).err, "Seed was 7 and is 8")
}

func TestUnfinishedCheckpointsAreRemovedAtTheStart(t *testing.T) {
	out := t.TempDir()
	for _, name := range []string{"step-00000009.tmp", "step-00000002.old.tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(out, "checkpoints", name), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(out, "checkpoints", name, "weights.safetensors"), []byte("half"), 0o666))
	}
	s := saving(out)
	s.config.Resume = "auto"
	o := s.run(t, context.Background())
	require.NoError(t, o.err)
	assert.Len(t, o.steps, 6, "they are nothing to resume from")
	require.Len(t, o.warnings(), 2)
	assert.Equal(t, "unfinished_checkpoint", o.warnings()[0].Class)
	assert.Len(t, folders(t, out), 6)
}

func TestOnlyTheLastCheckpointsAreKept(t *testing.T) {
	for keep, want := range map[int][]string{
		1: {"step-00000006"},
		0: {"step-00000005", "step-00000006"}, // the default
		3: {"step-00000004", "step-00000005", "step-00000006"},
	} {
		out := t.TempDir()
		s := saving(out)
		s.config.KeepLast = keep
		busy := filepath.Join(out, "checkpoints", "step-00000001.tmp")
		s.wrap = before(func(call int) { // some other program's, while the run is going
			require.NoError(t, os.MkdirAll(busy, 0o777))
		})
		o := s.run(t, context.Background())
		require.NoError(t, o.err)
		assert.Equal(t, append([]string{"step-00000001.tmp"}, want...), append([]string{"step-00000001.tmp"}, without(folders(t, out), "step-00000001.tmp")...))
		_, events := observe.All[observe.Checkpoint](o.events)
		assert.Len(t, events, 6)
		assert.Positive(t, events[5].Bytes)
	}
}

func without(list []string, name string) (rest []string) {
	for _, x := range list {
		if x != name {
			rest = append(rest, x)
		}
	}
	return rest
}

func TestNoCheckpointsWhenOff(t *testing.T) {
	out := t.TempDir()
	s := saving(out)
	s.config.SaveEvery = train.Off
	o := s.run(t, context.Background())
	require.NoError(t, o.err)
	assert.NoDirExists(t, filepath.Join(out, "checkpoints"))
	assert.FileExists(t, filepath.Join(out, "metrics.jsonl"))
}

// The best are kept beside the last, and a new best is saved when it is found.
func TestTheBestAreKept(t *testing.T) {
	out := t.TempDir()
	s := saving(out)
	s.held = newSamples(6, 99)
	s.config.Epochs, s.config.SaveEvery, s.config.EvalEvery, s.config.KeepLast, s.config.KeepBest = 20, 0, 1, 1, 2
	s.config.LearningRate = 0.05 // it learns by heart soon: the loss on other samples falls, and rises
	o := s.run(t, context.Background())
	require.NoError(t, o.err)
	_, evaluations := observe.All[observe.Evaluation](o.events)
	steps, _ := observe.All[observe.Evaluation](o.events)
	type judged struct {
		step int
		loss float64
	}
	var improving []judged // what was saved: new bests, and the last
	lowest := math.Inf(1)
	for i, e := range evaluations {
		if e.Loss < lowest || i == len(evaluations)-1 {
			lowest = math.Min(lowest, e.Loss)
			improving = append(improving, judged{steps[i], e.Loss})
		}
	}
	last := improving[len(improving)-1].step
	slices.SortFunc(improving, func(a, b judged) int { return cmp.Compare(a.loss, b.loss) })
	want := []string{}
	for _, step := range []int{improving[0].step, improving[1].step, last} {
		want = append(want, fmt.Sprintf("step-%08d", step))
	}
	slices.Sort(want)
	assert.Equal(t, slices.Compact(want), folders(t, out))
	assert.NotEqual(t, last, improving[0].step, "the last is not the best")
}

// The disk may be full at one save and not at the next: the run goes on, and says so at once and at the end.
func TestASaveThatFailsDoesNotEndTheRun(t *testing.T) {
	out := t.TempDir()
	folder := filepath.Join(out, "checkpoints")
	s := saving(out)
	s.wrap = before(func(call int) {
		switch call {
		case 3: // in step 2, once the checkpoint of step 1, which is written meanwhile, is in place
			require.Eventually(t, func() bool { return len(folders(t, out)) == 1 }, 10*time.Second, time.Millisecond)
			time.Sleep(100 * time.Millisecond) // for what its writer still does
			require.NoError(t, errors.Join(os.RemoveAll(folder), os.WriteFile(folder, []byte("a file in the way"), 0o666)))
		case 5: // in step 3, when the save of step 2 has failed
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, os.Remove(folder))
		}
	})
	o := s.run(t, context.Background())
	assert.Len(t, o.steps, 6)
	assert.ErrorContains(t, o.err, "checkpoint after step 2")
	require.Len(t, o.warnings(), 1)
	assert.Equal(t, "checkpoint_failed", o.warnings()[0].Class)
	assert.Equal(t, []string{"step-00000003", "step-00000004", "step-00000005", "step-00000006"}, folders(t, out))
	assert.Equal(t, shuffledRates(t), o.weights, "the training is the same")
}

func shuffledRates(t *testing.T) map[string][]float32 {
	return saving(t.TempDir()).run(t, context.Background()).weights
}

func TestAnOutputThatCannotBeWrittenIsFoundAtTheStart(t *testing.T) {
	out := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(out, nil, 0o666))
	s := saving(out)
	o := s.run(t, context.Background())
	assert.ErrorContains(t, o.err, out)
	assert.Empty(t, o.steps)
}

func TestACheckpointsFolderMayBeALink(t *testing.T) {
	out, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(out, "checkpoints")))
	s := saving(out)
	s.config.KeepLast = 1
	require.NoError(t, s.run(t, context.Background()).err)
	assert.DirExists(t, filepath.Join(elsewhere, "step-00000006"))
}
