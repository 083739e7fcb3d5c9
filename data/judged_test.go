package data_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
)

func recordsFile(t *testing.T, text ...string) data.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(text, "\n")+"\n"), 0o666))
	return data.File{Path: path}
}

func TestJudged(t *testing.T) {
	good := recordsFile(t,
		`{"instruction": "打印机卡纸", "input": "", "output": "请清理卡纸。", "kto_tag": true, "history": [["在吗", "在的"]]}`,
		`{"instruction": "打印机卡纸", "output": "随便。", "label": false}`)
	var got []data.Judged
	for j, err := range good.Judged() {
		require.NoError(t, err)
		got = append(got, j)
	}
	require.Len(t, got, 2)
	assert.True(t, got[0].Good)
	assert.False(t, got[1].Good)
	assert.Len(t, got[0].Prompt(), 3)
	assert.Equal(t, 2, got[1].Place.Line)

	for text, class := range map[string]data.Class{
		`{"instruction": "a", "output": "b"}`:                    data.ErrMissingField,
		`{"instruction": "a", "output": "b", "kto_tag": "yes"}`:  data.ErrWrongType,
		`{"instruction": "a", "output": "b", "kto_tag": null}`:   data.ErrMissingField,
		`{"instruction": "a", "output": "  ", "kto_tag": true}`:  data.ErrEmptyField,
		`{"instruction": "a", "output": ["b"], "kto_tag": true}`: data.ErrWrongType,
		`{"instruction": " ", "output": "b", "kto_tag": true}`:   data.ErrEmptyField,
	} {
		for _, err := range recordsFile(t, text).Judged() {
			var bad *data.RecordError
			require.True(t, errors.As(err, &bad), text)
			assert.Equal(t, class, bad.Class, text)
			assert.Equal(t, 1, bad.Place.Line)
		}
	}
}

func TestMargins(t *testing.T) {
	for text, want := range map[string]float64{
		`{"instruction": "a", "output": ["b", "c"], "margin": 0.5}`: 0.5,
		`{"instruction": "a", "output": ["b", "c"]}`:                0,
	} {
		for r, err := range recordsFile(t, text).Ranked() {
			require.NoError(t, err)
			assert.Equal(t, want, r.Margin)
		}
	}
	for _, text := range []string{
		`{"instruction": "a", "output": ["b", "c"], "margin": -1}`,
		`{"instruction": "a", "output": ["b", "c"], "margin": "1"}`,
		`{"instruction": "a", "output": ["b", "c", "d"], "margin": 1}`,
	} {
		for _, err := range recordsFile(t, text).Ranked() {
			assert.ErrorContains(t, err, "records.jsonl:1: margin", text)
		}
	}
}
