package model_test

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/model"
)

// A case's tensors are named by the processors applied: alone.top_k_20, chain.rep1.3_temp0.7_topk20_topp0.9.
func TestGoldenProcessedLogits(t *testing.T) {
	for _, path := range testdata.Cases(t, testdata.Goldens(t), "models/*/processed_logits.safetensors") {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			f := golden.Tensors(t, path)
			raw, shape := golden.Float32s(t, f, "raw")
			seen, width := golden.Int64s(t, f, "input_ids")
			v, ran := int(shape[1]), 0
			for _, name := range f.Names() {
				kind, list, ok := strings.Cut(name, ".")
				if !ok || name == "chain.probs" {
					continue
				}
				sampling := parseProcessors(t, kind, list)
				want, _ := golden.Float32s(t, f, name)
				var got []float32
				for r := range int(shape[0]) {
					row := append([]float32{}, raw[r*v:(r+1)*v]...)
					var ids []int32
					for _, id := range seen[r*int(width[1]) : (r+1)*int(width[1])] {
						ids = append(ids, int32(id)) // padding too: the reference's penalty counts it
					}
					sampling.Process(row, ids)
					got = append(got, row...)
				}
				closeOrInfinite(t, name, want, got)
				ran++
			}
			assert.NotZero(t, ran)
		})
	}
}

var processor = regexp.MustCompile(`(repetition_penalty|no_repeat_ngram|temperature|min_p|top_k|top_p|rep|temp|topk|topp|minp)_?([0-9.]+)`)

func parseProcessors(t *testing.T, kind, list string) (c model.Sampling) {
	found := processor.FindAllStringSubmatch(list, -1)
	require.NotEmpty(t, found, "%s.%s names no processor", kind, list)
	for _, p := range found {
		x, err := strconv.ParseFloat(p[2], 64)
		require.NoError(t, err)
		switch p[1] {
		case "repetition_penalty", "rep":
			c.RepetitionPenalty = x
		case "no_repeat_ngram":
			c.NoRepeatNGram = int(x)
		case "temperature", "temp":
			c.Temperature = x
		case "top_k", "topk":
			c.TopK = int(x)
		case "top_p", "topp":
			c.TopP = x
		case "min_p", "minp":
			c.MinP = x
		}
	}
	return c
}

func closeOrInfinite(t *testing.T, name string, want, got []float32) {
	for i := range want {
		if want[i] < -1e30 || got[i] < -1e30 {
			if (want[i] < -1e30) != (got[i] < -1e30) {
				t.Errorf("%s: element %d is %g, want %g", name, i, got[i], want[i])
			}
			want[i], got[i] = 0, 0
		}
	}
	golden.Close(t, name, want, got, hiddenTolerance)
}
