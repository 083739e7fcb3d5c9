package observe

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
)

func TestMaskedChecksum(t *testing.T) {
	// CRC-32C of "123456789" is e3069283 (RFC 3720, B.4): rotated right by 15 it is 2507c60d, plus a282ead8 mod 2^32.
	assert.Equal(t, uint32(0xc78ab0e5), maskedCRC([]byte("123456789")))
}

// field is one decoded field of a message.
type protoField struct {
	number int
	bits   uint64
	bytes  []byte
}

func decodeMessage(t *testing.T, m []byte) (fields []protoField) {
	for len(m) > 0 {
		key, n := binary.Uvarint(m)
		require.Positive(t, n)
		f := protoField{number: int(key >> 3)}
		m = m[n:]
		switch key & 7 {
		case wireVarint:
			f.bits, n = binary.Uvarint(m)
		case wireFixed64:
			f.bits, n = binary.LittleEndian.Uint64(m), 8
		case wireFixed32:
			f.bits, n = uint64(binary.LittleEndian.Uint32(m)), 4
		case wireBytes:
			size, k := binary.Uvarint(m)
			f.bytes, n = m[k:k+int(size)], k+int(size)
		}
		m = m[n:]
		fields = append(fields, f)
	}
	return fields
}

// readRecords checks the frame of every record.
func readRecords(t *testing.T, dir string) (events [][]protoField) {
	for _, path := range testdata.Cases(t, dir, "events.out.tfevents.*") {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for len(content) > 0 {
			size := binary.LittleEndian.Uint64(content)
			require.Equal(t, maskedCRC(content[:8]), binary.LittleEndian.Uint32(content[8:]))
			event := content[12 : 12+size]
			require.Equal(t, maskedCRC(event), binary.LittleEndian.Uint32(content[12+size:]))
			content = content[16+size:]
			events = append(events, decodeMessage(t, event))
		}
	}
	return events
}

func TestTensorBoardFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tb")
	board := NewTensorBoard(dir)
	for _, e := range everything() {
		board.Observe(e)
	}
	require.NoError(t, board.Close())

	losses := map[int64]float32{}
	var first string
	for _, event := range readRecords(t, dir) {
		require.InDelta(t, noon.Unix(), math.Float64frombits(event[0].bits), 100)
		step := int64(event[1].bits)
		switch what := event[2]; what.number {
		case 3:
			first = string(what.bytes)
		case 5:
			for _, v := range decodeMessage(t, what.bytes) {
				value := decodeMessage(t, v.bytes)
				if string(value[0].bytes) == "train/loss" {
					losses[step] = math.Float32frombits(uint32(value[1].bits))
				}
			}
		}
	}
	assert.Equal(t, "brain.Event:2", first)
	assert.Len(t, losses, 30)
	assert.Equal(t, float32(2.2), losses[30])
}

func TestAResumedRunVoidsLaterSteps(t *testing.T) {
	dir := t.TempDir()
	board := NewTensorBoard(dir)
	board.Observe(Event{Time: noon, Step: 6, Data: Start{}})
	require.NoError(t, board.Close())
	events := readRecords(t, dir)
	assert.Equal(t, protoField{number: 7, bytes: []byte{1<<3 | wireVarint, 1}}, events[1][2])
	assert.EqualValues(t, 7, events[1][1].bits)
}
