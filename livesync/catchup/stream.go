package catchup

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/klauspost/compress/zstd"

	"starling/wire"
)

// magic begins every stream. Its number changes with the format.
const magic = "starling excerpts 1\n"

// Kind tells the blocks apart.
type Kind uint8

// The kinds of block.
const (
	KindHeader Kind = 1 + iota
	KindSwarms
	KindLeavers
	KindEnd
	KindKnown
)

// Sizes in bytes.
const (
	blockHead  = 13
	blockTail  = 4
	headerSize = 45
	endSize    = 24

	// maxRaw bounds what is in a block, packed or not.
	maxRaw = 256 << 10
	// fullBlock is when a block is full enough to be packed. Longer ones cost memory and hardly fewer bytes.
	fullBlock = 64 << 10
)

// Flags of a header.
const (
	flagSnapshot = 0x01
	flagComplete = 0x02
)

// Header begins a stream.
type Header struct {
	ID       wire.NodeID
	Epoch    uint64
	Time     time.Time     // by the teller's clock
	Within   time.Duration // only what the cluster learned within that time, in whole milliseconds; 0: everything. A snapshot: how long its node had been out of step
	Torrents uint64        // that the teller has
	Peers    uint64
	Snapshot bool // of the node itself
	Complete bool // the teller knows all that the cluster knows
}

func (h *Header) append(b []byte) []byte {
	b = append(b, h.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(h.Within/time.Millisecond))
	b = binary.BigEndian.AppendUint64(b, h.Torrents)
	b = binary.BigEndian.AppendUint64(b, h.Peers)
	flags := byte(0)
	if h.Snapshot {
		flags |= flagSnapshot
	}
	if h.Complete {
		flags |= flagComplete
	}
	return append(b, flags)
}

func (h *Header) parse(b []byte) bool {
	if len(b) != headerSize || b[44]&^(flagSnapshot|flagComplete) != 0 {
		return false
	}
	within := binary.BigEndian.Uint64(b[20:])
	if within > uint64(maxWithin/time.Millisecond) {
		return false
	}
	*h = Header{
		ID: wire.NodeID(b), Epoch: binary.BigEndian.Uint64(b[4:]),
		Time:     time.Unix(0, int64(binary.BigEndian.Uint64(b[12:]))),
		Within:   time.Duration(within) * time.Millisecond,
		Torrents: binary.BigEndian.Uint64(b[28:]), Peers: binary.BigEndian.Uint64(b[36:]),
		Snapshot: b[44]&flagSnapshot != 0, Complete: b[44]&flagComplete != 0,
	}
	return true
}

// maxWithin is far beyond every peer timeout.
const maxWithin = 1000 * time.Hour

// counts is what an END counts.
type counts struct{ swarms, members, leavers uint64 }

func (c *counts) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.swarms)
	b = binary.BigEndian.AppendUint64(b, c.members)
	return binary.BigEndian.AppendUint64(b, c.leavers)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum goes on with a checksum.
func sum(s uint32, b []byte) uint32 { return crc32.Update(s, castagnoli, b) }

// Encoder writes a stream, by appending.
type Encoder struct {
	begun  time.Time
	sum    uint32
	counts counts
	pack   *zstd.Encoder
	raw    []byte
}

// NewEncoder returns an encoder for one stream.
func NewEncoder() *Encoder {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(maxRaw))
	if err != nil {
		panic("catchup: " + err.Error()) // only for options that contradict each other
	}
	return &Encoder{pack: pack}
}

// Begin appends the start of a stream.
func (e *Encoder) Begin(b []byte, h *Header) []byte {
	e.begun, e.sum, e.counts = h.Time, 0, counts{}
	start := len(b)
	b = append(b, magic...)
	e.sum = sum(0, b[start:])
	e.raw = h.append(e.raw[:0])
	return e.block(b, KindHeader, h.Time)
}

// Swarms appends a block of swarms that was filled at that time. It must not be longer than a block may be.
func (e *Encoder) Swarms(b []byte, at time.Time, x *wire.Excerpt) []byte {
	e.counts.swarms += uint64(len(x.Swarms))
	e.counts.members += uint64(len(x.Members))
	e.raw = x.Append(e.raw[:0])
	return e.block(b, KindSwarms, at)
}

// Leavers does the same for a block of leavers.
func (e *Encoder) Leavers(b []byte, at time.Time, l []wire.Leaver) []byte {
	e.counts.leavers += uint64(len(l))
	e.raw = wire.AppendLeavers(e.raw[:0], l)
	return e.block(b, KindLeavers, at)
}

// Known does the same for a block of what the teller knows of other nodes.
func (e *Encoder) Known(b []byte, at time.Time, ks []Known) []byte {
	e.raw = appendKnown(e.raw[:0], ks)
	return e.block(b, KindKnown, at)
}

// End appends the end of the stream.
func (e *Encoder) End(b []byte, at time.Time) []byte {
	e.raw = e.counts.append(e.raw[:0])
	return e.block(b, KindEnd, at)
}

// block appends a block of what is in e.raw.
func (e *Encoder) block(b []byte, kind Kind, at time.Time) []byte {
	start := len(b)
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint32(b, 0) // the length, which follows
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.raw)))
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(at.Sub(e.begun)/time.Millisecond, 0), 1<<32-1)))
	if kind == KindSwarms || kind == KindLeavers {
		b = e.pack.EncodeAll(e.raw, b)
	}
	if stored := len(b) - start - blockHead; stored == 0 || stored >= len(e.raw) {
		b = append(b[:start+blockHead], e.raw...)
	}
	binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-blockHead))
	e.sum = sum(e.sum, b[start:])
	return e.seal(b)
}

func (e *Encoder) seal(b []byte) []byte {
	end := len(b)
	b = binary.BigEndian.AppendUint32(b, e.sum)
	e.sum = sum(e.sum, b[end:])
	return b
}

// Why a stream is refused.
var (
	ErrFormat   = errors.New("not a stream of this format")
	ErrChecksum = errors.New("a checksum is wrong")
	ErrBlock    = errors.New("a block contradicts itself")
	ErrOrder    = errors.New("a block is in the wrong place")
	ErrCounts   = errors.New("the stream does not hold what its end counts")
)
