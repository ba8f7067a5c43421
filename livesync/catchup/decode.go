package catchup

import (
	"encoding/binary"
	"time"

	"github.com/klauspost/compress/zstd"

	"starling/wire"
)

// Block is a block of a stream whose checksum was right. What it points to is good until the next one is decoded.
type Block struct {
	Kind    Kind
	At      time.Duration // when it was made, counted from the header's time
	Header  *Header       // of the stream, in every block
	Excerpt *wire.Excerpt // of KindSwarms
	Leavers []wire.Leaver // of KindLeavers
	Known   []Known       // of KindKnown
}

// Decoder reads a stream. It is given the bytes it asks for:
//
//	b has d.Size() bytes --> d.Next(b) --> nil, or a block; after that of KindEnd Size is 0
type Decoder struct {
	sum    uint32
	counts counts
	header Header
	kind   Kind // of the last block; 0: none yet
	size   int
	head   [len(magic) + blockHead]byte // of the block that comes
	body   bool                         // the head was read
	pack   *zstd.Decoder
	raw    []byte
	x      wire.Excerpt
	left   []wire.Leaver
	known  []Known
	block  Block
}

// NewDecoder returns a decoder for one stream.
func NewDecoder() *Decoder {
	pack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("catchup: " + err.Error()) // only for options that contradict each other
	}
	return &Decoder{pack: pack, size: len(magic) + blockHead}
}

// Size returns how many bytes Next wants, 0 behind the end. It is at most a quarter of a mebibyte and some.
func (d *Decoder) Size() int { return d.size }

// Next takes the next Size bytes. It returns a block as soon as it is whole and its checksum right. After an error the decoder is of no more use.
func (d *Decoder) Next(b []byte) (*Block, error) {
	if !d.body {
		return nil, d.readHead(b)
	}
	d.body, d.size = false, blockHead
	stored := b[:len(b)-blockTail]
	d.sum = sum(d.sum, stored)
	if binary.BigEndian.Uint32(b[len(stored):]) != d.sum {
		return nil, ErrChecksum
	}
	d.sum = sum(d.sum, b[len(stored):])
	head := d.head[len(magic):]
	d.kind = Kind(head[0])
	raw, err := d.unpack(stored, int(binary.BigEndian.Uint32(head[5:])))
	if err != nil {
		return nil, err
	}
	d.block = Block{Kind: d.kind, At: time.Duration(binary.BigEndian.Uint32(head[9:])) * time.Millisecond, Header: &d.header}
	return &d.block, d.read(raw)
}

// readHead checks the head of a block before anything is made for it.
func (d *Decoder) readHead(b []byte) error {
	if d.kind == 0 {
		if string(b[:len(magic)]) != magic {
			return ErrFormat
		}
		d.sum = sum(0, b[:len(magic)])
		b = b[len(magic):]
	}
	d.sum = sum(d.sum, b)
	copy(d.head[len(magic):], b)
	stored, raw := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	if stored > raw || raw > maxRaw {
		return ErrBlock
	}
	if kind := Kind(b[0]); kind > KindKnown || (kind == KindHeader) != (d.kind == 0) || kind == 0 {
		return ErrOrder
	}
	d.body, d.size = true, int(stored)+blockTail
	return nil
}

// unpack returns what is in a block.
func (d *Decoder) unpack(stored []byte, raw int) ([]byte, error) {
	if len(stored) == raw {
		return stored, nil
	}
	if cap(d.raw) < raw {
		d.raw = make([]byte, 0, max(raw, fullBlock))
	}
	b, err := d.pack.DecodeAll(stored, d.raw[:0:raw])
	if err != nil || len(b) != raw {
		return nil, ErrBlock
	}
	return b, nil
}

// read puts what is in a block into d.block.
func (d *Decoder) read(raw []byte) (err error) {
	switch d.kind {
	case KindHeader:
		if !d.header.parse(raw) {
			return ErrBlock
		}
	case KindSwarms:
		d.block.Excerpt = &d.x
		if err := d.x.Parse(raw); err != nil {
			return ErrBlock
		}
		d.counts.swarms += uint64(len(d.x.Swarms))
		d.counts.members += uint64(len(d.x.Members))
	case KindLeavers:
		if d.left, err = wire.ParseLeavers(raw, d.left); err != nil {
			return ErrBlock
		}
		d.block.Leavers = d.left
		d.counts.leavers += uint64(len(d.left))
	case KindKnown:
		if d.known, err = parseKnown(raw, d.known); err != nil {
			return ErrBlock
		}
		d.block.Known = d.known
	case KindEnd:
		d.size = 0
		if string(d.counts.append(nil)) != string(raw) {
			return ErrCounts
		}
	}
	return nil
}
