package relay

import (
	"encoding/binary"
	"errors"
)

// frameKind is what a frame is for; see the package comment.
type frameKind uint8

const (
	frameOpen frameKind = 1 + iota
	frameData
	frameSeen
	frameEnd
	frameReset
)

const (
	frameHead = 17
	// maxChunk is how many bytes a frame carries at most. A server takes a megabyte, unless it was told otherwise; small ones let the packets
	// of others through between them.
	maxChunk = 16 << 10
)

// frame is a part of a connection.
type frame struct {
	kind frameKind
	conn uint64
	at   uint64
	data []byte // DATA only
}

var errFrame = errors.New("not a frame")

// parseFrame reads a frame, whose data is a part of b.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHead || len(b) > frameHead+maxChunk {
		return frame{}, errFrame
	}
	f := frame{kind: frameKind(b[0]), conn: binary.BigEndian.Uint64(b[1:]), at: binary.BigEndian.Uint64(b[9:]), data: b[frameHead:]}
	if f.kind < frameOpen || f.kind > frameReset || (f.kind == frameData) != (len(f.data) > 0) {
		return frame{}, errFrame
	}
	return f, nil
}

// append appends the frame to b.
func (f *frame) append(b []byte) []byte {
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint64(b, f.conn)
	b = binary.BigEndian.AppendUint64(b, f.at)
	return append(b, f.data...)
}
