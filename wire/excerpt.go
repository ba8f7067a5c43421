package wire

import (
	"encoding/binary"
	"errors"
)

// Sizes in bytes of the entries of an excerpt.
const (
	SwarmSize   = 36
	Member4Size = 15
	Member6Size = 27
	LeaverSize  = 42
)

// Partial marks a member of a swarm that wants no more pieces (BEP 21). No livesync record carries it.
const Partial Flags = 0x10

// MarkOnly marks a member of which more is known than the excerpt says: nothing of it counts but its completion, if the peer is there. It never is on the wire.
const MarkOnly Flags = 0x08

// Bits of a member's first byte.
const (
	memberOver6 = 0x01
	memberFlags = Seeding | Complete | Partial
)

// Excerpt is a part of what a node knows of its swarms, at one moment: whole swarms, or parts of large ones.
type Excerpt struct {
	Swarms  []Swarm
	Members []Member // of all swarms, one after the other
}

// Swarm is one torrent in an [Excerpt].
type Swarm struct {
	InfoHash   InfoHash
	Age        uint32 // minutes since it was last announced
	Downloaded uint64 // completions since it is known
	Members    int    // how many of the members are its own
}

// Member is one peer of a swarm. Flags are of [Seeding], [Complete], for a peer whose completion was counted, and
// [Partial]. It was seen and told at most as long ago as is said; below zero it is expected to come back late, and to be
// remembered as if it were seen then.
type Member struct {
	Peer  Peer
	Flags Flags
	Seen  int32  // milliseconds since its last announce
	Told  uint32 // milliseconds since the other nodes last learned of it
}

// Leaver is a peer that has stopped.
type Leaver struct {
	InfoHash InfoHash
	Peer     Peer
	Age      uint32 // milliseconds since then
}

// ErrExcerpt says that an excerpt contradicts itself, or holds what no node stores.
var ErrExcerpt = errors.New("livesync: malformed excerpt")

// Reset empties the excerpt and keeps its memory.
func (x *Excerpt) Reset() { x.Swarms, x.Members = x.Swarms[:0], x.Members[:0] }

// Append appends the swarms, each with its members behind it.
func (x *Excerpt) Append(b []byte) []byte {
	rest := x.Members
	for i := range x.Swarms {
		s := &x.Swarms[i]
		b = append(b, s.InfoHash[:]...)
		b = binary.BigEndian.AppendUint32(b, s.Age)
		b = binary.BigEndian.AppendUint64(b, s.Downloaded)
		b = binary.BigEndian.AppendUint32(b, uint32(s.Members))
		for j := range rest[:s.Members] {
			b = rest[j].append(b)
		}
		rest = rest[s.Members:]
	}
	return b
}

func (m *Member) append(b []byte) []byte {
	peer := m.Peer.Compact()
	flags := byte(m.Flags & memberFlags)
	if len(peer) == Compact6 {
		flags |= memberOver6
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Seen))
	b = binary.BigEndian.AppendUint32(b, m.Told)
	return append(b, peer...)
}

// Parse replaces the excerpt with what b says, all of it or, with [ErrExcerpt], nothing. It takes no more memory than a small multiple of len(b).
func (x *Excerpt) Parse(b []byte) error {
	x.Reset()
	for len(b) > 0 {
		var ok bool
		if b, ok = x.parseSwarm(b); !ok {
			x.Reset()
			return ErrExcerpt
		}
	}
	return nil
}

// parseSwarm adds a swarm and returns what is behind it.
func (x *Excerpt) parseSwarm(b []byte) (rest []byte, ok bool) {
	if len(b) < SwarmSize {
		return nil, false
	}
	s := Swarm{InfoHash: InfoHash(b), Age: binary.BigEndian.Uint32(b[20:]), Downloaded: binary.BigEndian.Uint64(b[24:])}
	members := binary.BigEndian.Uint32(b[32:])
	if b = b[SwarmSize:]; uint64(members)*Member4Size > uint64(len(b)) {
		return nil, false
	}
	s.Members = int(members)
	for range s.Members {
		m, size := parseMember(b)
		if size == 0 {
			return nil, false
		}
		x.Members = append(x.Members, m)
		b = b[size:]
	}
	x.Swarms = append(x.Swarms, s)
	return b, true
}

// parseMember reads a member and returns its size, 0 when there is none.
func parseMember(b []byte) (m Member, size int) {
	if len(b) < Member4Size {
		return m, 0
	}
	m.Flags = Flags(b[0] &^ memberOver6)
	m.Seen, m.Told = int32(binary.BigEndian.Uint32(b[1:])), binary.BigEndian.Uint32(b[5:])
	size = Member4Size
	if b[0]&memberOver6 != 0 {
		size = Member6Size
	}
	if len(b) < size || m.Flags&^memberFlags != 0 || m.Flags&(Seeding|Partial) == Seeding|Partial {
		return m, 0
	}
	var ok bool
	if m.Peer, ok = parseCompact(b[9:size]); !ok {
		return m, 0
	}
	return m, size
}

// parseCompact reads the 6 or 18 bytes of a peer that a client could reach, an IPv4 one in 6 only.
func parseCompact(b []byte) (p Peer, ok bool) {
	if len(b) == Compact4 {
		p = PeerFrom4(b)
	} else {
		p = PeerFrom6(b)
	}
	return p, p.Valid() && p.Is4() == (len(b) == Compact4)
}

// AppendLeavers appends the leavers, 42 bytes each.
func AppendLeavers(b []byte, leavers []Leaver) []byte {
	for i := range leavers {
		l := &leavers[i]
		b = append(b, l.InfoHash[:]...)
		b = binary.BigEndian.AppendUint32(b, l.Age)
		b = append(b, l.Peer[:]...)
	}
	return b
}

// ParseLeavers puts what b says into buf, which grows when it is too small, and returns it: all of it or, with [ErrExcerpt], nothing.
func ParseLeavers(b []byte, buf []Leaver) ([]Leaver, error) {
	buf = buf[:0]
	if len(b)%LeaverSize != 0 {
		return buf, ErrExcerpt
	}
	for ; len(b) > 0; b = b[LeaverSize:] {
		l := Leaver{InfoHash: InfoHash(b), Age: binary.BigEndian.Uint32(b[20:]), Peer: Peer(b[24:])}
		if !l.Peer.Valid() {
			return buf[:0], ErrExcerpt
		}
		buf = append(buf, l)
	}
	return buf, nil
}
