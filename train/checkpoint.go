package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// A checkpoint is a folder Output/checkpoints/step-00000123:
//
//	manifest.json           format version, step, and size and SHA-256 of every other file; written last
//	state.json              where the run is, and the config in force
//	weights.safetensors     the trained weights under their names
//	optimizer.safetensors   their moments: m.NAME and v.NAME
//
// It is written under a temporary name, synced and renamed, so a folder of that name is whole.
const (
	checkpointFormat = 1
	manifestName     = "manifest.json"
	stateName        = "state.json"
	weightsName      = "weights.safetensors"
	momentsName      = "optimizer.safetensors"
	temporarySuffix  = ".tmp"
)

// state is where a run is. Dropout and the order of samples are functions of the seed and of this.
type state struct {
	Step   int         `json:"step"` // optimizer steps done
	Cursor data.Cursor `json:"cursor"`
}

type stateFile struct {
	state
	Steps  int    `json:"steps"` // planned
	Config Config `json:"config"`
}

type manifest struct {
	Format int                     `json:"format"`
	Step   int                     `json:"step"`
	Files  map[string]manifestFile `json:"files"`
}

type manifestFile struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (e *Engine) checkpoints() string { return filepath.Join(e.config.Output, "checkpoints") }

// save writes a checkpoint of the state in hand, if there is a folder for it, and removes the oldest beyond KeepLast.
func (e *Engine) save(reason string) error {
	if e.config.Output == "" || e.config.SaveEvery == Off {
		return nil
	}
	began := time.Now()
	final := filepath.Join(e.checkpoints(), fmt.Sprintf("step-%08d", e.state.Step))
	size, err := e.write(final)
	if err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", e.state.Step, err)
	}
	e.result.Checkpoint = final
	e.stream.Emit(e.state.Step, observe.Checkpoint{Path: final, Bytes: size, Duration: time.Since(began), Reason: reason})
	return e.prune()
}

func (e *Engine) write(final string) (size int64, err error) {
	if _, err := os.Stat(final); err == nil {
		return 0, nil // this step is saved: a finished run was resumed
	}
	dir := final + temporarySuffix
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	m := manifest{Format: checkpointFormat, Step: e.state.Step, Files: map[string]manifestFile{}}
	weights, moments := e.sources()
	for name, sources := range map[string][]safetensors.Source{weightsName: weights, momentsName: moments} {
		w, err := safetensors.WriteSources(filepath.Join(dir, name), sources, safetensors.Options{Hash: sha256.New})
		if err != nil {
			return 0, err
		}
		m.Files[name] = manifestFile{Size: w.Size, SHA256: hex.EncodeToString(w.Digest)}
		size += w.Size
	}
	text, err := writeSynced(filepath.Join(dir, stateName), stateFile{state: e.state, Steps: e.steps, Config: e.config})
	if err != nil {
		return 0, err
	}
	m.Files[stateName] = text
	if _, err := writeSynced(filepath.Join(dir, manifestName), m); err != nil {
		return 0, err
	}
	if err := syncDir(dir); err != nil {
		return 0, err
	}
	if err := os.Rename(dir, final); err != nil {
		return 0, err
	}
	return size, syncDir(filepath.Dir(final))
}

// sources are the tensors of a checkpoint, in the precision they are held in.
func (e *Engine) sources() (weights, moments []safetensors.Source) {
	for i, p := range e.params {
		weights = append(weights, model.TensorSource(p.Name, p.Tensor, p.Shape, p.Tensor.DType()))
		moments = append(moments, model.TensorSource("m."+p.Name, e.optimizer.m[i], p.Shape, e.optimizer.m[i].DType()),
			model.TensorSource("v."+p.Name, e.optimizer.v[i], p.Shape, e.optimizer.v[i].DType()))
	}
	return weights, moments
}

// prune removes the oldest checkpoints beyond KeepLast.
func (e *Engine) prune() error {
	found, err := listCheckpoints(e.checkpoints())
	if err != nil || e.config.KeepLast == Off {
		return err
	}
	for len(found) > e.config.KeepLast {
		if err := os.RemoveAll(found[0]); err != nil {
			return err
		}
		found = found[1:]
	}
	return nil
}

// listCheckpoints lists whole checkpoints, oldest step first. Unfinished ones have another name.
func listCheckpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var found []string
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), "step-")
		if _, err := strconv.Atoi(number); ok && err == nil {
			found = append(found, filepath.Join(dir, entry.Name()))
		}
	}
	slices.Sort(found)
	return found, err
}

// resume reads the checkpoint that the config asks for into the weights, the optimizer and the state.
func (e *Engine) resume() error {
	dir := e.config.Resume
	if dir == "auto" {
		found, err := listCheckpoints(e.checkpoints())
		if err != nil || len(found) == 0 {
			return err
		}
		dir = found[len(found)-1]
	}
	if dir == "" {
		return nil
	}
	if err := e.read(dir); err != nil {
		return fmt.Errorf("resuming from %s: %w", dir, err)
	}
	return nil
}

func (e *Engine) read(dir string) error {
	if err := verify(dir); err != nil {
		return err
	}
	var s stateFile
	if err := readJSON(filepath.Join(dir, stateName), &s); err != nil {
		return err
	}
	if err := e.comparable(s); err != nil {
		return err
	}
	weights, moments := map[string]*torch.Tensor{}, map[string]*torch.Tensor{}
	for i, p := range e.params {
		weights[p.Name], moments["m."+p.Name], moments["v."+p.Name] = p.Tensor, e.optimizer.m[i], e.optimizer.v[i]
	}
	if err := fill(filepath.Join(dir, weightsName), weights); err != nil {
		return err
	}
	e.state = s.state
	return fill(filepath.Join(dir, momentsName), moments)
}

// comparable refuses a config that would make the resumed run another one.
func (e *Engine) comparable(s stateFile) error {
	now, then := e.config, s.Config
	now.Output, then.Output = "", ""
	now.Sinks, then.Sinks, now.Resume, then.Resume = nil, nil, "", ""
	now.EvalEvery, then.EvalEvery, now.SaveEvery, then.SaveEvery, now.KeepLast, then.KeepLast = 0, 0, 0, 0, 0, 0
	var changed []string
	a, b := reflect.ValueOf(then), reflect.ValueOf(now)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			changed = append(changed, fmt.Sprintf("%s was %v and is %v", a.Type().Field(i).Name, a.Field(i), b.Field(i)))
		}
	}
	if s.Steps != e.steps {
		changed = append(changed, fmt.Sprintf("the planned steps were %d and are %d", s.Steps, e.steps))
	}
	if len(changed) > 0 {
		return fmt.Errorf("the config differs from the checkpoint's: %s; restore it, or start a new run from the weights", strings.Join(changed, ", "))
	}
	return nil
}

// verify holds every file against the manifest.
func verify(dir string) error {
	var m manifest
	if err := readJSON(filepath.Join(dir, manifestName), &m); err != nil {
		return err
	}
	if m.Format != checkpointFormat {
		return fmt.Errorf("%s has format %d; this version reads %d", manifestName, m.Format, checkpointFormat)
	}
	for name, want := range m.Files {
		if err := safetensors.VerifySHA256(filepath.Join(dir, name), want.SHA256); err != nil {
			return err
		}
	}
	return nil
}

func fill(path string, into map[string]*torch.Tensor) error {
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	want := map[string]safetensors.Want{}
	err = torch.Do(func(s *torch.Scope) {
		for name, t := range into {
			want[name] = safetensors.Want{Shape: t.Shape()}
		}
	})
	if err != nil {
		return err
	}
	if err := safetensors.Check(path, file, want, nil); err != nil {
		return err
	}
	return torch.Do(func(*torch.Scope) {
		for name, t := range into {
			stored, _ := file.Tensor(name)
			t.CopyFrom(stored.Data, model.StorageType(stored.DType), 0)
		}
	})
}

func writeSynced(path string, v any) (manifestFile, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return manifestFile{}, err
	}
	f, err := os.Create(path)
	if err != nil {
		return manifestFile{}, err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return manifestFile{}, err
	}
	sum := sha256.Sum256(data)
	return manifestFile{Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}, f.Sync()
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
