package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"starling/wire"
)

// Forgery is what somebody sends who is no node.
type Forgery uint8

// The forgeries. In plain mode nothing tells a good record from a forged one, so only those are played that a receiver can know.
const (
	Noisy      Forgery = iota // random bytes of random lengths
	Cropped                   // recorded packets, cut short
	OwnIDs                    // packets without records under the nodes' ids
	Foreign                   // the same as planted, from an address that is not listened to
	Replayed                  // recorded packets as they were
	Planted                   // well-formed records of clients that never were
	Changed                   // recorded packets with some bits changed
	Renamed                   // recorded packets under another node's id
	PlayedBack                // all that was recorded of one node, in its order
	forgeries
)

var forgeryNames = [...]string{"noise", "cropped", "own ids", "foreign", "replayed", "planted", "changed", "renamed", "played back"}

func (f Forgery) String() string { return forgeryNames[f] }

var plainForgeries = []Forgery{Noisy, OwnIDs, Foreign, Replayed}

// record keeps the packets seen on the segment: the last ones, and some of each time.
type record struct {
	packets []recorded
	seen    uint64
}

type recorded struct {
	at   time.Duration
	from netip.AddrPort
	b    []byte
}

const (
	recent  = 64  // packets that are certainly there
	history = 512 // that are there at all
)

// add records a packet. When there is no room every second one of the older half goes.
func (r *record) add(at time.Duration, from netip.AddrPort, pkt []byte) {
	r.seen++
	r.packets = append(r.packets, recorded{at, from, slices.Clone(pkt)})
	if len(r.packets) < history+recent {
		return
	}
	kept := r.packets[:0]
	for i, p := range r.packets {
		if i >= history || i%2 == 0 {
			kept = append(kept, p)
		}
	}
	r.packets = kept
}

// has reports whether the very bytes were sent before, under another id.
func (r *record) has(pkt []byte, id wire.NodeID) bool {
	return wire.NodeID(pkt[:4]) != id && slices.ContainsFunc(r.packets, func(p recorded) bool { return bytes.Equal(p.b, pkt) })
}

// forge sends some forged packets to all nodes.
func (c *cluster) forge(e *Event) {
	rng := rand.New(rand.NewPCG(e.Salt, 5))
	if e.Forgery == PlayedBack {
		c.playBack(rng)
		return
	}
	for range 1 + rng.IntN(40) {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + rng.IntN(c.Nodes+3))}), uint16(rng.IntN(65536)))
		var p recorded
		if len(c.record.packets) > 0 {
			p = c.record.packets[rng.IntN(len(c.record.packets))]
		}
		if rng.IntN(2) == 0 && p.b != nil {
			from = p.from
		}
		b := c.forged(e.Forgery, rng, p.b)
		if b == nil {
			continue
		}
		if e.Forgery == Foreign {
			from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), from.Port())
		}
		for _, m := range c.members {
			c.deliver(m, from, b, time.Duration(rng.IntN(int(time.Millisecond))))
		}
	}
}

// playBack sends all that was recorded of one node, from a time on, a millisecond between two packets.
func (c *cluster) playBack(rng *rand.Rand) {
	packets := c.record.packets
	if len(packets) == 0 {
		return
	}
	first := rng.IntN(len(packets))
	id, n := string(packets[first].b[:4]), 0
	for _, p := range packets[first:] {
		if string(p.b[:4]) != id {
			continue
		}
		n++
		for _, m := range c.members {
			c.deliver(m, p.from, p.b, time.Duration(n)*time.Millisecond)
		}
	}
}

// forged returns a forged packet, made of a recorded one where that is needed; nil when there is none.
func (c *cluster) forged(f Forgery, rng *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	switch f {
	case Noisy:
		b = make([]byte, rng.IntN(1600))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if len(b) > 6 && b[4] == 0 { // in plain mode this could be a type that carries records
			b[4] = 1
		}
	case OwnIDs:
		id := c.members[rng.IntN(len(c.members))].id
		if rng.IntN(2) == 0 {
			return wire.AppendBeacon(nil, id, rng.Uint64())
		}
		return wire.AppendInquire(nil, id, wire.NodeID(binaryID(rng)))
	case Planted, Foreign:
		b = wire.AppendLive4(nil, binaryID(rng))
		for range 1 + rng.IntN(wire.MaxRecords4) {
			r := wire.Record{InfoHash: hashOf(rng.IntN(torrents)), Flags: wire.Flags(rng.Uint32())}
			r.Peer = wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(rng.Uint32())}), 99))
			b = r.Append4(b)
		}
		for range rng.IntN(32) {
			b = append(b, byte(rng.Uint32()))
		}
	case Cropped:
		b = b[:rng.IntN(len(b)+1)]
	case Changed:
		for range 1 + rng.IntN(3) {
			if len(b) > 0 {
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			}
		}
	case Renamed:
		if len(b) >= 4 {
			id := c.members[rng.IntN(len(c.members))].id
			if id == wire.NodeID(b[:4]) {
				return nil
			}
			copy(b, id[:])
		}
	}
	return b
}

func binaryID(rng *rand.Rand) wire.NodeID {
	v := rng.Uint32() | 1
	return wire.NodeID{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// describe names a packet in one line.
func describe(pkt []byte) string {
	p, err := wire.ParsePacket(pkt)
	if err != nil {
		return fmt.Sprintf("%d bytes: %v", len(pkt), err)
	}
	return fmt.Sprintf("%s of %s, %d entries", p.Kind, p.From, p.Len())
}
