package seal

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

var (
	testKey  = Key{1}
	otherKey = Key{2}
	them     = wire.NodeID{0xa, 0xb, 0xc, 0xd}
	host     = netip.MustParseAddr("192.0.2.7")
	noon     = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// packets has an unsealed packet of each kind of them.
func packets() [][]byte {
	r, r6, tell := wire.Record{Peer: wire.PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1})}, wire.Record{}, wire.Tell{Downloaded: 1}
	state, nack, gone, bye, promise := wire.State{}, wire.Nack{Ranges: make([]wire.Range, 2)}, wire.Gone{Ranges: make([]wire.Range, 2)}, wire.Bye{}, wire.Promise{}
	return [][]byte{
		r.Append4(wire.AppendLive4(nil, them)), r6.Append6(wire.AppendLive6(nil, them)), tell.Append(wire.AppendTell(nil, them)),
		state.Append(nil, them), nack.Append(nil, them), gone.Append(nil, them), bye.Append(nil, them), promise.Append(nil, them),
	}
}

func state() []byte { s := wire.State{}; return s.Append(nil, them) }

func live() []byte { return packets()[0] }

func parse(t testing.TB, b []byte) *wire.Packet {
	t.Helper()
	p, err := wire.ParsePacket(b)
	if err != nil || !p.Keyed {
		t.Fatalf("%x: %v, keyed %t", b, err, p.Keyed)
	}
	return &p
}

// believe makes o believe the present epoch of s.
func believe(t testing.TB, o *Opener, now time.Time, s *Sealer) {
	t.Helper()
	p := parse(t, s.Seal(state()))
	if v := o.Open(now, host, p); v != Verified {
		t.Fatalf("a first STATE is %v", v)
	}
	o.Heard(now, p, &wire.State{})
	if !prove(o, now, p.Epoch) {
		t.Fatal("a candidate is not proven by its echo")
	}
}

// prove makes o believe an epoch of them by a challenge that was drawn just now.
func prove(o *Opener, now time.Time, number uint64) bool {
	_, _, ok := o.Prove(now, now, &wire.Packet{From: them, Epoch: number}, &wire.State{})
	return ok
}

func TestSealedPacketsOpen(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(t, o, noon, s)
	for round := range 3 {
		for i, b := range packets() {
			before, seq := bytes.Clone(b), s.Next(wire.SpaceOf(b))
			p := parse(t, s.Seal(b))
			if p.Seq != seq || p.Epoch != 7 || !bytes.HasPrefix(p.Sealed, before) {
				t.Fatalf("packet %d: sequence %d, want %d, of epoch %d", i, p.Seq, seq, p.Epoch)
			}
			if v := o.Open(noon, host, p); v != Proven {
				t.Fatalf("round %d, packet %d is %v", round, i, v)
			}
			want := Replayed
			if wire.SpaceOf(b) == wire.SpaceData {
				want = Proven // its window is elsewhere
			}
			if v := o.Open(noon, host, p); v != want {
				t.Fatalf("round %d, packet %d comes again and is %v", round, i, v)
			}
		}
	}
}

// The tag of a packet, so that it never changes: another implementation made it.
func TestTag(t *testing.T) {
	s := NewSealer(testKey, them, 0x0102030405060708)
	s.Skip(wire.SpaceControl, 5)
	bye := wire.Bye{Next: 9}
	p := parse(t, s.Seal(bye.Append(nil, them)))
	if got := p.Tag; got != [12]byte{0xc3, 0x5a, 0xa9, 0xd3, 0x17, 0x9c, 0x7b, 0x31, 0x80, 0xca, 0x88, 0x58} {
		t.Errorf("tag %x", got)
	}
}

// Whatever single bit is flipped, and wherever a packet is cut, it is not believed.
func TestForged(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(t, o, noon, s)
	for _, b := range packets() {
		b = s.Seal(b)
		for bit := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[bit/8] ^= 1 << (bit % 8)
			if p, err := wire.ParsePacket(forged); err == nil && p.Keyed {
				if v := o.Open(noon, host, &p); v == Proven || v == Verified || v == Replayed {
					t.Fatalf("%x with bit %d flipped is %v", b, bit, v)
				}
			}
		}
		for n := range len(b) {
			if p, err := wire.ParsePacket(b[:n:n]); err == nil && p.Keyed {
				if v := o.Open(noon, host, &p); v != Forged && v != Busy && v != Unproven {
					t.Fatalf("%x cut to %d bytes is %v", b, n, v)
				}
			}
		}
		if v := o.Open(noon, host, parse(t, b)); v != Proven {
			t.Fatalf("after all that the packet itself is %v", v)
		}
	}
}

func TestAnotherKey(t *testing.T) {
	s, o := NewSealer(otherKey, them, 7), NewOpener(Keys{testKey})
	if v := o.Open(noon, host, parse(t, s.Seal(state()))); v != Forged {
		t.Errorf("a STATE sealed with another key is %v", v)
	}
	if len(o.senders) != 0 {
		t.Error("its sender is remembered")
	}
}

// Nothing but a STATE makes an epoch known, and nothing but our challenge makes it believed.
func TestUnproven(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	for _, b := range packets() {
		if wire.SpaceOf(b) != wire.SpaceControl {
			if v := o.Open(noon, host, parse(t, s.Seal(b))); v != Unproven {
				t.Errorf("%x of an unknown epoch is %v", b, v)
			}
		}
	}
	if v := o.Open(noon, host, parse(t, s.Seal(state()))); v != Verified {
		t.Fatalf("a first STATE is %v", v)
	}
	if v := o.Open(noon, host, parse(t, s.Seal(live()))); v != Unproven {
		t.Errorf("records of a candidate are %v", v)
	}
	if _, ok := o.Epoch(them); ok {
		t.Error("it is believed without proof")
	}
	if prove(o, noon, 8) {
		t.Error("an epoch that nobody heard of is proven")
	}
	if !prove(o, noon, 7) {
		t.Error("the candidate is not proven")
	}
	if prove(o, noon, 7) {
		t.Error("it is proven twice")
	}
	if n, ok := o.Epoch(them); !ok || n != 7 {
		t.Errorf("the epoch is %d, %t", n, ok)
	}
}

// What was sent before the first STATE that we heard counts as seen, tells as well as control packets.
func TestNothingFromBefore(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	tell := wire.Tell{Downloaded: 1}
	oldTell, oldState := s.Seal(tell.Append(wire.AppendTell(nil, them))), s.Seal(state())
	if v := o.Open(noon, host, parse(t, s.Seal(state()))); v != Verified {
		t.Fatal(v)
	}
	st := wire.State{Next: [wire.Spaces]uint32{wire.SpaceData: 3, wire.SpaceTell: s.Next(wire.SpaceTell)}}
	if !o.Heard(noon, &wire.Packet{From: them, Epoch: 7, Seq: 1}, &st) {
		t.Error("the first STATE is not the latest")
	}
	if first, since, ok := o.Prove(noon, noon, &wire.Packet{From: them, Epoch: 7, Seq: 1}, &st); !ok || first[wire.SpaceData] != 3 || since != noon {
		t.Errorf("proven %t, first %v since %v", ok, first, since)
	}
	for _, b := range [][]byte{oldTell, oldState} {
		if v := o.Open(noon, host, parse(t, b)); v != Replayed {
			t.Errorf("%x from before is %v", b, v)
		}
	}
	if v := o.Open(noon, host, parse(t, s.Seal(tell.Append(wire.AppendTell(nil, them))))); v != Proven {
		t.Errorf("the next tell is %v", v)
	}
}

// Challenges are returned to whoever was heard lately, in turn when there are many; of STATEs that overtook each other the latest counts.
func TestEchoes(t *testing.T) {
	o := NewOpener(Keys{testKey})
	hear := func(now time.Time, id wire.NodeID, s *Sealer, challenge byte) {
		st := wire.State{Challenge: wire.Challenge{challenge}}
		p := parse(t, s.Seal(st.Append(nil, id)))
		if v := o.Open(now, host, p); v != Verified || !o.Heard(now, p, &st) {
			t.Fatalf("a STATE is %v", v)
		}
	}
	for i := range 5 {
		id := wire.NodeID{byte(i)}
		hear(noon, id, NewSealer(testKey, id, 7), byte(i))
	}
	counts := map[wire.Echo]int{}
	for range 5 {
		for _, e := range o.Echoes(noon, nil, 2) {
			counts[e]++
		}
	}
	for i := range 5 {
		if e := (wire.Echo{ID: wire.NodeID{byte(i)}, Challenge: wire.Challenge{byte(i)}}); counts[e] != 2 {
			t.Errorf("%v is returned %d times, want 2", e, counts[e])
		}
	}
	if got := o.Echoes(noon.Add(echoTime), nil, 100); len(got) != 0 {
		t.Errorf("%v are returned to nodes that fell silent", got)
	}
	s := NewSealer(testKey, them, 7)
	hear(noon, them, s, 1)
	late := wire.State{Challenge: wire.Challenge{2}}
	p := parse(t, s.Seal(late.Append(nil, them)))
	hear(noon, them, s, 3)
	if v := o.Open(noon, host, p); v != Verified || o.Heard(noon, p, &late) {
		t.Errorf("a STATE that was overtaken is %v and the latest", v)
	}
	if got := o.Echoes(noon, nil, 100); !slices.Contains(got, wire.Echo{ID: them, Challenge: wire.Challenge{3}}) {
		t.Errorf("returned are %v, without the latest challenge", got)
	}
}

// Another epoch begins in time for its first packet to be a STATE.
func TestTurn(t *testing.T) {
	s := NewSealer(testKey, them, 7)
	s.Turn()
	s.Skip(wire.SpaceTell, lastSeq-turnRoom)
	s.Turn()
	if s.Epoch() != 7 {
		t.Fatal("it turned too early")
	}
	s.Burn(wire.SpaceTell)
	s.Turn()
	if s.Epoch() != 8 || s.Next(wire.SpaceTell) != 0 {
		t.Errorf("epoch %d, next %d", s.Epoch(), s.Next(wire.SpaceTell))
	}
}

// An epoch is closed as soon as another is proven: nothing recorded of it counts, not even its proof.
func TestClosedEpoch(t *testing.T) {
	o := NewOpener(Keys{testKey})
	first, second := NewSealer(testKey, them, 100), NewSealer(testKey, them, 50) // the clock was set back
	believe(t, o, noon, first)
	recorded := [][]byte{first.Seal(live()), first.Seal(state())}
	believe(t, o, noon, second)
	for _, b := range recorded {
		if v := o.Open(noon.Add(time.Second), host, parse(t, b)); v != Replayed {
			t.Errorf("%x of a closed epoch is %v", b, v)
		}
	}
	if prove(o, noon.Add(time.Second), 100) {
		t.Error("a closed epoch is proven again")
	}
	// When it is forgotten, our challenge has changed: it is a candidate that never gets further.
	if v := o.Open(noon.Add(2*closedMemory), host, parse(t, recorded[0])); v != Unproven {
		t.Errorf("records of a forgotten epoch are %v", v)
	}
	if v := o.Open(noon.Add(2*closedMemory), host, parse(t, recorded[1])); v != Verified {
		t.Errorf("a STATE of a forgotten epoch is %v", v)
	}
	if n, _ := o.Epoch(them); n != 50 {
		t.Errorf("the epoch is %d", n)
	}
}

// At the end of a space another epoch begins, which needs no proof, and packets of the old one are good for ten seconds.
func TestSequencesRunOut(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(t, o, noon, s)
	s.Skip(wire.SpaceData, lastSeq-1)
	last := parse(t, s.Seal(live()))
	if last.Seq != lastSeq-1 || last.Epoch != 7 {
		t.Fatalf("the last packet is %d of epoch %d", last.Seq, last.Epoch)
	}
	next := parse(t, s.Seal(live()))
	if next.Seq != 0 || next.Epoch != 8 || s.Next(wire.SpaceControl) != 0 {
		t.Fatalf("the packet after it is %d of epoch %d, next control %d", next.Seq, next.Epoch, s.Next(wire.SpaceControl))
	}
	if v := o.Open(noon, host, next); v != Unproven {
		t.Errorf("records before the first STATE are %v", v)
	}
	if v := o.Open(noon, host, parse(t, s.Seal(state()))); v != Proven {
		t.Errorf("the first STATE is %v", v)
	}
	if v := o.Open(noon, host, next); v != Proven {
		t.Errorf("records are %v", v)
	}
	if v := o.Open(noon.Add(closingTime-1), host, last); v != Proven {
		t.Errorf("a packet of the old epoch is %v", v)
	}
	if v := o.Open(noon.Add(closingTime), host, last); v != Replayed {
		t.Errorf("a packet of the old epoch, ten seconds later, is %v", v)
	}
}

// [old, new], [new, old], [new]: at each step of a rotation every node understands every other.
func TestRotation(t *testing.T) {
	steps := []Keys{{testKey}, {testKey, otherKey}, {otherKey, testKey}, {otherKey}}
	for i := range len(steps) - 1 {
		for _, pair := range [][2]Keys{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
			s, o := NewSealer(pair[0][0], them, 7), NewOpener(pair[1])
			believe(t, o, noon, s)
			if v := o.Open(noon, host, parse(t, s.Seal(live()))); v != Proven {
				t.Errorf("step %d: records are %v", i, v)
			}
			if o.SignsLikeUs(them) != (pair[0][0] == pair[1][0]) {
				t.Errorf("step %d: it signs like us: %t", i, o.SignsLikeUs(them))
			}
		}
	}
	// Which key verified is remembered: the next epoch costs one derivation, not two.
	o := NewOpener(Keys{testKey, otherKey})
	believe(t, o, noon, NewSealer(otherKey, them, 7))
	before := o.spent.all.tokens
	believe(t, o, noon, NewSealer(otherKey, them, 9))
	if o.spent.all.tokens != before-1 {
		t.Errorf("%v derivations for the next epoch, want 1", before-o.spent.all.tokens)
	}
}

// Forged STATEs of unknown epochs cost 200 derivations a second, and known senders are understood meanwhile.
func TestDerivationsAreBounded(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	believe(t, o, noon, s)
	count := func(now time.Time) (forged int) {
		for i := range uint64(10 * derivations) {
			b := state()
			binary.BigEndian.PutUint32(b, uint32(i)+1)
			b = append(wire.AppendTrailer(b, i, 0), make([]byte, wire.TagSize)...)
			switch v := o.Open(now, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), parse(t, b)); v {
			case Forged:
				forged++
			case Busy:
			default:
				t.Fatalf("a forged STATE is %v", v)
			}
		}
		return forged
	}
	if n := count(noon); n > derivations || n < derivations-2 {
		t.Errorf("%d derivations at once", n)
	}
	if n := count(noon.Add(time.Second / 2)); n != derivations/2 {
		t.Errorf("%d derivations after half a second", n)
	}
	if n := count(noon.Add(-time.Hour)); n != 0 {
		t.Errorf("%d derivations after the clock was set back", n)
	}
	if n := count(noon.Add(-time.Hour + time.Second)); n != derivations {
		t.Errorf("%d derivations a second after that", n)
	}
	if v := o.Open(noon, host, parse(t, s.Seal(live()))); v != Proven {
		t.Errorf("records of a known sender are %v", v)
	}
}

// Recordings of many senders and epochs fill the table, and push out neither who is there now nor its closed epochs.
func TestTablesAreBounded(t *testing.T) {
	s, o := NewSealer(testKey, them, 1000), NewOpener(Keys{testKey})
	now := noon
	believe(t, o, now, NewSealer(testKey, them, 999_999))
	believe(t, o, now, s)
	for i := range 2 * maxSenders {
		now = now.Add(10 * time.Millisecond)
		for _, id := range []wire.NodeID{them, {byte(i >> 8), byte(i), 1, 1}} {
			b := wire.State{}
			old := NewSealer(testKey, id, uint64(i)).Seal(b.Append(nil, id))
			if v := o.Open(now, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), parse(t, old)); v != Verified {
				t.Fatalf("a recorded STATE is %v", v)
			}
		}
	}
	if len(o.senders) > maxSenders || len(o.senders[them].epochs) > maxEpochs {
		t.Errorf("%d senders, %d epochs", len(o.senders), len(o.senders[them].epochs))
	}
	if n, ok := o.Epoch(them); !ok || n != 1000 {
		t.Errorf("the epoch is %d, %t", n, ok)
	}
	if e := o.senders[them].find(now, 999_999); e == nil || e.status != closed {
		t.Error("the closed epoch is forgotten")
	}
}

// Who only looks on tells right tags from wrong ones, in any order, and says which key made them.
func TestChecker(t *testing.T) {
	c := NewChecker(Keys{otherKey, testKey})
	for i := range 2*maxChecked + 3 {
		s := NewSealer(testKey, them, uint64(i))
		p := parse(t, s.Seal(live()))
		for range 2 {
			if key, ok := c.Check(p); !ok || key != 1 {
				t.Fatalf("epoch %d: key %d, %t", i, key, ok)
			}
		}
		p.Tag[0] ^= 1
		if _, ok := c.Check(p); ok {
			t.Fatalf("epoch %d: a wrong tag is right", i)
		}
	}
	if len(c.taggers) > maxChecked {
		t.Errorf("%d are remembered", len(c.taggers))
	}
}

func TestVerdictNames(t *testing.T) {
	names := map[string]bool{}
	for v := Forged; v <= Proven; v++ {
		names[v.String()] = true
	}
	if len(names) != 6 {
		t.Errorf("names %v", names)
	}
}

// Nothing makes an opener panic, and nothing that it did not seal itself is believed.
func FuzzOpen(f *testing.F) {
	s := NewSealer(testKey, them, 7)
	for _, b := range packets() {
		f.Add(s.Seal(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, o := NewSealer(otherKey, them, 7), NewOpener(Keys{otherKey})
		believe(t, o, noon, s)
		if p, err := wire.ParsePacket(b); err == nil && p.Keyed {
			if v := o.Open(noon, host, &p); v == Proven || v == Verified || v == Replayed {
				t.Fatalf("%x is %v", b, v)
			}
		}
	})
}

// TestShareOfDerivations: who floods us from one address, or from a few, uses up its own share, and a newcomer is understood at once.
func TestShareOfDerivations(t *testing.T) {
	o := NewOpener(Keys{otherKey, testKey})
	now := noon
	for number := range uint64(50) {
		for i := range uint64(10 * derivations) {
			b := state()
			binary.BigEndian.PutUint32(b, uint32(i)+1)
			b = append(wire.AppendTrailer(b, i, 0), make([]byte, wire.TagSize)...)
			o.Open(now, netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 5)}), parse(t, b))
		}
		s := NewSealer(testKey, wire.NodeID{1, byte(number)}, number)
		st := wire.State{}
		if v := o.Open(now, host, parse(t, s.Seal(st.Append(nil, wire.NodeID{1, byte(number)})))); v != Verified {
			t.Fatalf("newcomer %d is %v", number, v)
		}
		now = now.Add(time.Second)
	}
	for i := range 1000 { // addresses of which most are not there: the table stays small, and forgets who has its share again
		o.spent.may(now, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
	}
	if n := len(o.spent.by); n != maxAddresses {
		t.Errorf("%d addresses", n)
	}
	o.spent.may(now.Add(time.Minute), netip.AddrFrom4([4]byte{10, 2, 0, 0}))
	if n := len(o.spent.by); n != 1 {
		t.Errorf("%d addresses after a minute", n)
	}
}
