package observe

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"
)

// The messages of TensorFlow's event.proto, summary.proto and tensor.proto that TensorBoard needs, encoded by hand: a
// field is a varint of number<<3 | wire type, then its value.

const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// message is an encoded protocol buffer.
type message []byte

func (m message) varint(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|wireVarint), v)
}

func (m message) double(field int, v float64) message {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(m, uint64(field)<<3|wireFixed64), math.Float64bits(v))
}

func (m message) float(field int, v float64) message {
	return binary.LittleEndian.AppendUint32(binary.AppendUvarint(m, uint64(field)<<3|wireFixed32), math.Float32bits(float32(v)))
}

func (m message) bytes(field int, v []byte) message {
	m = binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|wireBytes), uint64(len(v)))
	return append(m, v...)
}

func (m message) string(field int, v string) message { return m.bytes(field, []byte(v)) }

// event is Event{wall_time = 1, step = 2}; what happened follows.
func (s stamp) event() message {
	return message{}.double(1, float64(s.wall.UnixNano())/1e9).varint(2, uint64(s.step))
}

// version is the first event of a file: Event.file_version = 3.
func (s stamp) version() message { return s.event().string(3, "brain.Event:2") }

// sessionStart is Event.session_log = 7 with SessionLog.status = 1 (START = 1): the events of this step and later ones
// that are in earlier files are void.
func (s stamp) sessionStart() message { return s.event().bytes(7, message{}.varint(1, 1)) }

// scalars is Event.summary = 5 with a Summary.Value (1) of tag (1) and simple_value (2) for each.
func (s stamp) scalars(values []scalar) message {
	var summary message
	for _, v := range values {
		summary = summary.bytes(1, message{}.string(1, v.tag).float(2, v.value))
	}
	return s.event().bytes(5, summary)
}

// text is a summary value with a string tensor (8: dtype 1 = DT_STRING 7, shape 2, string_val 8) and metadata (9) that
// names the text plugin (plugin_data 1, plugin_name 1).
func (s stamp) text(tag, markdown string) message {
	shape := message{}.bytes(2, message{}.varint(1, 1)) // one dimension of size 1
	tensor := message{}.varint(1, 7).bytes(2, shape).string(8, markdown)
	metadata := message{}.bytes(1, message{}.string(1, "text"))
	return s.event().bytes(5, message{}.bytes(1, message{}.string(1, tag).bytes(8, tensor).bytes(9, metadata)))
}

// record frames an event as a TFRecord: length, masked CRC-32C of the length, event, masked CRC-32C of the event.
func record(event message) []byte {
	r := binary.LittleEndian.AppendUint64(nil, uint64(len(event)))
	r = binary.LittleEndian.AppendUint32(r, maskedCRC(r))
	r = append(r, event...)
	return binary.LittleEndian.AppendUint32(r, maskedCRC(event))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC rotates the checksum and adds a constant, as the format does because data may itself hold checksums.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// indented makes text a code block of Markdown.
func indented(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }
