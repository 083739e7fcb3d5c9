package data_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/testdata"
)

// benchFile is the sample data, some hundred times over, in one file.
func benchFile(b *testing.B, times int) (path string, records int, size int64) {
	text, err := os.ReadFile(filepath.Join(testdata.Data(b), "sft_domain.jsonl"))
	require.NoError(b, err)
	path = filepath.Join(b.TempDir(), "bench.jsonl")
	require.NoError(b, os.WriteFile(path, bytes.Repeat(text, times), 0o600))
	return path, times * bytes.Count(text, []byte{'\n'}), int64(times * len(text))
}

func BenchmarkRead(b *testing.B) {
	path, records, size := benchFile(b, 20)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range (data.File{Path: path}).Conversations() {
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(records)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkEncode(b *testing.B) {
	path, records, _ := benchFile(b, 5)
	tok := loadTokenizer(b, testdata.Goldens(b), "tokenizer/chat/chatml_tools")
	tokens := int64(0)
	for b.Loop() {
		_, ledger, err := data.Encode(b.Context(), tok, data.File{Path: path}, data.EncodeConfig{})
		require.NoError(b, err)
		tokens += ledger.Tokens
	}
	b.ReportMetric(float64(b.N)*float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
}
