package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"starling/wire"
)

// seal appends a trailer with a tag that means nothing.
func seal(b []byte, epoch uint64, seq uint32) []byte {
	return append(wire.AppendTrailer(b, epoch, seq), "tag of 12 by"...)
}

func randomRanges(rng *rand.Rand) []wire.Range {
	ranges := make([]wire.Range, 1+rng.IntN(wire.MaxRanges))
	for i := range ranges {
		a, b := rng.Uint32(), rng.Uint32()
		ranges[i] = wire.Range{First: min(a, b), Last: max(a, b)}
	}
	return ranges
}

func randomState(rng *rand.Rand) wire.State {
	s := wire.State{
		Next: [wire.Spaces]uint32{rng.Uint32(), rng.Uint32(), rng.Uint32()}, Sent: rng.Int64(),
		Torrents: rng.Uint64(), Peers: rng.Uint64(), Inquired: wire.NodeID(randomBytes(rng, 4)), Challenge: wire.Challenge(randomBytes(rng, 8)),
		Capacity: rng.Uint64(), CatchUpPort: uint16(rng.Uint32()), Role: uint8(rng.Uint32()), Health: wire.Health(rng.Uint32()),
		Round: rng.Uint32(), Group: uint8(rng.IntN(wire.SketchGroups)),
		Version: randomBytes(rng, rng.IntN(wire.MaxVersion+1)), URL: randomBytes(rng, rng.IntN(wire.MaxURL+1)), Echoes: []wire.Echo{},
	}
	for i := range s.Sums {
		s.Sums[i] = int32(rng.Uint32())
	}
	for range rng.IntN(s.EchoRoom() + 1) {
		s.Echoes = append(s.Echoes, wire.Echo{ID: wire.NodeID(randomBytes(rng, 4)), Challenge: wire.Challenge(randomBytes(rng, 8))})
	}
	return s
}

// randomEdits fills a packet as far as it goes.
func randomEdits(rng *rand.Rand) (m wire.Edits) {
	room := wire.MaxEdits
	for range rng.IntN(9) {
		m.Digests = append(m.Digests, wire.EditDigest{Kind: uint8(rng.Uint32()), Count: rng.Uint32(), Sum: rng.Uint64()})
		room -= wire.EditDigestSize
	}
	for range rng.IntN(60) {
		e := wire.Edit{
			Kind: uint8(rng.Uint32()), Op: uint8(rng.Uint32()), Node: wire.NodeID(randomBytes(rng, 4)), Time: rng.Uint64(), End: rng.Uint64(),
			Key: wire.EditKey(randomBytes(rng, 20)), Reason: randomBytes(rng, rng.IntN(wire.MaxEditReason+1)),
		}
		if room -= e.Size(); room < 0 {
			break
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}

// controlPackets has one sealed packet of each control type.
func controlPackets(rng *rand.Rand) [][]byte {
	id, other := wire.NodeID(randomBytes(rng, 4)), wire.NodeID(randomBytes(rng, 4))
	state := randomState(rng)
	nack := wire.Nack{Target: other, Epoch: rng.Uint64(), Origin: rng.IntN(2) == 0, Ranges: randomRanges(rng)}
	gone := wire.Gone{Epoch: rng.Uint64(), Age: rng.Uint32(), Ranges: randomRanges(rng)}
	bye := wire.Bye{Next: rng.Uint32()}
	promise := wire.Promise{Sender: other, Epoch: rng.Uint64(), Ranges: randomRanges(rng)}
	edits := randomEdits(rng)
	packets := [][]byte{
		state.Append(nil, id), nack.Append(nil, id), gone.Append(nil, id), bye.Append(nil, id), promise.Append(nil, id), edits.Append(nil, id),
	}
	for i := range packets {
		packets[i] = seal(packets[i], rng.Uint64(), rng.Uint32())
	}
	return packets
}

// body returns what a control packet says, as the value of its kind.
func body(p *wire.Packet) (any, error) {
	switch p.Kind {
	case wire.KindState:
		return p.State(nil)
	case wire.KindNack:
		return p.Nack(nil)
	case wire.KindGone:
		return p.Gone(nil)
	case wire.KindBye:
		return p.Bye()
	case wire.KindPromise:
		return p.Promise(nil)
	case wire.KindEdits:
		return p.Edits(wire.Edits{})
	}
	return nil, errors.New("no control packet")
}

// appendBody writes a control packet from the value that body returned.
func appendBody(value any, id wire.NodeID) []byte {
	switch v := value.(type) {
	case wire.State:
		return v.Append(nil, id)
	case wire.Nack:
		return v.Append(nil, id)
	case wire.Gone:
		return v.Append(nil, id)
	case wire.Bye:
		return v.Append(nil, id)
	case wire.Promise:
		return v.Append(nil, id)
	case wire.Edits:
		return v.Append(nil, id)
	}
	return nil
}

// checkControl reads a control packet, writes it and reads it again: the values are the same.
func checkControl(t *testing.T, p *wire.Packet) {
	t.Helper()
	value, err := body(p)
	if err != nil {
		if !errors.Is(err, wire.ErrMalformed) {
			t.Fatal(err)
		}
		return
	}
	written := appendBody(value, p.From)
	again, err := wire.ParsePacket(seal(written, p.Epoch, p.Seq))
	if err != nil || again.Kind != p.Kind || again.From != p.From || again.Epoch != p.Epoch || again.Seq != p.Seq || !again.Keyed {
		t.Fatalf("%v: %v read again as %+v", err, p.Kind, again)
	}
	if value2, err := body(&again); err != nil || !reflect.DeepEqual(value, value2) {
		t.Fatalf("%v: read %+v, read again %+v", err, value, value2)
	}
	if len(written)+wire.TrailerSize > wire.MaxUnfragmented {
		t.Fatalf("a %v of %d bytes is fragmented", p.Kind, len(written)+wire.TrailerSize)
	}
}

// Every control packet is read as it was written, byte for byte, and fits into a frame.
func TestControlRoundTrip(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 11))
		for i, b := range controlPackets(rng) {
			p, err := wire.ParsePacket(b)
			if err != nil || !p.Kind.Control() || p.Kind != wire.KindState+wire.Kind(i) || p.Len() != 0 {
				t.Fatalf("seed %d: %v, %v", seed, p.Kind, err)
			}
			if wire.SpaceOf(b) != wire.SpaceControl {
				t.Fatalf("seed %d: a %v in space %d", seed, p.Kind, wire.SpaceOf(b))
			}
			value, err := body(&p)
			if err != nil {
				t.Fatalf("seed %d: %v: %v", seed, p.Kind, err)
			}
			if again := seal(appendBody(value, p.From), p.Epoch, p.Seq); !bytes.Equal(again, b) {
				t.Fatalf("seed %d: %v written again as\n%x, was\n%x", seed, p.Kind, again, b)
			}
			checkControl(t, &p)
		}
	}
}

// Full packets of records and tells with a trailer are read as the same records without one, and fit into a frame.
func TestTrailer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 12))
	for _, b := range fullPackets(rng)[:3] {
		plain, err := wire.ParsePacket(b)
		if err != nil || plain.Keyed {
			t.Fatalf("%v: %v, keyed %t", plain.Kind, err, plain.Keyed)
		}
		most := map[wire.Kind]int{wire.KindLive4: wire.MaxKeyed4, wire.KindLive6: wire.MaxKeyed6, wire.KindTell: wire.MaxKeyedTells}[plain.Kind]
		size := (len(b) - wire.HeaderSize) / plain.Len()
		for n := 1; n <= most; n++ {
			sealed := seal(bytes.Clone(b[:wire.HeaderSize+n*size]), 1<<60+uint64(n), uint32(n))
			p, err := wire.ParsePacket(sealed)
			if err != nil || !p.Keyed || p.Kind != plain.Kind || p.Len() != n || p.Epoch != 1<<60+uint64(n) || p.Seq != uint32(n) {
				t.Fatalf("%v of %d: %v, %+v", plain.Kind, n, err, p)
			}
			if string(p.Tag[:]) != "tag of 12 by" || len(p.Sealed) != len(sealed)-wire.TagSize {
				t.Fatalf("%v of %d: tag %q covers %d bytes", plain.Kind, n, p.Tag, len(p.Sealed))
			}
			for i := range n {
				if plain.Kind == wire.KindTell && p.Tell(i) != plain.Tell(i) || plain.Kind != wire.KindTell && p.Record(i) != plain.Record(i) {
					t.Fatalf("%v of %d: entry %d differs", plain.Kind, n, i)
				}
			}
			if len(sealed) > wire.MaxUnfragmented {
				t.Fatalf("%v of %d: %d bytes", plain.Kind, n, len(sealed))
			}
		}
	}
}

// A sealed packet cut anywhere, or with something behind it, is not taken for a sealed one of the same content.
func TestControlTruncated(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 13))
		for _, whole := range controlPackets(rng) {
			full, err := wire.ParsePacket(whole)
			if err != nil {
				t.Fatal(err)
			}
			for n := range len(whole) {
				b := whole[:n:n]
				p, err := wire.ParsePacket(b)
				if n < wire.HeaderSize+wire.TrailerSize {
					if !errors.Is(err, wire.ErrShort) || p.Keyed {
						t.Fatalf("%v of %d bytes: %v", full.Kind, n, err)
					}
					continue
				}
				if err != nil || p.Kind != full.Kind || len(p.Sealed) != n-wire.TagSize || p.Tag == full.Tag {
					t.Fatalf("%v of %d bytes: %v, %+v", full.Kind, n, err, p)
				}
				checkControl(t, &p)
			}
		}
	}
}

// What exceeds a bound is cut off, so that a packet is never too long and its counts never lie.
func TestStateCutsOff(t *testing.T) {
	s := wire.State{Version: make([]byte, 300), URL: []byte(strings.Repeat("u", 300)), Echoes: make([]wire.Echo, 300)}
	p, err := wire.ParsePacket(seal(s.Append(nil, wire.NodeID{1}), 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.State(nil)
	if err != nil || len(got.Version) != wire.MaxVersion || len(got.URL) != wire.MaxURL || len(got.Echoes) != 89 {
		t.Errorf("%v: version of %d bytes, URL of %d, %d echoes", err, len(got.Version), len(got.URL), len(got.Echoes))
	}
	if room := (&wire.State{}).EchoRoom(); room != wire.MaxEchoes {
		t.Errorf("room for %d echoes, want %d", room, wire.MaxEchoes)
	}
	nack := wire.Nack{Ranges: make([]wire.Range, 1000)}
	if b := seal(nack.Append(nil, wire.NodeID{1}), 1, 1); len(b) > wire.MaxUnfragmented {
		t.Errorf("a NACK of %d bytes", len(b))
	}
}

// What contradicts itself is refused, whole.
func TestControlMalformed(t *testing.T) {
	s := wire.State{Version: []byte("1.0"), URL: []byte("http://a/announce"), Echoes: make([]wire.Echo, 2)}
	whole := s.Append(nil, wire.NodeID{1})
	for name, change := range map[string]func(b []byte){
		"a text longer than the packet":   func(b []byte) { b[74] = 200 },
		"a version longer than allowed":   func(b []byte) { b[73] = wire.MaxVersion + 1 },
		"a URL longer than allowed":       func(b []byte) { b[74] = wire.MaxURL + 1 },
		"more echoes than there are":      func(b []byte) { b[75] = 3 },
		"more echoes than any node sends": func(b []byte) { b[75] = wire.MaxEchoes + 1 },
		"a group there is not":            func(b []byte) { b[72] = wire.SketchGroups },
	} {
		b := bytes.Clone(whole)
		change(b)
		p, err := wire.ParsePacket(seal(b, 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.State(nil); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nack := wire.Nack{Ranges: []wire.Range{{First: 1, Last: 2}, {First: 5, Last: 4}}}
	p, err := wire.ParsePacket(seal(nack.Append(nil, wire.NodeID{1}), 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Nack(nil); !errors.Is(err, wire.ErrMalformed) || len(n.Ranges) != 0 {
		t.Errorf("a range that ends before it begins: %v, %v", n, err)
	}
	if _, err := p.Gone(nil); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a NACK read as a GONE: %v", err)
	}
}

// Neither reading nor writing control packets allocates once the caller's buffers are there.
func TestControlAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 14))
	packets := controlPackets(rng)
	buf, ranges, echoes := make([]byte, 0, wire.MaxPacket), make([]wire.Range, 0, wire.MaxRanges), make([]wire.Echo, 0, wire.MaxEchoes)
	allocs := testing.AllocsPerRun(100, func() {
		p, _ := wire.ParsePacket(packets[0])
		s, _ := p.State(echoes)
		buf = s.Append(buf[:0], p.From)
		p, _ = wire.ParsePacket(packets[1])
		n, _ := p.Nack(ranges)
		buf = n.Append(buf[:0], p.From)
		p, _ = wire.ParsePacket(packets[4])
		m, _ := p.Promise(ranges)
		buf = m.Append(buf[:0], p.From)
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}

func TestHealthNames(t *testing.T) {
	for h, want := range map[wire.Health]string{wire.Healthy: "healthy", wire.CatchingUp: "catching up", wire.Draining: "draining", 200: "healthy"} {
		if h.String() != want {
			t.Errorf("%d is %q, want %q", h, h, want)
		}
	}
}

// Nothing makes a reader of control packets panic, and what they accept is the same when written and read again.
func FuzzControl(f *testing.F) {
	for _, b := range controlPackets(rand.New(rand.NewPCG(3, 15))) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := wire.ParsePacket(b); err == nil && p.Kind.Control() {
			checkControl(t, &p)
		}
	})
}
