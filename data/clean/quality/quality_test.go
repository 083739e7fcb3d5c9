package quality_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/data/clean/quality"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/testdata"
)

func lines[T any](t testing.TB, name string) []T {
	return golden.Lines[T](t, filepath.Join(testdata.Data(t), name))
}

func examples(t testing.TB, name string) (all []quality.Example) {
	for i, l := range lines[struct {
		Text  string
		Label int
	}](t, name) {
		all = append(all, quality.Example{Text: l.Text, Good: l.Label == 1, Place: data.Place{File: name, Line: i + 1}})
	}
	return all
}

func train(t testing.TB, examples []quality.Example, cfg quality.Config) *quality.Model {
	t.Helper()
	m, err := quality.Train(context.Background(), examples, cfg)
	require.NoError(t, err)
	return m
}

func TestDataQuality(t *testing.T) {
	learn, test := examples(t, "quality_train.jsonl"), examples(t, "quality_test.jsonl")
	for _, seed := range []uint64{0, 1, 2} {
		report := quality.Evaluate(train(t, learn, quality.Config{Seed: seed}), test)
		t.Logf("seed %d: %s", seed, report)
		assert.GreaterOrEqual(t, report.AUC, 0.99)
	}
	small := quality.Evaluate(train(t, learn, quality.Config{Bits: 12}), test)
	t.Logf("4096 weights: %s", small)
	assert.GreaterOrEqual(t, small.AUC, 0.95)
}

var few = []quality.Example{
	{Text: "安装之前请断电，并检查水管是否渗漏。", Good: true}, {Text: "乳胶漆批发 免费咨询 点击下单", Good: false},
	{Text: "Switch the power off before you open the cover.", Good: true}, {Text: "BUY NOW best price click here", Good: false},
}

func TestTheSameSeedMakesTheSameModel(t *testing.T) {
	bytesOf := func(cfg quality.Config) []byte {
		var b bytes.Buffer
		_, err := train(t, few, cfg).WriteTo(&b)
		require.NoError(t, err)
		return b.Bytes()
	}
	assert.Equal(t, bytesOf(quality.Config{Seed: 1}), bytesOf(quality.Config{Seed: 1}))
	assert.NotEqual(t, bytesOf(quality.Config{Seed: 1}), bytesOf(quality.Config{Seed: 2}))
}

func TestThePenaltyKeepsWeightsSmall(t *testing.T) {
	text := few[0].Text
	free, held := train(t, few, quality.Config{L2: -1}), train(t, few, quality.Config{L2: 0.1})
	assert.Greater(t, free.Score(text), held.Score(text))
	assert.Greater(t, held.Score(text), 0.5)
}

func TestBalance(t *testing.T) {
	many := append([]quality.Example{}, few...)
	for range 20 {
		many = append(many, few[0], few[2])
	}
	unseen := "完全不同 something else"
	assert.Less(t, train(t, many, quality.Config{Balance: true, Epochs: 3}).Score(unseen), train(t, many, quality.Config{Epochs: 3}).Score(unseen))
}

func TestScoreOfNothingIsNothing(t *testing.T) {
	m := train(t, few, quality.Config{})
	for _, text := range []string{"", " \n\t"} {
		assert.Zero(t, m.Score(text))
	}
	good, bad := m.Examples()
	assert.Equal(t, [2]int{2, 2}, [2]int{good, bad})
	assert.Equal(t, 18, m.Config().Bits)
}

func TestTrainingRefuses(t *testing.T) {
	_, err := quality.Train(context.Background(), few[:1], quality.Config{})
	assert.ErrorIs(t, err, quality.ErrOneClass)
	_, err = quality.Train(context.Background(), append(few[:2:2], quality.Example{Text: " ", Place: data.Place{File: "a.jsonl", Line: 3}}), quality.Config{})
	assert.ErrorContains(t, err, "a.jsonl:3: example 3: the text is blank")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = quality.Train(ctx, few, quality.Config{})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = quality.Train(context.Background(), few, quality.Config{Bits: 40, Epochs: -1, Rate: math.NaN(), L2: math.Inf(1)})
	for _, want := range []string{"Bits: is 40", "Epochs: is -1", "Rate: is NaN", "L2: is +Inf"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zh.quality")
	m := train(t, few, quality.Config{Seed: 3})
	require.NoError(t, m.Save(path))
	again, err := quality.Load(path)
	require.NoError(t, err)
	assert.Equal(t, m.Config(), again.Config())
	for _, e := range append(few, quality.Example{Text: "别的 text 12"}) {
		assert.Equal(t, m.Score(e.Text), again.Score(e.Text))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file stays")
}

func TestDamagedFiles(t *testing.T) {
	var b bytes.Buffer
	_, err := train(t, few, quality.Config{Bits: 8}).WriteTo(&b)
	require.NoError(t, err)
	whole := b.Bytes()
	changed := func(at int, to byte) []byte {
		c := bytes.Clone(whole)
		c[at] = to
		return c
	}
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, quality.ErrNotAModel},
		{"another file", []byte("PK\x03\x04 something quite different"), quality.ErrNotAModel},
		{"a newer version", changed(8, 2), quality.ErrVersion},
		{"one bit of a weight", changed(len(whole)-40, whole[len(whole)-40]^1), quality.ErrDamaged},
		{"torn", whole[:len(whole)-7], quality.ErrDamaged},
		{"all but torn off", whole[:20], quality.ErrDamaged},
		{"something behind", append(bytes.Clone(whole), 0), quality.ErrDamaged},
	} {
		_, err := quality.Read(bytes.NewReader(tt.file))
		assert.ErrorIs(t, err, tt.want, tt.name)
	}
	_, err = quality.Load(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// Good: 0.9 0.5; bad: 0.5 0.1. Of the four pairs three are won and one is a draw: 3.5/4.
func TestAUCByHand(t *testing.T) {
	assert.InDelta(t, 0.875, quality.AUC([]float64{0.9, 0.5, 0.5, 0.1}, []bool{true, false, true, false}), 1e-12)
	assert.True(t, math.IsNaN(quality.AUC([]float64{0.9}, []bool{true})))
	assert.True(t, math.IsNaN(quality.AUC([]float64{math.NaN(), 1}, []bool{true, false})))
}

func FuzzRead(f *testing.F) {
	m, err := quality.Train(context.Background(), few, quality.Config{Bits: 8})
	require.NoError(f, err)
	var b bytes.Buffer
	_, err = m.WriteTo(&b)
	require.NoError(f, err)
	f.Add(b.Bytes()[:b.Len()-32])
	f.Add([]byte("ftqualit"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := quality.Read(bytes.NewReader(quality.Seal(body))) // with a checksum that holds
		if err == nil {
			score := m.Score("安装 the cover 12")
			assert.True(t, score >= 0 && score <= 1)
		}
	})
}

func FuzzScore(f *testing.F) {
	m, err := quality.Train(context.Background(), few, quality.Config{})
	require.NoError(f, err)
	for _, e := range few {
		f.Add(e.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		score := m.Score(text)
		assert.True(t, score >= 0 && score <= 1)
		d := quality.Density(text)
		assert.True(t, d.Score >= 0 && d.Score <= 1, "%v", d)
	})
}

func BenchmarkScore(b *testing.B) {
	learn := examples(b, "quality_train.jsonl")
	m := train(b, learn, quality.Config{Epochs: 1})
	size := 0
	for _, e := range learn {
		size += len(e.Text)
	}
	for name, f := range map[string]func(string){"model": func(s string) { m.Score(s) }, "density": func(s string) { quality.Density(s) }} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				for _, e := range learn {
					f(e.Text)
				}
			}
		})
	}
}

func TestHeaderThatLies(t *testing.T) {
	var b bytes.Buffer
	_, err := train(t, few, quality.Config{Bits: 8}).WriteTo(&b)
	require.NoError(t, err)
	body := b.Bytes()[:b.Len()-32]
	long := bytes.Clone(body)
	binary.LittleEndian.PutUint32(long[12:], 1<<31)
	for name, body := range map[string][]byte{
		"the header's length": long,
		"the bits":            bytes.Replace(body, []byte(`"bits":8`), []byte(`"bits":0`), 1),
		"no JSON":             bytes.Replace(body, []byte(`{"config"`), []byte(`!"config"`), 1),
		"a weight missing":    body[:len(body)-8],
	} {
		_, err := quality.Read(bytes.NewReader(quality.Seal(body)))
		assert.ErrorIs(t, err, quality.ErrDamaged, name)
		assert.False(t, strings.Contains(err.Error(), "checksum"), "%s: %v", name, err)
	}
}
