package pretrain_test

import (
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/fixture"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/mixer"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/pretrain"
	"github.com/gofinetune/finetune/train"
	"github.com/gofinetune/finetune/train/observe"
)

func newModel(t *testing.T) *model.Model {
	t.Helper()
	return fixture.Model(t, fixture.Shape{Vocabulary: 400, Hidden: 64, Context: 128}, func(yield func(string) bool) {
		for d, err := range (data.File{Path: filepath.Join(testdata.Data(t), "pt.jsonl")}).Documents() {
			require.NoError(t, err)
			if !yield(d.Text) {
				return
			}
		}
	})
}

// only is the documents of one source of a file.
type only struct {
	data.File
	source string
}

func (o only) Documents() iter.Seq2[data.Document, error] {
	return func(yield func(data.Document, error) bool) {
		for d, err := range o.File.Documents() {
			if (err != nil || d.Source == o.source) && !yield(d, err) {
				return
			}
		}
	}
}

func sourcesOf(t *testing.T, path string) (names []string) {
	t.Helper()
	seen := map[string]bool{}
	for d, err := range (data.File{Path: path}).Documents() {
		require.NoError(t, err)
		if !seen[d.Source] {
			seen[d.Source], names = true, append(names, d.Source)
		}
	}
	return names
}

func TestDataTextsAreLearned(t *testing.T) {
	root := testdata.Data(t)
	path := filepath.Join(root, "pt.jsonl")
	names := sourcesOf(t, path)
	require.Greater(t, len(names), 1)
	var sources []pretrain.Source
	for _, name := range names {
		sources = append(sources, pretrain.Source{Name: name, Ratio: 1, Texts: only{data.File{Path: path}, name}})
	}
	sources = append(sources,
		pretrain.Source{Name: "tasks", Ratio: 1, Instructions: data.File{Path: filepath.Join(root, "sft_domain.jsonl")}},
		pretrain.Source{Name: "plain tasks", Ratio: 1, Plain: true, Instructions: data.File{Path: filepath.Join(root, "sft_general.jsonl")}})
	run := func(cache string) ([]observe.Event, *pretrain.Trainer) {
		recorder := &observe.Recorder{}
		trainer, err := pretrain.NewTrainer(newModel(t), pretrain.Config{Sources: sources, RowLength: 64, Cache: cache,
			Mix:     mixer.Config{Exhausted: mixer.Cover, Budget: 10000},
			General: data.File{Path: filepath.Join(root, "pt.txt")}, Forgetting: 0.1,
			Config: train.Config{LearningRate: 3e-3, MaxTokens: 512, EvalShare: 0.1, EvalEvery: 0, Seed: 5, Sinks: []observe.Sink{recorder}}})
		require.NoError(t, err)
		result, err := trainer.Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, result.Ledger.Read, result.Ledger.Kept)
		return recorder.Events(), trainer
	}
	events, trainer := run("")
	_, steps := observe.All[observe.Step](events)
	last := steps[len(steps)-1]
	assert.Less(t, last.Loss, steps[0].Loss*0.9)
	seen := map[string]bool{}
	for _, s := range steps {
		for name := range s.Metrics {
			seen[name] = true
		}
	}
	for _, s := range sources {
		assert.True(t, seen["loss/"+s.Name], "the loss of %s is told apart", s.Name)
	}
	for _, s := range trainer.Mixture().Sources {
		assert.InDelta(t, 0.2, s.Achieved, 0.02, s.Name)
	}
	_, evaluations := observe.All[observe.Evaluation](events)
	assert.Equal(t, "general", evaluations[0].Name, "before the first step")
	assert.Less(t, evaluations[len(evaluations)-1].Loss, evaluations[0].Loss)

	// From a cache, filled by one run and used by the next, come the same numbers.
	cache := t.TempDir()
	for range 2 {
		again, _ := run(cache)
		_, same := observe.All[observe.Step](again)
		require.Len(t, same, len(steps))
		assert.Equal(t, last.Loss, same[len(same)-1].Loss)
	}
}

// A run that is taken up again ends with the same bits, mixture and rows included.
func TestResumedIsUninterrupted(t *testing.T) {
	root := testdata.Data(t)
	run := func(out, resume string) string {
		m := newModel(t)
		trainer, err := pretrain.NewTrainer(m, pretrain.Config{RowLength: 48, Mix: mixer.Config{Exhausted: mixer.Cover, Budget: 3000, Epochs: 2},
			Sources: []pretrain.Source{{Name: "texts", Ratio: 2, Texts: data.File{Path: filepath.Join(root, "pt.jsonl")}},
				{Name: "tasks", Ratio: 1, Instructions: data.File{Path: filepath.Join(root, "sft_domain.jsonl")}}},
			Config: train.Config{LearningRate: 1e-3, MaxTokens: 256, Seed: 4, Output: out, SaveEvery: 5, KeepLast: train.Off, Resume: resume}})
		require.NoError(t, err)
		result, err := trainer.Run(t.Context())
		require.NoError(t, err)
		require.Greater(t, result.Steps, 15)
		sum, err := m.Checksum()
		require.NoError(t, err)
		return sum
	}
	out := t.TempDir()
	want := run(out, "")
	for _, step := range []string{"step-00000005", "step-00000015"} { // within the first epoch, and in the second
		assert.Equal(t, want, run(t.TempDir(), filepath.Join(out, "checkpoints", step)), step)
	}
}

// What a model of one language forgets while it learns another is told.
func TestForgettingIsTold(t *testing.T) {
	m := newModel(t)
	dir := t.TempDir()
	english, chinese := filepath.Join(dir, "en.txt"), filepath.Join(dir, "zh.txt")
	require.NoError(t, os.WriteFile(english, []byte("the router is slow and the printer is out of paper\n\nplease restart the router now\n"), 0o666))
	require.NoError(t, os.WriteFile(chinese, []byte("路由器很慢，请先重启设备。\n\n打印机卡纸，请先清理卡纸。\n"), 0o666))
	run := func(learn, watch string, steps int) []observe.Event {
		recorder := &observe.Recorder{}
		trainer, err := pretrain.NewTrainer(m, pretrain.Config{Sources: []pretrain.Source{{Name: "a", Texts: data.File{Path: learn}}},
			General: data.File{Path: watch}, Config: train.Config{LearningRate: 3e-3, Steps: steps, Sinks: []observe.Sink{recorder}}})
		require.NoError(t, err)
		_, err = trainer.Run(t.Context())
		require.NoError(t, err)
		return recorder.Events()
	}
	run(english, english, 60)
	_, warnings := observe.All[observe.Warning](run(chinese, english, 60))
	require.NotEmpty(t, warnings)
	assert.Equal(t, "forgetting", warnings[len(warnings)-1].Class)
}

func TestWhatIsRefused(t *testing.T) {
	file := data.File{Path: "x.txt"}
	_, err := pretrain.NewTrainer(newModel(t), pretrain.Config{RowLength: 1, Train: "some", Sources: []pretrain.Source{
		{Name: "a", Texts: file, Instructions: file}, {Name: "a", Texts: file, Ratio: -1}, {}}})
	for _, want := range []string{"one of Texts and Instructions", `Sources[1].Name is "a"`, "Ratio -1", "Sources[2].Name", "RowLength is 1", `Train is "some"`} {
		assert.ErrorContains(t, err, want)
	}
}
