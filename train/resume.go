package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// ErrDamaged is a checkpoint whose files are not what its manifest says.
var ErrDamaged = errors.New("the checkpoint is damaged")

// resume reads the checkpoint that the config asks for into the weights, the optimizer and the state, and makes the folder ready for
// new ones.
func (e *Engine) resume() error {
	dir, err := e.chooseCheckpoint()
	if err != nil {
		return err
	}
	if dir != "" {
		if err := e.read(dir); err != nil {
			return fmt.Errorf("resuming from %s: %w", dir, err)
		}
		e.resumed = dir
	}
	if e.config.Output == "" || e.config.SaveEvery == Off {
		return nil
	}
	return e.prepare()
}

// chooseCheckpoint is the folder to resume from, "" for none.
func (e *Engine) chooseCheckpoint() (string, error) {
	if e.config.Resume == "" {
		return "", nil
	}
	if e.config.Resume != "auto" {
		return filepath.Clean(e.config.Resume), nil
	}
	found, err := listCheckpoints(e.checkpoints())
	if err != nil || len(found) == 0 {
		return "", err
	}
	return e.newestWhole(found)
}

// newestWhole passes over damaged checkpoints, loudly. Starting over because all are damaged is for the user to decide.
func (e *Engine) newestWhole(found []saved) (string, error) {
	var damage []error
	for _, c := range slices.Backward(found) {
		err := verify(c.dir)
		if err == nil {
			for _, d := range damage {
				e.warn("damaged_checkpoint", "%v; resuming from %s, the one before", d, filepath.Base(c.dir))
			}
			return c.dir, nil
		}
		if !errors.Is(err, ErrDamaged) {
			return "", fmt.Errorf("resuming from %s: %w", c.dir, err)
		}
		damage = append(damage, fmt.Errorf("%s: %w", c.dir, err))
	}
	return "", fmt.Errorf("no checkpoint can be resumed from; remove them to start over: %w", errors.Join(damage...))
}

// warn keeps a warning until there are sinks to tell.
func (e *Engine) warn(class, format string, args ...any) {
	e.Tell(observe.Warning{Class: class, Text: fmt.Sprintf(format, args...)})
}

// prepare finds out now, not at the first save, whether there is a folder to write to, and removes what an earlier run left
// unfinished there.
func (e *Engine) prepare() error {
	if err := e.setAside(); err != nil {
		return err
	}
	if err := os.MkdirAll(e.checkpoints(), 0o777); err != nil {
		return fmt.Errorf("Output: %w", err)
	}
	probe, err := os.CreateTemp(e.checkpoints(), ".probe-*")
	if err != nil {
		return fmt.Errorf("Output cannot be written to: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("Output: %w", err)
	}
	stale, err := filepath.Glob(filepath.Join(e.checkpoints(), "step-*"+temporarySuffix))
	if err != nil {
		return err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("an unfinished checkpoint is in the way: %w", err)
		}
		e.warn("unfinished_checkpoint", "%s was not finished by an earlier run; ignored and removed", filepath.Base(dir))
	}
	return nil
}

// setAside keeps the checkpoints of an earlier run that this one does not go on with: under another name, as the metrics file does.
// Left where they are they would be taken for this run's.
func (e *Engine) setAside() error {
	found, err := listCheckpoints(e.checkpoints())
	if err != nil || len(found) == 0 || filepath.Dir(e.resumed) == filepath.Clean(e.checkpoints()) {
		return err
	}
	for i := 1; ; i++ {
		aside := fmt.Sprintf("%s.%d", e.checkpoints(), i)
		if _, err := os.Lstat(aside); !os.IsNotExist(err) {
			continue
		}
		e.warn("earlier_run", "%s had checkpoints of an earlier run, up to %s; they are in %s now. To go on with them, move them back and set Resume to auto",
			e.config.Output, filepath.Base(found[len(found)-1].dir), filepath.Base(aside))
		return os.Rename(e.checkpoints(), aside)
	}
}

// read restores all of a checkpoint or nothing of it.
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
	weights, moments := tensorSet{}, tensorSet{}
	for i, p := range e.params {
		weights[p.Name], moments["m."+p.Name], moments["v."+p.Name] = p.Tensor, e.optimizer.m[i], e.optimizer.v[i]
	}
	if err := errors.Join(weights.check(filepath.Join(dir, weightsName)), moments.check(filepath.Join(dir, momentsName))); err != nil {
		return err
	}
	e.state = s.state
	return errors.Join(weights.fill(filepath.Join(dir, weightsName)), moments.fill(filepath.Join(dir, momentsName)))
}

// verify holds a checkpoint against its manifest. What the manifest itself may suffer is caught by comparing it with what would be
// written in its place: its values are checked one by one, and nothing else may be in it.
func verify(dir string) error {
	m, err := readManifest(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	for _, name := range []string{weightsName, momentsName, stateName} {
		want, ok := m.Files[name]
		if !ok {
			return fmt.Errorf("%w: %s does not list %s", ErrDamaged, manifestName, name)
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		case err != nil:
			return err
		case info.Size() != want.Size:
			return fmt.Errorf("%w: %s has %d bytes; %s says %d", ErrDamaged, name, info.Size(), manifestName, want.Size)
		}
		if want.SHA256 != strings.ToLower(want.SHA256) {
			return fmt.Errorf("%w: %s is not as it was written", ErrDamaged, manifestName)
		}
		if err := safetensors.VerifySHA256(path, want.SHA256); errors.Is(err, safetensors.ChecksumMismatch) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		} else if err != nil {
			return err
		}
	}
	var s stateFile
	if err := readJSON(filepath.Join(dir, stateName), &s); err != nil {
		return err
	}
	if len(m.Files) != 3 || m.Step != s.Step {
		return fmt.Errorf("%w: %s lists %d files and step %d; want 3 files and %s's step %d", ErrDamaged, manifestName, len(m.Files), m.Step,
			stateName, s.Step)
	}
	return nil
}

func readManifest(path string) (m manifest, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%w: %s is missing", ErrDamaged, manifestName)
	} else if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	if m.Format > checkpointFormat && m.Format < 1000 {
		return m, fmt.Errorf("%s has format %d, which a later version has written; this one reads %d", manifestName, m.Format, checkpointFormat)
	}
	again, err := json.MarshalIndent(m, "", "  ")
	if err != nil || !bytes.Equal(again, data) || m.Format != checkpointFormat {
		return m, fmt.Errorf("%w: %s is not as it was written", ErrDamaged, manifestName)
	}
	return m, nil
}

// tensorSet are tensors in memory by their names in a file.
type tensorSet map[string]*torch.Tensor

// check wants exactly these tensors in the file, in their very types: a resumed run goes on to the bit.
func (set tensorSet) check(path string) error {
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	want := map[string]safetensors.Want{}
	err = torch.Do(func(*torch.Scope) {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			want[name] = safetensors.Want{Shape: set[name].Shape(), DTypes: []safetensors.DType{model.FileType(set[name].DType())}}
		}
	})
	if err != nil {
		return err
	}
	return safetensors.Check(path, file, want, nil)
}

// fill copies the file's elements into the tensors; check has approved of it.
func (set tensorSet) fill(path string) error {
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return torch.Do(func(*torch.Scope) {
		for name, t := range set {
			stored, _ := file.Tensor(name)
			t.CopyFrom(stored.Data, t.DType(), 0)
		}
	})
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
