package safetensors

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
)

// badCase is one entry of expectations.json.
type badCase struct {
	File     string
	Kind     string
	Verdict  string // accept, reject, either
	Class    Class
	AnyClass bool `json:"any_class"`
	Tensors  *int

	SHA256             string             `json:"sha256_written"` // of the undamaged bytes
	ManifestMustReject Class              `json:"manifest_must_reject"`
	ModelShapes        map[string][]int64 `json:"model_shapes"`
	ModelMustReject    Class              `json:"model_must_reject"`
	Missing            []string
	Unexpected         []string
}

func badCases(t testing.TB, kind string) []badCase {
	text, err := os.ReadFile(filepath.Join(testdata.BadInputs(t), "expectations.json"))
	require.NoError(t, err)
	var all struct{ Cases []badCase }
	require.NoError(t, json.Unmarshal(text, &all))
	var cases []badCase
	for _, c := range all.Cases {
		if c.Kind == kind {
			cases = append(cases, c)
		}
	}
	require.NotEmpty(t, cases, "no case of kind %q", kind)
	return cases
}

func TestBadInputsSafetensors(t *testing.T) {
	for _, c := range badCases(t, "safetensors") {
		t.Run(filepath.Base(c.File), func(t *testing.T) {
			path := filepath.Join(testdata.BadInputs(t), c.File)
			var f *File
			var err error
			bounded(t, path, func() { f, err = Open(path) })
			if !c.holds(t, err) {
				return
			}
			t.Cleanup(func() { assert.NoError(t, f.Close()) })
			if c.Tensors != nil {
				assert.Len(t, f.Names(), *c.Tensors)
			}
			c.checkDigest(t, path)
			c.checkModel(t, f)
		})
	}
}

func TestBadInputsIndex(t *testing.T) {
	for _, c := range badCases(t, "index") {
		t.Run(filepath.Base(filepath.Dir(c.File)), func(t *testing.T) {
			path := filepath.Join(testdata.BadInputs(t), c.File)
			var model *Checkpoint
			var err error
			bounded(t, path, func() { model, err = OpenModel(filepath.Dir(path)) })
			if c.Class == BadShardName {
				// Refused by the text alone: no file but the index was touched.
				text, readErr := os.ReadFile(path)
				require.NoError(t, readErr)
				_, bad := parseIndex(text)
				require.NotNil(t, bad)
				assert.Equal(t, BadShardName, bad.Class)
			}
			if !c.holds(t, err) {
				return
			}
			t.Cleanup(func() { assert.NoError(t, model.Close()) })
			if c.Tensors != nil {
				assert.Len(t, model.Names(), *c.Tensors)
			}
		})
	}
}

// holds checks the verdict, and reports whether the file was accepted.
func (c badCase) holds(t *testing.T, err error) bool {
	if err == nil {
		assert.NotEqual(t, "reject", c.Verdict, "accepted; must be refused")
		return true
	}
	t.Log(err)
	require.NotEqual(t, "accept", c.Verdict, "refused: %v", err)
	if c.Verdict == "reject" && !c.AnyClass {
		assert.ErrorIs(t, err, c.Class)
	}
	var one *Error
	var many *MismatchError
	require.True(t, errors.As(err, &one) || errors.As(err, &many), "an error of this package")
	assert.Contains(t, err.Error(), filepath.Base(filepath.Dir(c.File)), "the error names the file")
	return false
}

// checkDigest wants the damage that only a digest shows to be found by it.
func (c badCase) checkDigest(t *testing.T, path string) {
	if c.SHA256 != "" {
		assert.ErrorIs(t, VerifySHA256(path, c.SHA256), c.ManifestMustReject)
	}
}

// checkModel wants a file that is another model's to be refused by the model, with all differences named.
func (c badCase) checkModel(t *testing.T, f *File) {
	if c.ModelMustReject != "" {
		err := Check(f.Path(), f, wants(c.ModelShapes), nil)
		t.Log(err)
		assert.ErrorIs(t, err, c.ModelMustReject)
	}
	if len(c.Missing)+len(c.Unexpected) > 0 {
		var bad *MismatchError
		require.ErrorAs(t, Check(f.Path(), f, c.renamed(f), nil), &bad)
		got := map[Class][]string{}
		for _, m := range bad.Mismatches {
			got[m.Class] = append(got[m.Class], m.Tensor)
		}
		assert.Equal(t, map[Class][]string{MissingTensor: c.Missing, UnexpectedTensor: c.Unexpected}, got)
	}
}

// renamed is the model that the file was written from: its own tensors, with the missing ones for the unexpected.
func (c badCase) renamed(f *File) map[string]Want {
	shapes := map[string][]int64{}
	for _, name := range f.Names() {
		tensor, _ := f.Tensor(name)
		shapes[name] = tensor.Shape
	}
	for _, name := range c.Unexpected {
		delete(shapes, name)
	}
	for _, name := range c.Missing {
		shapes[name] = []int64{1}
	}
	return wants(shapes)
}

func wants(shapes map[string][]int64) map[string]Want {
	w := map[string]Want{}
	for name, shape := range shapes {
		w[name] = Want{Shape: shape}
	}
	return w
}

// bounded fails when f takes 2 seconds, or allocates more than 16 times the file plus 64 MB.
func bounded(t *testing.T, path string, f func()) {
	info, err := os.Stat(path)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	assert.Less(t, took, 2*time.Second)
	assert.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(16*info.Size()+64<<20), "bytes allocated")
}
