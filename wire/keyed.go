package wire

import (
	"encoding/binary"
	"errors"
)

// Control types of the keyed mode. A node without a key does not know them.
const (
	typeState   = 0x53540001
	typeNack    = 0x53540002
	typeGone    = 0x53540003
	typeBye     = 0x53540004
	typePromise = 0x53540005
	typeEdits   = 0x53540006
)

// Sizes in bytes of what the keyed mode adds, and how many records then fit into one packet without IP fragments.
const (
	TrailerSize = 24 // epoch, sequence and tag
	TagSize     = 12
	RangeSize   = 8

	MaxKeyed4     = 51
	MaxKeyed6     = 36
	MaxKeyedTells = 45

	// MaxUnfragmented is the longest UDP payload that an Ethernet frame carries: no packet of the keyed mode is longer.
	MaxUnfragmented = 1500 - 20 - 8

	nackSize    = HeaderSize + 16
	goneSize    = HeaderSize + 12
	byeSize     = HeaderSize + 4
	promiseSize = HeaderSize + 12

	// MaxRanges is how many ranges fit into a NACK, GONE or PROMISE.
	MaxRanges = (MaxUnfragmented - TrailerSize - nackSize) / RangeSize
)

// ErrMalformed says that the body of a control packet contradicts itself: it is shorter than what it counts, or a range ends before it begins.
var ErrMalformed = errors.New("livesync: malformed control packet")

// Space is one of the three sequences in which a sender numbers its sealed packets. It follows from the packet's type.
type Space uint8

// The spaces; the numbers are part of the nonce of a tag.
const (
	SpaceData    Space = iota // records: repaired when lost
	SpaceTell                 // tells: checked against replay, never repaired
	SpaceControl              // STATE, NACK, GONE, BYE, PROMISE, EDITS
	Spaces
)

// SpaceOf returns the space of a packet that begins with a header. What is neither a tell nor a control packet is data.
func SpaceOf(b []byte) Space {
	switch binary.BigEndian.Uint32(b[4:]) {
	case typeTell:
		return SpaceTell
	case typeState, typeNack, typeGone, typeBye, typePromise, typeEdits:
		return SpaceControl
	}
	return SpaceData
}

// AppendTrailer appends the first half of the trailer, what the tag covers beside the packet; the tag follows it.
func AppendTrailer(b []byte, epoch uint64, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, epoch), seq)
}

// readTrailer fills in what the last 24 bytes of b say. There must be a header before them.
func (p *Packet) readTrailer(b []byte) {
	end := len(b) - TagSize
	p.Keyed = true
	p.Epoch = binary.BigEndian.Uint64(b[end-12:])
	p.Seq = binary.BigEndian.Uint32(b[end-4:])
	p.Tag = [TagSize]byte(b[end:])
	p.Sealed = b[:end:end]
}

// parseControl reads a packet of a control type, whose body is left to the method of its kind.
func (p *Packet) parseControl(kind Kind, b []byte) error {
	if len(b) < HeaderSize+TrailerSize {
		return ErrShort
	}
	p.Kind = kind
	p.readTrailer(b)
	p.body = b[HeaderSize : len(b)-TrailerSize]
	return nil
}

// Range is a run of sequence numbers, both ends included.
type Range struct{ First, Last uint32 }

// appendRanges appends as many ranges as fit into a packet.
func appendRanges(b []byte, ranges []Range) []byte {
	for _, r := range ranges[:min(len(ranges), MaxRanges)] {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, r.First), r.Last)
	}
	return b
}

// parseRanges puts the ranges into buf, which grows only when it is too small, and returns it.
func parseRanges(b []byte, buf []Range) ([]Range, error) {
	buf = buf[:0]
	for ; len(b) >= RangeSize && len(buf) < MaxRanges; b = b[RangeSize:] {
		r := Range{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
		if r.First > r.Last {
			return buf[:0], ErrMalformed
		}
		buf = append(buf, r)
	}
	return buf, nil
}

// Nack asks for packets that did not arrive.
type Nack struct {
	Target NodeID  // who sent them
	Epoch  uint64  // in which of its epochs
	Origin bool    // nobody but the target shall answer
	Ranges []Range // of the data space, at most [MaxRanges]
}

// Append appends a whole NACK of node id, without the trailer.
func (n *Nack) Append(b []byte, id NodeID) []byte {
	b = append(appendHeader(b, id, typeNack), n.Target[:]...)
	b = binary.BigEndian.AppendUint64(b, n.Epoch)
	if n.Origin {
		b = append(b, 1, 0, 0, 0)
	} else {
		b = append(b, 0, 0, 0, 0)
	}
	return appendRanges(b, n.Ranges)
}

// Nack returns what a packet of kind [KindNack] says. Its ranges are put into buf, which grows only when it is too small.
func (p *Packet) Nack(buf []Range) (Nack, error) {
	b := p.body
	if p.Kind != KindNack || len(b) < nackSize-HeaderSize {
		return Nack{}, ErrMalformed
	}
	ranges, err := parseRanges(b[16:], buf)
	if err != nil {
		return Nack{}, err
	}
	return Nack{Target: NodeID(b), Epoch: binary.BigEndian.Uint64(b[4:]), Origin: b[12]&1 != 0, Ranges: ranges}, nil
}

// Gone says which of the sender's own packets it does not have any more, or has never sent.
type Gone struct {
	Epoch  uint64
	Age    uint32  // milliseconds since the oldest of them was sent or discarded
	Ranges []Range // of the data space, at most [MaxRanges]
}

// Append appends a whole GONE of node id, without the trailer.
func (g *Gone) Append(b []byte, id NodeID) []byte {
	b = binary.BigEndian.AppendUint64(appendHeader(b, id, typeGone), g.Epoch)
	return appendRanges(binary.BigEndian.AppendUint32(b, g.Age), g.Ranges)
}

// Gone returns what a packet of kind [KindGone] says. Its ranges are put into buf, which grows only when it is too small.
func (p *Packet) Gone(buf []Range) (Gone, error) {
	b := p.body
	if p.Kind != KindGone || len(b) < goneSize-HeaderSize {
		return Gone{}, ErrMalformed
	}
	ranges, err := parseRanges(b[12:], buf)
	if err != nil {
		return Gone{}, err
	}
	return Gone{Epoch: binary.BigEndian.Uint64(b), Age: binary.BigEndian.Uint32(b[8:]), Ranges: ranges}, nil
}

// Bye is the last packet of a node that ends.
type Bye struct {
	Next uint32 // the data sequence that follows the last one used: what is below it and missing was lost
}

// Append appends a whole BYE of node id, without the trailer.
func (y *Bye) Append(b []byte, id NodeID) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(b, id, typeBye), y.Next)
}

// Bye returns what a packet of kind [KindBye] says.
func (p *Packet) Bye() (Bye, error) {
	if p.Kind != KindBye || len(p.body) < byeSize-HeaderSize {
		return Bye{}, ErrMalformed
	}
	return Bye{Next: binary.BigEndian.Uint32(p.body)}, nil
}

// Promise says which packets of a silent node the sender of the promise is going to send again.
type Promise struct {
	Sender NodeID // whose packets they are
	Epoch  uint64
	Ranges []Range // of the data space, at most [MaxRanges]
}

// Append appends a whole PROMISE of node id, without the trailer.
func (m *Promise) Append(b []byte, id NodeID) []byte {
	b = append(appendHeader(b, id, typePromise), m.Sender[:]...)
	return appendRanges(binary.BigEndian.AppendUint64(b, m.Epoch), m.Ranges)
}

// Promise returns what a packet of kind [KindPromise] says. Its ranges are put into buf, which grows only when it is too small.
func (p *Packet) Promise(buf []Range) (Promise, error) {
	b := p.body
	if p.Kind != KindPromise || len(b) < promiseSize-HeaderSize {
		return Promise{}, ErrMalformed
	}
	ranges, err := parseRanges(b[12:], buf)
	if err != nil {
		return Promise{}, err
	}
	return Promise{Sender: NodeID(b), Epoch: binary.BigEndian.Uint64(b[4:]), Ranges: ranges}, nil
}
