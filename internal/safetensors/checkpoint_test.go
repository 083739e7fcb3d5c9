package safetensors

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bytesOf makes a source of n bytes.
func bytesOf(name string, n int) Source {
	return Tensor{name, U8, []int64{int64(n)}, make([]byte, n)}.Source()
}

func TestShardsAsTransformersSplitsThem(t *testing.T) {
	sources := []Source{bytesOf("a", 6), bytesOf("b", 4), bytesOf("c", 30), bytesOf("d", 5), bytesOf("e", 6)}
	dir := t.TempDir()
	written, err := WriteSharded(dir, sources, 10, Options{Metadata: map[string]string{"format": "pt"}, Hash: sha256.New})
	require.NoError(t, err)

	text, err := os.ReadFile(filepath.Join(dir, IndexFile))
	require.NoError(t, err)
	var list struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		}
		WeightMap map[string]string `json:"weight_map"`
	}
	require.NoError(t, json.Unmarshal(text, &list))
	assert.EqualValues(t, 51, list.Metadata.TotalSize)
	assert.Equal(t, map[string]string{
		"c": "model-00001-of-00004.safetensors", // larger than a shard: alone, and closed first
		"a": "model-00002-of-00004.safetensors",
		"b": "model-00002-of-00004.safetensors",
		"d": "model-00003-of-00004.safetensors",
		"e": "model-00004-of-00004.safetensors",
	}, list.WeightMap)
	for _, w := range written {
		assert.NoError(t, VerifySHA256(filepath.Join(dir, w.Name), hex.EncodeToString(w.Digest)))
	}

	model, err := OpenModel(dir)
	require.NoError(t, err)
	defer model.Close()
	assert.Equal(t, []string{"a", "b", "c", "d", "e"}, model.Names())
	assert.Empty(t, model.Warnings())
	assert.Equal(t, filepath.Join(dir, "model-00003-of-00004.safetensors"), model.File("d"))
	buffer := make([]byte, 30)
	assert.NoError(t, model.Read("c", buffer))
}

func TestSavingAgainRemovesWhatIsNoLongerListed(t *testing.T) {
	dir := t.TempDir()
	sources := []Source{bytesOf("a", 6), bytesOf("b", 6)}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), nil, 0o644))
	names := func() (names []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	for _, tt := range []struct {
		shard int64
		want  []string
	}{
		{100, []string{"config.json", "model.safetensors"}},
		{6, []string{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"}},
		{0, []string{"config.json", "model.safetensors"}},
	} {
		_, err := WriteSharded(dir, sources, tt.shard, Options{})
		require.NoError(t, err)
		assert.Equal(t, tt.want, names())
		model, err := OpenModel(dir)
		require.NoError(t, err)
		assert.Equal(t, []string{"a", "b"}, model.Names())
		require.NoError(t, model.Close())
	}
}

func TestAFailedShardLeavesTheFolderAlone(t *testing.T) {
	dir := t.TempDir()
	_, err := WriteSharded(dir, []Source{bytesOf("a", 6), Tensor{"b", U8, []int64{6}, nil}.Source()}, 6, Options{})
	require.ErrorIs(t, err, SizeMismatch)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestShardsMayBeLinks(t *testing.T) {
	for _, outside := range []bool{false, true} {
		dir, blobs := t.TempDir(), t.TempDir()
		if !outside {
			blobs = dir
		}
		_, err := WriteSharded(dir, []Source{bytesOf("a", 6), bytesOf("b", 6)}, 6, Options{})
		require.NoError(t, err)
		shard, blob := filepath.Join(dir, "model-00001-of-00002.safetensors"), filepath.Join(blobs, "3b660b28")
		require.NoError(t, os.Rename(shard, blob))
		require.NoError(t, os.Symlink(blob, shard))
		model, err := OpenModel(dir)
		require.NoError(t, err)
		assert.Len(t, model.Names(), 2)
		require.NoError(t, model.Close())
	}
}

func TestATensorInTwoShards(t *testing.T) {
	dir := t.TempDir()
	_, err := WriteSharded(dir, []Source{bytesOf("a", 6), bytesOf("b", 6)}, 6, Options{})
	require.NoError(t, err)
	_, err = WriteSources(filepath.Join(dir, "model-00002-of-00002.safetensors"), []Source{bytesOf("a", 6), bytesOf("b", 6)}, Options{})
	require.NoError(t, err)
	_, err = OpenModel(dir)
	require.ErrorIs(t, err, UnexpectedTensor)
	assert.ErrorContains(t, err, "too")
}

func TestFoldersWithoutWeights(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"", "neither"},
		{"pytorch_model.bin", "save_pretrained"},
		{"consolidated.00.pth", "save_pretrained"},
		{"adapter_model.safetensors", "adapter"},
	} {
		dir := t.TempDir()
		if tt.file != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, tt.file), []byte("\x80\x02"), 0o644))
		}
		_, err := OpenModel(dir)
		require.ErrorIs(t, err, NoWeights)
		assert.ErrorContains(t, err, tt.want)
		assert.ErrorContains(t, err, dir)
	}
}

func TestCheckListsEverythingAtOnce(t *testing.T) {
	content := encoded(t, []Tensor{
		{"shape", F32, []int64{1, 2}, make([]byte, 8)},
		{"type", I8, []int64{1}, make([]byte, 1)},
		{"extra", F32, []int64{1}, make([]byte, 4)},
		{"rotary_emb.inv_freq", F32, []int64{1}, make([]byte, 4)},
		{"ids", I64, []int64{1}, make([]byte, 8)},
	})
	f, err := Parse(content)
	require.NoError(t, err)
	err = Check("dir", f, map[string]Want{
		"shape": {Shape: []int64{2, 1}}, "type": {Shape: []int64{1}}, "absent": {Shape: []int64{3}},
		"ids": {Shape: []int64{1}, DTypes: []DType{I64}},
	}, func(name string) bool { return name == "rotary_emb.inv_freq" })
	assert.EqualError(t, err, `dir: 4 tensors do not fit the model
  missing_tensor: tensor "absent": want [3], got not there
  unexpected_tensor: tensor "extra": want no such tensor, got F32 [1]
  shape_mismatch: tensor "shape": want [2 1], got [1 2]
  dtype_mismatch: tensor "type": want floating point (F64, F32, F16, BF16), got I8`)
	for _, class := range []Class{MissingTensor, UnexpectedTensor, ShapeMismatch, DTypeMismatch} {
		assert.ErrorIs(t, err, class)
	}
	assert.NotErrorIs(t, err, BadOffsets)
}
