package train

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// comparable refuses what would make the resumed run another one.
func (e *Engine) comparable(s stateFile) error {
	changed := differences("", reflect.ValueOf(decisive(s.Config)), reflect.ValueOf(decisive(e.config)))
	if s.Steps != e.steps {
		changed = append(changed, fmt.Sprintf("the planned steps were %d and are %d", s.Steps, e.steps))
	}
	if s.Samples != e.samples {
		changed = append(changed, fmt.Sprintf("the samples were %d and are %d", s.Samples, e.samples))
	} else if s.Data != e.data {
		changed = append(changed, "the samples are others, or in another order")
	}
	if s.Base != e.base {
		changed = append(changed, "the weights that are not trained are others, or of another type")
	}
	if s.Objective != e.aim() {
		changed = append(changed, fmt.Sprintf("the objective was %q and is %q", s.Objective, e.aim()))
	}
	changed = append(changed, adapterChanges(s.Adapters, adapters(e.model))...)
	if len(changed) > 0 {
		return fmt.Errorf("the run differs from the checkpoint's: %s; restore it, or start a new run from the weights", strings.Join(changed, ", "))
	}
	return nil
}

// aim describes an objective that has settings of its own.
func (e *Engine) aim() string {
	if o, ok := e.objective.(fmt.Stringer); ok {
		return o.String()
	}
	return ""
}

// decisive is a config without what may change between a run and its continuation: how it is watched and where it is kept.
func decisive(c Config) Config {
	c.Output, c.Resume, c.Sinks = "", "", nil
	c.Order = nil // part of the data's fingerprint
	c.EvalEvery, c.SaveEvery, c.KeepLast, c.KeepBest = 0, 0, 0, 0
	c.ActivationBudget, c.SkipNonFinite = 0, 0 // the numbers are the same
	return c
}

// differences lists the fields that differ, by their path: AdamW.Beta2 was 0.999 and is 0.99.
func differences(path string, then, now reflect.Value) (list []string) {
	for i := range then.NumField() {
		name := path + then.Type().Field(i).Name
		a, b := then.Field(i), now.Field(i)
		switch {
		case a.Kind() == reflect.Struct:
			list = append(list, differences(name+".", a, b)...)
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			list = append(list, fmt.Sprintf("%s was %v and is %v", name, a, b))
		}
	}
	return list
}

// fingerprint is a checksum of the samples' tokens and labels, in order, and of the first epoch of a mixture's order.
func fingerprint(samples []data.Sample, order func(epoch int) []int32) string {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := uint32(0)
	var buffer []byte
	for _, s := range samples {
		buffer = buffer[:0]
		lists := [][]int32{s.IDs, s.Labels}
		for _, a := range s.Answers {
			lists = append(lists, a.IDs, a.Labels)
		}
		for _, list := range lists {
			buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(list)))
			for _, v := range list {
				buffer = binary.LittleEndian.AppendUint32(buffer, uint32(v))
			}
		}
		buffer = binary.LittleEndian.AppendUint64(buffer, math.Float64bits(s.Margin))
		sum = crc32.Update(sum, table, buffer)
	}
	if order != nil {
		var buffer []byte
		for _, i := range order(0) {
			buffer = binary.LittleEndian.AppendUint32(buffer, uint32(i))
		}
		sum = crc32.Update(sum, table, buffer)
	}
	return fmt.Sprintf("crc32c:%08x", sum)
}

// frozen is a checksum of the weights that are not trained: their names, their types and the first elements of each, which is enough
// to tell one base model from another.
func frozen(m *model.Model) (string, error) {
	const first = 256
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	err := torch.Do(func(s *torch.Scope) {
		for _, p := range m.Parameters() {
			if p.Trainable {
				continue
			}
			var buffer []byte
			for _, x := range s.ToFloat32s(s.Narrow(s.Reshape(s.Detach(p.Tensor), -1), 0, 0, min(first, p.Numel()))) {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(x))
			}
			fmt.Fprintf(sum, "%s %s %s", p.Name, p.Tensor.DType(), buffer)
		}
	})
	return fmt.Sprintf("crc32c:%08x", sum.Sum32()), err
}

// adapters describes the adapter of each projection that has one.
func adapters(m *model.Model) map[string]string {
	list := map[string]string{}
	for _, l := range m.Linears() {
		if a := l.Adapter(); a != nil {
			list[l.Name] = a.String()
		}
	}
	return list
}

// adapterChanges names the first projection whose adapter is another; mostly all of them are.
func adapterChanges(then, now map[string]string) []string {
	const none = "none"
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, ok := then[name]; !ok {
			return []string{fmt.Sprintf("the adapter of %s was %s and is %s", name, none, now[name])}
		} else if was != now[name] {
			return []string{fmt.Sprintf("the adapter of %s was %s and is %s", name, was, now[name])}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(then)) {
		if _, ok := now[name]; !ok {
			return []string{fmt.Sprintf("the adapter of %s was %s and is %s", name, then[name], none)}
		}
	}
	return nil
}
