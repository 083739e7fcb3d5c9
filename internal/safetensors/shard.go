package safetensors

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// WriteSharded writes a model to the folder dir, in the order given, as transformers does: one model.safetensors if all
// of it fits maxShardBytes (0 means 50 GB, the default there), otherwise shards and their index. A tensor larger than
// that gets a shard of its own.
//
// All files are complete and synced under temporary names before the first is put in place, the index last; then the
// weight files of an earlier save that are no longer listed are removed. Between these steps a crash can leave files of
// both saves: who must exclude that writes to a new folder and renames it.
func WriteSharded(dir string, sources []Source, maxShardBytes int64, o Options) ([]Written, error) {
	plan, err := split(sources, maxShardBytes)
	if err != nil {
		return nil, inFile(dir, err)
	}
	files, err := plan.stage(dir, o)
	if err == nil {
		err = commitAll(files)
	}
	if err != nil {
		return nil, errors.Join(err, dropAll(files))
	}
	var written []Written
	for _, p := range files {
		written = append(written, p.written)
	}
	if err := removeStale(dir, written); err != nil {
		return nil, err
	}
	return written, syncDir(dir)
}

// shardPlan says which tensors go together.
type shardPlan struct {
	shards [][]Source
	total  int64 // bytes of all tensors
	values int64 // elements of all tensors, for the index
}

func split(sources []Source, maxShardBytes int64) (shardPlan, error) {
	if maxShardBytes <= 0 {
		maxShardBytes = 50_000_000_000
	}
	if err := uniqueNames(sources); err != nil {
		return shardPlan{}, err
	}
	var p shardPlan
	var current []Source
	size := int64(0)
	for _, s := range sources {
		n, err := sourceSize(s)
		if err != nil {
			return p, err.of(s.Name)
		}
		p.total += n
		p.values += n * 8 / s.DType.Bits()
		if n > maxShardBytes {
			p.shards = append(p.shards, []Source{s})
			continue
		}
		if size+n > maxShardBytes {
			p.shards = append(p.shards, current)
			current, size = nil, 0
		}
		current, size = append(current, s), size+n
	}
	if len(current) > 0 || len(p.shards) == 0 {
		p.shards = append(p.shards, current)
	}
	return p, nil
}

func (p shardPlan) name(i int) string {
	if len(p.shards) == 1 {
		return SingleFile
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(p.shards))
}

func (p shardPlan) stage(dir string, o Options) ([]pending, error) {
	var files []pending
	for i, shard := range p.shards {
		f, err := stage(filepath.Join(dir, p.name(i)), shard, o)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	if len(p.shards) == 1 {
		return files, nil
	}
	text := p.index()
	f, err := stageFile(filepath.Join(dir, IndexFile), int64(len(text)), o.Hash, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return files, err
	}
	return append(files, f), nil
}

// index is the text of model.safetensors.index.json: keys sorted, indented by two, as transformers writes it.
func (p shardPlan) index() []byte {
	shards := map[string]string{}
	for i, shard := range p.shards {
		for _, s := range shard {
			shards[s.Name] = p.name(i)
		}
	}
	text := fmt.Appendf(nil, "{\n  \"metadata\": {\n    \"total_parameters\": %d,\n    \"total_size\": %d\n  },\n  \"weight_map\": {", p.values, p.total)
	for i, name := range slices.Sorted(maps.Keys(shards)) {
		if i > 0 {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(append(text, "\n    "...), name)
		text, _ = jsontext.AppendQuote(append(text, ": "...), shards[name])
	}
	return append(text, "\n  }\n}\n"...)
}

func commitAll(files []pending) error {
	for _, p := range files {
		if err := p.commit(); err != nil {
			return err
		}
	}
	return nil
}

func dropAll(files []pending) error {
	var failures []error
	for _, p := range files {
		failures = append(failures, p.drop())
	}
	return errors.Join(failures...)
}

var weightFile = regexp.MustCompile(`^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$`)

// removeStale takes away the weights of an earlier save: transformers would read an old model.safetensors rather than
// the new shards beside it. A link is removed, never what it points to.
func removeStale(dir string, keep []Written) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		kept := slices.ContainsFunc(keep, func(w Written) bool { return w.Name == e.Name() })
		if e.IsDir() || kept || !weightFile.MatchString(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("a weight file of an earlier save is in the way: %w", err)
		}
	}
	return nil
}
