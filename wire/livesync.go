package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
)

// The protocol's numbers (opentracker, ot_livesync.h). This is their one home.
var (
	// Group is where every node sends and listens, as documented.
	Group = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 42, 5}), 9696)
	// OpentrackerGroup is where real opentrackers send and listen, whatever their documentation says.
	OpentrackerGroup = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 23, 5}), 9696)
)

// Packet types. Type 1 serves two masters: 16 bytes are a beacon, all else IPv6 peers.
const (
	typeLive4   = 0
	typeBeacon  = 1
	typeLive6   = 1
	typeInquire = 2
	typeTell    = 3
)

// Sizes in bytes, and how many records fit into one packet without IP fragments.
const (
	HeaderSize  = 8
	BeaconSize  = 16
	InquireSize = 12
	Record4Size = 28
	Record6Size = 40
	TellSize    = 32

	MaxRecords4 = 52
	MaxRecords6 = 36
	MaxTells    = 45

	// MaxPacket is the longest datagram any tracker sends: a tell of the opentracker of 2010.
	MaxPacket = HeaderSize + 46*TellSize
)

// NodeID names a tracker instance: four opaque bytes.
type NodeID [4]byte

// String returns the 8 hexadecimal digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// ParseNodeID reads 8 hexadecimal digits, not all zero.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("tracker id %q is not 8 hexadecimal digits", s)
	}
	copy(id[:], b)
	if id == (NodeID{}) {
		return id, fmt.Errorf("tracker id %q is zero", s)
	}
	return id, nil
}

// Flags says what a record tells of its peer.
type Flags uint8

// The flags of a record. A completion is Seeding and Complete together; Complete alone counts nothing; Stopped wins over the rest.
const (
	Seeding  Flags = 0x80
	Complete Flags = 0x40
	Stopped  Flags = 0x20

	flagMask = Seeding | Complete | Stopped

	// Renewal marks a record that says what the other nodes know already: that the peer is still there. It is for our own
	// sender, which gives up such records first, and never leaves this host.
	Renewal Flags = 0x01
)

// Completion reports whether the flags tell that the peer has just become a seeder by finishing its download.
func (f Flags) Completion() bool { return f&flagMask == Seeding|Complete }

// String returns what the flags say of the peer, in one word.
func (f Flags) String() string {
	switch {
	case f&Stopped != 0:
		return "stopped"
	case f.Completion():
		return "completed"
	case f&Seeding != 0:
		return "seeder"
	}
	return "leecher"
}

// Record is what one node tells the others of one peer.
type Record struct {
	InfoHash InfoHash
	Peer     Peer
	Flags    Flags
}

// Append4 appends the 28 bytes of a type 0 record. The peer must be IPv4.
func (r *Record) Append4(b []byte) []byte {
	b = append(b, r.InfoHash[:]...)
	b = append(b, r.Peer[12:]...)
	return append(b, byte(r.Flags&flagMask), 0)
}

// Append6 appends the 40 bytes of a type 1 record. An IPv4 peer is written in its mapped form.
func (r *Record) Append6(b []byte) []byte {
	b = append(b, r.InfoHash[:]...)
	b = append(b, r.Peer[:]...)
	return append(b, byte(r.Flags&flagMask), 0)
}

// Tell is what one node tells the others of one torrent.
type Tell struct {
	InfoHash   InfoHash
	Age        uint32 // minutes since the torrent was last announced
	Downloaded uint64 // completions since the torrent is known
}

// Append appends the 32 bytes of a tell entry.
func (t *Tell) Append(b []byte) []byte {
	b = append(b, t.InfoHash[:]...)
	b = binary.BigEndian.AppendUint32(b, t.Age)
	return binary.BigEndian.AppendUint64(b, t.Downloaded)
}

// AppendLive4 appends the header of a packet of IPv4 records.
func AppendLive4(b []byte, id NodeID) []byte { return appendHeader(b, id, typeLive4) }

// AppendLive6 appends the header of a packet of IPv6 records.
func AppendLive6(b []byte, id NodeID) []byte { return appendHeader(b, id, typeLive6) }

// AppendTell appends the header of a tell.
func AppendTell(b []byte, id NodeID) []byte { return appendHeader(b, id, typeTell) }

// AppendBeacon appends a whole beacon.
func AppendBeacon(b []byte, id NodeID, torrents uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, id, typeBeacon), torrents)
}

// AppendInquire appends a whole inquiry, addressed to target.
func AppendInquire(b []byte, id, target NodeID) []byte {
	return append(appendHeader(b, id, typeInquire), target[:]...)
}

func appendHeader(b []byte, id NodeID, typ uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, id[:]...), typ)
}

// Kind tells the packets apart; it is derived from type and length.
type Kind uint8

// The kinds of packet. KindEmpty is a type 0 header alone, the sign of life of an idle opentracker of 2010.
const (
	KindEmpty Kind = iota
	KindLive4
	KindLive6
	KindBeacon
	KindInquire
	KindTell

	// Control packets of the keyed mode.
	KindState
	KindNack
	KindGone
	KindBye
	KindPromise
	KindEdits
)

var kindNames = [...]string{"empty", "live", "live6", "beacon", "inquire", "tell", "state", "nack", "gone", "bye", "promise", "edits"}

// Control reports whether the packet is one that only nodes of the keyed mode send.
func (k Kind) Control() bool { return k >= KindState }

func (k Kind) String() string { return kindNames[k] }

// Why a packet is refused by [ParsePacket].
var (
	ErrShort = errors.New("livesync: packet too short for its type")
	ErrLong  = errors.New("livesync: packet longer than any tracker sends")
	ErrType  = errors.New("livesync: unknown packet type")
)

// Packet is a livesync datagram that was read. It points into the bytes it was read from.
type Packet struct {
	From     NodeID
	Kind     Kind
	Target   NodeID // of an inquiry
	Torrents uint64 // of a beacon

	// Keyed says that the packet is as long as one with a trailer of the keyed mode. A node without a key reads its records all the
	// same; to one with a key they mean nothing before the tag was verified.
	Keyed  bool
	Epoch  uint64
	Seq    uint32
	Tag    [TagSize]byte
	Sealed []byte // what the tag covers: the packet up to the tag

	body []byte // whole records or entries; of a control packet all between header and trailer
	size int    // of a record or an entry
}

// ParsePacket reads a datagram, for nodes with and without a key alike. It fails with [ErrShort] when not even one record is whole or a
// beacon or inquiry has not its exact length, with [ErrLong] beyond [MaxPacket], with [ErrType] for a type it does not know.
// The sender's id is in the packet even when the error is [ErrShort] or [ErrType], if there were eight bytes.
func ParsePacket(b []byte) (Packet, error) {
	if len(b) > MaxPacket {
		return Packet{}, ErrLong
	}
	if len(b) < HeaderSize {
		return Packet{}, ErrShort
	}
	p := Packet{From: NodeID(b[:4])}
	typ, body := binary.BigEndian.Uint32(b[4:]), b[HeaderSize:]
	switch {
	case typ == typeLive4 && len(body) == 0:
		p.Kind = KindEmpty
		return p, nil
	case typ == typeBeacon && len(b) == BeaconSize:
		p.Kind = KindBeacon
		p.Torrents = binary.BigEndian.Uint64(body)
		return p, nil
	case typ == typeInquire && len(b) == InquireSize:
		p.Kind = KindInquire
		p.Target = NodeID(body)
		return p, nil
	case typ == typeLive4:
		p.Kind, p.size = KindLive4, Record4Size
	case typ == typeLive6:
		p.Kind, p.size = KindLive6, Record6Size
	case typ == typeTell:
		p.Kind, p.size = KindTell, TellSize
	case typ == typeInquire:
		return p, ErrShort
	case typ >= typeState && typ <= typeEdits:
		err := p.parseControl(KindState+Kind(typ-typeState), b)
		return p, err
	default:
		return p, ErrType
	}
	n := len(body) / p.size
	// An empty tell ends a tell of the opentracker of 2010 whose last packet was full: it says something.
	if n == 0 && !(p.Kind == KindTell && len(body) == 0) {
		return p, ErrShort
	}
	p.body = body[:n*p.size]
	if len(body)-len(p.body) == TrailerSize {
		p.readTrailer(b)
	}
	return p, nil
}

// Len returns how many records or tell entries the packet holds.
func (p *Packet) Len() int {
	if p.size == 0 {
		return 0
	}
	return len(p.body) / p.size
}

// Record returns record i of a packet of kind [KindLive4] or [KindLive6].
func (p *Packet) Record(i int) Record {
	b := p.body[i*p.size : (i+1)*p.size]
	r := Record{InfoHash: InfoHash(b), Flags: Flags(b[len(b)-2]) & flagMask}
	if p.Kind == KindLive4 {
		r.Peer = PeerFrom4(b[20:])
	} else {
		r.Peer = PeerFrom6(b[20:])
	}
	return r
}

// Tell returns entry i of a packet of kind [KindTell].
func (p *Packet) Tell(i int) Tell {
	b := p.body[i*TellSize : (i+1)*TellSize]
	return Tell{
		InfoHash:   InfoHash(b),
		Age:        binary.BigEndian.Uint32(b[20:]),
		Downloaded: binary.BigEndian.Uint64(b[24:]),
	}
}
