package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// appendPacket writes a packet from the values it was read as; an empty type 0 packet, which nobody here sends, as nothing.
func appendPacket(b []byte, p *wire.Packet) []byte {
	switch p.Kind {
	case wire.KindBeacon:
		return wire.AppendBeacon(b, p.From, p.Torrents)
	case wire.KindInquire:
		return wire.AppendInquire(b, p.From, p.Target)
	case wire.KindLive4:
		b = wire.AppendLive4(b, p.From)
		for i := range p.Len() {
			r := p.Record(i)
			b = r.Append4(b)
		}
	case wire.KindLive6:
		b = wire.AppendLive6(b, p.From)
		for i := range p.Len() {
			r := p.Record(i)
			b = r.Append6(b)
		}
	case wire.KindTell:
		b = wire.AppendTell(b, p.From)
		for i := range p.Len() {
			e := p.Tell(i)
			b = e.Append(b)
		}
	}
	return b
}

// fullPackets has one packet of each kind, as long as a tracker sends them.
func fullPackets(rng *rand.Rand) [][]byte {
	id, target := wire.NodeID(randomBytes(rng, 4)), wire.NodeID(randomBytes(rng, 4))
	live4, live6, tell := wire.AppendLive4(nil, id), wire.AppendLive6(nil, id), wire.AppendTell(nil, id)
	for range wire.MaxRecords4 {
		r := randomRecord(rng, true)
		live4 = r.Append4(live4)
	}
	for range wire.MaxRecords6 {
		r := randomRecord(rng, rng.IntN(4) == 0)
		live6 = r.Append6(live6)
	}
	for range wire.MaxTells {
		e := randomTell(rng)
		tell = e.Append(tell)
	}
	return [][]byte{live4, live6, tell, wire.AppendBeacon(nil, id, rng.Uint64()), wire.AppendInquire(nil, id, target)}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func randomRecord(rng *rand.Rand, v4 bool) wire.Record {
	r := wire.Record{InfoHash: wire.InfoHash(randomBytes(rng, 20)), Flags: wire.Flags(rng.IntN(8) << 5)}
	if v4 {
		r.Peer = wire.PeerFrom4(randomBytes(rng, 6))
	} else {
		r.Peer = wire.PeerFrom6(randomBytes(rng, 18))
	}
	return r
}

func randomTell(rng *rand.Rand) wire.Tell {
	return wire.Tell{InfoHash: wire.InfoHash(randomBytes(rng, 20)), Age: rng.Uint32(), Downloaded: rng.Uint64()}
}

// Whatever is written is read as the same values, and full packets fit into an unfragmented datagram.
func TestPacketRoundTrip(t *testing.T) {
	const unfragmented = 1500 - 20 - 8
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		id := wire.NodeID(randomBytes(rng, 4))
		live4, live6, tell := wire.AppendLive4(nil, id), wire.AppendLive6(nil, id), wire.AppendTell(nil, id)
		var records4, records6 []wire.Record
		var tells []wire.Tell
		for range 1 + rng.IntN(wire.MaxRecords4) {
			records4 = append(records4, randomRecord(rng, true))
			live4 = records4[len(records4)-1].Append4(live4)
		}
		for range 1 + rng.IntN(wire.MaxRecords6) {
			records6 = append(records6, randomRecord(rng, rng.IntN(2) == 0))
			live6 = records6[len(records6)-1].Append6(live6)
		}
		for range rng.IntN(wire.MaxTells + 1) {
			tells = append(tells, randomTell(rng))
			tell = tells[len(tells)-1].Append(tell)
		}
		checkRecords(t, seed, live4, wire.KindLive4, records4)
		checkRecords(t, seed, live6, wire.KindLive6, records6)
		p, err := wire.ParsePacket(tell)
		if err != nil || p.Kind != wire.KindTell || p.Len() != len(tells) || p.From != id {
			t.Fatalf("seed %d: %v %v of %d, want a tell of %d", seed, err, p.Kind, p.Len(), len(tells))
		}
		for i, want := range tells {
			if got := p.Tell(i); got != want {
				t.Fatalf("seed %d: entry %d is %v, want %v", seed, i, got, want)
			}
		}
	}
	for _, b := range fullPackets(rand.New(rand.NewPCG(0, 2))) {
		if len(b) > unfragmented {
			t.Errorf("a packet of %d bytes is fragmented", len(b))
		}
	}
}

func checkRecords(t *testing.T, seed uint64, b []byte, kind wire.Kind, want []wire.Record) {
	t.Helper()
	p, err := wire.ParsePacket(b)
	if err != nil || p.Kind != kind || p.Len() != len(want) || p.From != wire.NodeID(b) {
		t.Fatalf("seed %d: %v %v of %d, want %v of %d", seed, err, p.Kind, p.Len(), kind, len(want))
	}
	for i, r := range want {
		if got := p.Record(i); got != r {
			t.Fatalf("seed %d: record %d is %v, want %v", seed, i, got, r)
		}
	}
}

// A packet cut anywhere holds the records that are still whole, is another
// whole kind of packet (a beacon is a cut packet of IPv6 peers), or is refused.
func TestPacketTruncated(t *testing.T) {
	packets := fullPackets(rand.New(rand.NewPCG(1, 3)))
	for _, v := range loadVectors(t) {
		packets = append(packets, v.packet)
	}
	sizes := map[wire.Kind]int{wire.KindLive4: wire.Record4Size, wire.KindLive6: wire.Record6Size, wire.KindTell: wire.TellSize}
	for _, whole := range packets {
		full, fullErr := wire.ParsePacket(whole)
		for n := range len(whole) {
			b := whole[:n:n]
			p, err := wire.ParsePacket(b)
			switch {
			case n < wire.HeaderSize:
				if !errors.Is(err, wire.ErrShort) || p.Len() != 0 || p.From != (wire.NodeID{}) {
					t.Fatalf("%x: %v, want ErrShort and nothing read", b, err)
				}
			case err != nil:
				if !errors.Is(err, wire.ErrShort) && !errors.Is(err, fullErr) {
					t.Fatalf("%x: %v, want ErrShort", b, err)
				}
				if size := sizes[full.Kind]; size > 0 && n >= wire.HeaderSize+size {
					t.Fatalf("%x: %v with a whole record", b, err)
				}
			case p.Kind == wire.KindBeacon, p.Kind == wire.KindEmpty:
				if n != wire.BeaconSize && n != wire.HeaderSize {
					t.Fatalf("%x is %v", b, p.Kind)
				}
			default:
				if p.Kind != full.Kind || p.Len() != (n-wire.HeaderSize)/sizes[p.Kind] || p.Len() > full.Len() {
					t.Fatalf("%x is %v of %d", b, p.Kind, p.Len())
				}
			}
		}
	}
}

func TestPacketRefused(t *testing.T) {
	header := func(typ uint32, length int) []byte {
		b := make([]byte, length)
		copy(b, "\x01\x02\x03\x04")
		binary.BigEndian.PutUint32(b[4:], typ)
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"inquiry too long", header(2, wire.InquireSize+1), wire.ErrShort},
		{"inquiry too short", header(2, wire.InquireSize-1), wire.ErrShort},
		{"IPv6 peers without one", header(1, wire.HeaderSize), wire.ErrShort},
		{"type 4", header(4, 100), wire.ErrType},
		{"type with a high byte", header(0x53540007, 100), wire.ErrType},
		{"the longest there is", header(3, wire.MaxPacket), nil},
		{"longer than any", header(3, wire.MaxPacket+1), wire.ErrLong},
		{"longest UDP datagram", header(0, 65507), wire.ErrLong},
	} {
		p, err := wire.ParsePacket(c.b)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if !errors.Is(err, wire.ErrLong) && p.From != (wire.NodeID{1, 2, 3, 4}) {
			t.Errorf("%s: from %v", c.name, p.From)
		}
	}
}

// What is not understood in a record is ignored: the second flag byte and five of the flags.
func TestRecordUnknownBits(t *testing.T) {
	r := wire.Record{Peer: wire.PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1}), Flags: wire.Seeding}
	b := r.Append4(wire.AppendLive4(nil, wire.NodeID{1}))
	b[len(b)-2] |= 0x1f
	b[len(b)-1] = 0xff
	p, err := wire.ParsePacket(b)
	if err != nil || p.Record(0) != r {
		t.Errorf("%v, %v, want %v", err, p.Record(0), r)
	}
}

func TestFlags(t *testing.T) {
	for flags, want := range map[wire.Flags]string{
		0:                            "leecher",
		wire.Seeding:                 "seeder",
		wire.Complete:                "leecher",
		wire.Seeding | wire.Complete: "completed",
		wire.Stopped:                 "stopped",
		wire.Stopped | wire.Seeding:  "stopped",
		wire.Stopped | wire.Seeding | wire.Complete: "stopped",
	} {
		if got := flags.String(); got != want {
			t.Errorf("%#x is %s, want %s", uint8(flags), got, want)
		}
		if got := flags.Completion(); got != (want == "completed") {
			t.Errorf("%#x is a completion: %t", uint8(flags), got)
		}
	}
}

func TestKindNames(t *testing.T) {
	names := map[string]bool{}
	for kind := wire.KindEmpty; kind <= wire.KindEdits; kind++ {
		names[kind.String()] = true
	}
	if len(names) != 12 || names[""] {
		t.Errorf("names %v, want twelve", names)
	}
}

func TestParseNodeID(t *testing.T) {
	id, err := wire.ParseNodeID("7f3a91c2")
	if err != nil || id != (wire.NodeID{0x7f, 0x3a, 0x91, 0xc2}) || id.String() != "7f3a91c2" {
		t.Errorf("%v, %v", id, err)
	}
	for _, s := range []string{"", "7f3a91c", "7f3a91c200", "7f3a91cg", "00000000", " 7f3a91c"} {
		if id, err := wire.ParseNodeID(s); err == nil {
			t.Errorf("%q is %v", s, id)
		}
	}
}

// Neither reading nor writing allocates.
func TestPacketAllocations(t *testing.T) {
	packets := fullPackets(rand.New(rand.NewPCG(3, 4)))
	buf := make([]byte, 0, wire.MaxPacket)
	for _, b := range packets {
		allocs := testing.AllocsPerRun(100, func() {
			p, err := wire.ParsePacket(b)
			if err != nil {
				t.Fatal(err)
			}
			buf = appendPacket(buf[:0], &p)
		})
		if allocs != 0 {
			t.Errorf("%.0f allocations for a packet of type %d", allocs, b[7])
		}
		if !bytes.Equal(buf, b) {
			t.Errorf("written as %x, read from %x", buf, b)
		}
	}
}

// Nothing makes the parser panic, and what it accepts is, written again, the
// packet without what is not understood.
func FuzzParsePacket(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.packet)
	}
	for _, b := range fullPackets(rand.New(rand.NewPCG(5, 6))) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.ParsePacket(b)
		if err != nil {
			if p.Len() != 0 {
				t.Fatalf("%d records with %v", p.Len(), err)
			}
			return
		}
		if p.Kind == wire.KindEmpty {
			return
		}
		if p.Keyed != (len(p.Sealed) > 0) || p.Keyed && !bytes.Equal(append(bytes.Clone(p.Sealed), p.Tag[:]...), b) {
			t.Fatalf("keyed: %t, sealed %x, tag %x", p.Keyed, p.Sealed, p.Tag)
		}
		if p.Kind.Control() {
			checkControl(t, &p)
			return
		}
		for i := range p.Len() {
			if p.Kind != wire.KindTell {
				peer := p.Record(i).Peer
				if peer.Is4() != peer.Addr().Is4() || len(peer.Compact()) == wire.Compact4 != peer.Is4() {
					t.Fatalf("%v: families disagree", peer)
				}
			}
		}
		again := appendPacket(nil, &p)
		understood := bytes.Clone(b[:len(again)])
		if size := map[wire.Kind]int{wire.KindLive4: wire.Record4Size, wire.KindLive6: wire.Record6Size}[p.Kind]; size > 0 {
			for end := wire.HeaderSize + size; end <= len(understood); end += size {
				understood[end-2] &= 0xe0
				understood[end-1] = 0
			}
		}
		if !bytes.Equal(again, understood) {
			t.Fatalf("written again as\n%x, read from\n%x", again, understood)
		}
	})
}

func FuzzParseNodeID(f *testing.F) {
	f.Add("7f3a91c2")
	f.Add("00000000")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := wire.ParseNodeID(s)
		if err != nil {
			return
		}
		if again, err := wire.ParseNodeID(id.String()); err != nil || again != id || id == (wire.NodeID{}) {
			t.Fatalf("%q is %v, read again as %v, %v", s, id, again, err)
		}
	})
}

// TestRenewalStaysHere: what a record says to our own sender only is not written.
func TestRenewalStaysHere(t *testing.T) {
	for _, flags := range []wire.Flags{0, wire.Seeding, wire.Stopped} {
		r := wire.Record{Flags: flags | wire.Renewal}
		for _, b := range [][]byte{r.Append4(nil), r.Append6(nil)} {
			if got := wire.Flags(b[len(b)-2]); got != flags {
				t.Errorf("wrote flags %#x, want %#x", got, flags)
			}
		}
	}
}
