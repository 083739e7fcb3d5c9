package dpo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train"
)

// reference gives log π_ref of the answers of a batch, in its order.
type reference interface {
	logProbs(s *torch.Scope, b data.Batch) []float64
}

// frozen computes them.
type frozen struct{ train.Reference }

func (f frozen) logProbs(s *torch.Scope, b data.Batch) []float64 { return f.Score(s, b).LogProb }

// asItIs is a model with the adapters in force.
func asItIs(m *model.Model) frozen { return frozen{train.Reference{Model: m}} }

// known are log-probabilities that were computed before, by the content of a sample: its tokens.
type known map[uint64][2]float64

func (k known) logProbs(_ *torch.Scope, b data.Batch) (list []float64) {
	for _, key := range keys(b) {
		values, ok := k[key]
		if !ok {
			torch.Throw(errors.New("dpo: a sample has no log-probabilities of the reference"))
		}
		list = append(list, values[:]...)
	}
	return list
}

// keys are hashes of the samples of a batch.
func keys(b data.Batch) (list []uint64) {
	first := 0
	var buffer []byte
	for _, end := range b.Ends {
		hash := fnv.New64a()
		for _, g := range b.Segments[first:end] {
			buffer = binary.LittleEndian.AppendUint32(buffer[:0], uint32(g.End-g.Start))
			for t := g.Start; t < g.End; t++ {
				buffer = binary.LittleEndian.AppendUint32(buffer, uint32(b.IDs[t]))
			}
			hash.Write(buffer)
		}
		list, first = append(list, hash.Sum64()), end
	}
	return list
}

// add computes log-probabilities of the policy as it stands, before it is trained, for samples that are not known yet. It takes them in
// the batches of training's first epoch, whose arithmetic is the same to the bit: the first margins are exactly zero.
func (k known) add(ctx context.Context, m *model.Model, samples []data.Sample, c data.LoaderConfig) error {
	if len(samples) == 0 {
		return nil
	}
	c.Epochs = 1
	loader, err := data.NewLoader(samples, c)
	if err != nil {
		return err
	}
	for group, err := range loader.From(data.Cursor{}) {
		if err != nil {
			return err
		}
		for _, b := range group.Micro {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := torch.Do(func(s *torch.Scope) { k.enter(s, m, b) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k known) enter(s *torch.Scope, m *model.Model, b data.Batch) {
	list := keys(b)
	if !slices.ContainsFunc(list, func(key uint64) bool { _, ok := k[key]; return !ok }) {
		return
	}
	values := asItIs(m).logProbs(s, b)
	for i, key := range list {
		k[key] = [2]float64{values[2*i], values[2*i+1]}
	}
}

// The file of a cache holds the keys [n] int64 and their log-probabilities [n, 2] float64.
const (
	cacheKeys   = "keys"
	cacheValues = "log_probs"
)

func cacheFile(dir, fingerprint string) string {
	return filepath.Join(dir, "reference-"+fingerprint[:16]+".safetensors")
}

// readKnown reads what an earlier run has computed with the same weights; a missing file is an empty cache.
func readKnown(path string) (known, error) {
	k := known{}
	file, err := safetensors.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w; remove it to compute the reference again", err)
	}
	defer file.Close()
	list, ok := file.Tensor(cacheKeys)
	values, also := file.Tensor(cacheValues)
	if !ok || !also || list.DType != safetensors.I64 || values.DType != safetensors.F64 || len(values.Data) != 2*len(list.Data) {
		return nil, fmt.Errorf("%s: is no cache of reference log-probabilities; remove it to compute them again", path)
	}
	hashes, err := list.Int64s()
	if err != nil {
		return nil, err
	}
	for i, hash := range hashes {
		at := func(n int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(values.Data[8*n:])) }
		k[uint64(hash)] = [2]float64{at(2 * i), at(2*i + 1)}
	}
	return k, nil
}

func (k known) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	var hashes, values []byte
	for _, key := range slices.Sorted(maps.Keys(k)) {
		hashes = binary.LittleEndian.AppendUint64(hashes, key)
		for _, v := range k[key] {
			values = binary.LittleEndian.AppendUint64(values, math.Float64bits(v))
		}
	}
	n := int64(len(k))
	return safetensors.Write(path, []safetensors.Tensor{
		{Name: cacheKeys, DType: safetensors.I64, Shape: []int64{n}, Data: hashes},
		{Name: cacheValues, DType: safetensors.F64, Shape: []int64{n, 2}, Data: values},
	}, nil)
}
