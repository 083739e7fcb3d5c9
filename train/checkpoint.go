package train

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/safetensors"
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
	Step     int         `json:"step"` // optimizer steps done
	Cursor   data.Cursor `json:"cursor"`
	BestEval *float64    `json:"best_eval,omitempty"` // the lowest loss of an evaluation so far

	Eval *float64 `json:"eval,omitempty"` // the loss on held-out samples after this very step; absent where none was taken

	First map[string]float64 `json:"first,omitempty"` // losses on watched samples before the first step

	Skipped      int `json:"skipped,omitempty"`        // of the steps: those passed over because something was not finite
	SkippedInRow int `json:"skipped_in_row,omitempty"` // the last ones
}

type stateFile struct {
	state
	Steps   int    `json:"steps"`   // planned
	Samples int    `json:"samples"` // in the training set
	Data    string `json:"data"`    // their fingerprint
	Base    string `json:"base"`    // the fingerprint of the weights that are not trained

	Objective string `json:"objective,omitempty"` // its settings, where it has some

	Adapters map[string]string `json:"adapters,omitempty"` // by projection: what stands on it
	Config   Config            `json:"config"`
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

// write makes the folder final: written under another name, synced, renamed.
func (e *Engine) write(final string, shot *snapshot) (size int64, err error) {
	dir := final + temporarySuffix
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	m := manifest{Format: checkpointFormat, Step: shot.step, Files: map[string]manifestFile{}}
	if err := m.tensors(dir, weightsName, shot.weights); err != nil {
		return 0, err
	}
	if err := m.tensors(dir, momentsName, shot.moments); err != nil {
		return 0, err
	}
	text, err := writeSynced(filepath.Join(dir, stateName), shot.state)
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
	if err := e.discard(final); err != nil { // a damaged one of that name, which resuming has passed over
		return 0, err
	}
	if err := os.Rename(dir, final); err != nil {
		return 0, err
	}
	return m.size(), syncDir(filepath.Dir(final))
}

func (e *Engine) stateFile() stateFile {
	return stateFile{state: e.state, Steps: e.steps, Samples: e.samples, Data: e.data, Base: e.base, Objective: e.aim(), Adapters: adapters(e.model), Config: e.config}
}

func (m manifest) tensors(dir, name string, tensors []safetensors.Tensor) error {
	var sources []safetensors.Source
	for _, t := range tensors {
		sources = append(sources, t.Source())
	}
	w, err := safetensors.WriteSources(filepath.Join(dir, name), sources, safetensors.Options{Hash: sha256.New})
	m.Files[name] = manifestFile{Size: w.Size, SHA256: hex.EncodeToString(w.Digest)}
	return err
}

func (m manifest) size() (sum int64) {
	for _, f := range m.Files {
		sum += f.Size
	}
	return sum
}

// prune removes the oldest checkpoints beyond KeepLast, but for the best, after one of step was written. Those of later steps are not
// counted: they are damaged, or resuming would have begun there, and the run will replace them.
func (e *Engine) prune(step int) error {
	found, err := listCheckpoints(e.checkpoints())
	if err != nil || e.config.KeepLast == Off {
		return err
	}
	found = slices.DeleteFunc(found, func(c saved) bool { return c.step > step })
	old := found[:max(0, len(found)-e.config.KeepLast)]
	best := e.best(found)
	for _, c := range old {
		if best[c.step] {
			continue
		}
		if err := e.discard(c.dir); err != nil {
			return err
		}
	}
	return nil
}

// best are the steps of the KeepBest checkpoints with the lowest losses on held-out samples.
func (e *Engine) best(found []saved) map[int]bool {
	if e.config.KeepBest == 0 {
		return nil
	}
	type judged struct {
		step int
		loss float64
	}
	var list []judged
	for _, c := range found {
		var s stateFile
		if err := readJSON(filepath.Join(c.dir, stateName), &s); err != nil {
			continue // damaged: it is no best, and goes with the oldest
		}
		if s.Eval != nil {
			list = append(list, judged{c.step, *s.Eval})
		}
	}
	slices.SortStableFunc(list, func(a, b judged) int { return cmp.Compare(a.loss, b.loss) })
	keep := map[int]bool{}
	for _, j := range list[:min(len(list), e.config.KeepBest)] {
		keep[j.step] = true
	}
	return keep
}

// discard removes a checkpoint, if it is there. It loses its name first: a folder of that name is whole, or damaged from outside.
func (e *Engine) discard(dir string) error {
	trash := dir + ".old" + temporarySuffix
	if err := os.Rename(dir, trash); os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	return os.RemoveAll(trash)
}

// saved is a checkpoint on the disk.
type saved struct {
	dir  string
	step int
}

// listCheckpoints lists the checkpoints in a folder, oldest step first. Unfinished ones have another name.
func listCheckpoints(dir string) (found []saved, err error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), "step-")
		if step, err := strconv.Atoi(number); ok && err == nil && step >= 0 {
			found = append(found, saved{filepath.Join(dir, entry.Name()), step})
		}
	}
	slices.SortFunc(found, func(a, b saved) int { return cmp.Compare(a.step, b.step) })
	return found, err
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
