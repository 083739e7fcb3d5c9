package train

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/model/arch"
)

// smallCheckpoint writes a checkpoint of a network with some hundred weights.
func smallCheckpoint(t *testing.T) string {
	config, err := arch.Parse("config.json", []byte(`{"model_type":"llama","vocab_size":6,"hidden_size":4,"intermediate_size":4,
		"num_hidden_layers":1,"num_attention_heads":1,"tie_word_embeddings":true}`))
	require.NoError(t, err)
	m, err := model.New(config, nil, 1, model.LoadConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	require.NoError(t, m.SetTrainable(func(string) bool { return true }))
	out := t.TempDir()
	sample := data.Sample{IDs: []int32{1, 2, 3}, Labels: []int32{1, 2, 3}}
	e, err := New("test", m, NextToken{Model: m}, []data.Sample{sample}, nil, Config{LearningRate: 1e-3, Steps: 1, Output: out})
	require.NoError(t, err)
	result, err := e.Run(t.Context())
	require.NoError(t, err)
	return result.Checkpoint
}

// Whichever bit of whichever byte flips, the checkpoint is refused and the file named.
func TestEveryFlippedByteIsFound(t *testing.T) {
	dir := smallCheckpoint(t)
	require.NoError(t, verify(dir))
	for _, name := range []string{manifestName, stateName, weightsName, momentsName} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		t.Logf("%s: %d bytes", name, len(good))
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(t, err)
		for i, b := range good {
			_, err := file.WriteAt([]byte{b ^ 1<<(i%8)}, int64(i))
			require.NoError(t, err)
			err = verify(dir)
			if !assert.Error(t, err, "%s: byte %d of %d", name, i, len(good)) {
				t.Logf("…%s…", good[max(0, i-20):min(len(good), i+20)])
			}
			_, err = file.WriteAt([]byte{b}, int64(i))
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	}
	require.NoError(t, verify(dir))
}

func TestEveryBitOfTheManifestMatters(t *testing.T) {
	dir := smallCheckpoint(t)
	path := filepath.Join(dir, manifestName)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range good {
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			require.NoError(t, os.WriteFile(path, bad, 0o666))
			assert.Error(t, verify(dir), "byte %d, bit %d: %s", i, bit, bad)
		}
	}
}

func TestACutFileIsFound(t *testing.T) {
	dir := smallCheckpoint(t)
	for _, name := range []string{manifestName, stateName, weightsName, momentsName} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, size := range []int{0, 1, len(good) / 2, len(good) - 1} {
			require.NoError(t, os.WriteFile(path, good[:size], 0o666))
			assert.ErrorIs(t, verify(dir), ErrDamaged, "%s cut to %d bytes", name, size)
		}
		require.NoError(t, os.WriteFile(path, append(good, 0), 0o666))
		assert.ErrorIs(t, verify(dir), ErrDamaged, "%s with a byte too many", name)
		require.NoError(t, os.Remove(path))
		assert.ErrorIs(t, verify(dir), ErrDamaged, "%s missing", name)
		assert.ErrorContains(t, verify(dir), name)
		require.NoError(t, os.WriteFile(path, good, 0o666))
	}
	require.NoError(t, verify(dir))
}

func TestAManifestOfALaterVersionSaysSo(t *testing.T) {
	dir := smallCheckpoint(t)
	path := filepath.Join(dir, manifestName)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(good), `"format": 1,`)
	require.NoError(t, os.WriteFile(path, append([]byte(`{ "format": 2,`), good[len("{\n  \"format\": 1,"):]...), 0o666))
	err = verify(dir)
	assert.ErrorContains(t, err, "a later version")
	assert.NotErrorIs(t, err, ErrDamaged)
}

func TestAnEngineOfTheTestsLeavesNothing(t *testing.T) {
	live := torch.Live()
	t.Run("run", func(t *testing.T) { smallCheckpoint(t) })
	assert.Equal(t, live, torch.Live())
}
