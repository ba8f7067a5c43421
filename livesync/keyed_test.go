package livesync

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"starling/livesync/seal"
	"starling/wire"
)

// opentracker is the source from which keyed nodes of these tests take plain packets.
var opentracker = netip.MustParseAddrPort("10.0.0.77:9696")

// newKeyedListener returns a node with a key, without its loops, that listens to 10.0.0.0/24.
func newKeyedListener(t testing.TB) (*Node, *Model) {
	t.Helper()
	m := NewModel()
	cfg := Config{
		ID: testID, Group: wire.Group, Interface: "eth0", Flush: 250 * time.Millisecond, BeaconInterval: time.Minute, FirstBeaconDelay: time.Hour, Seed: new([32]byte),
		Keys: testKeys("k"), Epoch: 7, PlainNodes: []netip.Prefix{netip.PrefixFrom(opentracker.Addr(), 32)},
	}
	m.Join(&cfg)
	n := New(cfg)
	m.OnChange = n.Offer
	n.start(epoch)
	n.joined(epoch, Link{Name: "eth0", Local: we, Subnets: prefixes("10.0.0.0/24"), ReceiveBuffer: wantedBuffer})
	return n, m
}

// partner is another node with the key, as n sees it.
type partner struct {
	*seal.Sealer
	n    *Node
	from netip.AddrPort
}

// newPartner returns a node that n believes from now on.
func newPartner(t testing.TB, n *Node, now time.Time, id wire.NodeID, number uint64) *partner {
	t.Helper()
	p := &partner{seal.NewSealer(n.keyed.keys[0], id, number), n, another}
	p.send(now, p.state(now))
	if now, ok := n.keyed.opener.Epoch(id); !ok || now != number {
		t.Fatalf("epoch %d is not believed", number)
	}
	return p
}

// state returns a STATE that returns n's challenge.
func (p *partner) state(now time.Time) []byte {
	st := wire.State{Sent: now.UnixNano(), Echoes: []wire.Echo{{ID: p.n.ident.id, Challenge: p.n.keyed.challenges.Now(now, p.n.rng)}}}
	for space := range wire.Spaces {
		st.Next[space] = p.Next(space)
	}
	return st.Append(nil, p.ID())
}

// send seals a packet and has n receive it; the sealed packet is returned.
func (p *partner) send(now time.Time, b []byte) []byte {
	b = p.Seal(b)
	p.n.receive(now, p.from, wire.Group.Addr(), b)
	return b
}

// sealable returns a packet of each kind that is sealed, from id.
func sealable(id wire.NodeID) map[string][]byte {
	r, r6, tell := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1)}, wire.Record{InfoHash: HashOf(1), Peer: Peer6Of(2)}, wire.Tell{InfoHash: HashOf(2), Downloaded: 1}
	st, nack, gone, bye := wire.State{Torrents: 3}, wire.Nack{Target: testID, Epoch: 7, Ranges: []wire.Range{{First: 0, Last: 9}}}, wire.Gone{Ranges: []wire.Range{{First: 0, Last: 9}}}, wire.Bye{Next: 9}
	promise := wire.Promise{Ranges: []wire.Range{{First: 0, Last: 9}}}
	return map[string][]byte{
		"live": r.Append4(r.Append4(wire.AppendLive4(nil, id))), "live6": r6.Append6(wire.AppendLive6(nil, id)), "tell": tell.Append(wire.AppendTell(nil, id)),
		"state": st.Append(nil, id), "nack": nack.Append(nil, id), "gone": gone.Append(nil, id), "bye": bye.Append(nil, id), "promise": promise.Append(nil, id),
	}
}

// picture is all that packets can change in a node.
type picture struct {
	applied, learned int
	received         Traffic
	id               wire.NodeID
	nodes            []NodeStatus
}

func pictureOf(n *Node, m *Model, now time.Time) picture {
	s := n.status(now)
	return picture{len(m.Applied), len(m.Learned), s.Received, s.ID, s.Nodes}
}

func (p *picture) equal(o *picture) bool {
	return p.applied == o.applied && p.learned == o.learned && p.received == o.received && p.id == o.id && slices.Equal(p.nodes, o.nodes)
}

// drops returns how many packets were dropped, for any reason.
func drops(d Dropped) uint64 {
	return d.OwnID + d.Source + d.Short + d.Long + d.Type + d.Group + d.Auth + d.Replay + d.Unproven + d.Plain + d.Late + d.Duplicate + d.Refused
}

// TestKeyedTruncated cuts each kind of sealed packet at every byte, from a source that must have a tag and from one that need not: where it still
// looks sealed, nothing changes anywhere; as a plain packet it means something from the second only.
func TestKeyedTruncated(t *testing.T) {
	id := wire.NodeID{9}
	for kind := range sealable(id) {
		n, m := newKeyedListener(t)
		p := newPartner(t, n, epoch, id, 100)
		whole := p.Seal(sealable(id)[kind])
		for _, from := range []netip.AddrPort{another, opentracker} {
			for size := range len(whole) {
				b := whole[:size:size]
				cut, err := wire.ParsePacket(b)
				if from == opentracker && err == nil && !cut.Keyed && cut.From != id {
					t.Fatalf("%s cut to %d bytes is from %s", kind, size, cut.From)
				}
				before, dropped := pictureOf(n, m, epoch), drops(n.dropped)
				n.receive(epoch, from, wire.Group.Addr(), b)
				after := pictureOf(n, m, epoch)
				if !before.equal(&after) {
					t.Fatalf("%s cut to %d bytes from %s changes %+v to %+v", kind, size, from, before, after)
				}
				beacon := err == nil && cut.Kind == wire.KindBeacon && from == another // of a node that says the same in its STATE
				if drops(n.dropped) != dropped+1 && !beacon {
					t.Fatalf("%s cut to %d bytes from %s is not counted", kind, size, from)
				}
			}
		}
	}
}

// TestKeyedForged flips every bit of each kind of sealed packet.
func TestKeyedForged(t *testing.T) {
	id := wire.NodeID{9}
	for kind := range sealable(id) {
		n, m := newKeyedListener(t)
		p := newPartner(t, n, epoch, id, 100)
		whole := p.Seal(sealable(id)[kind])
		before := pictureOf(n, m, epoch)
		for bit := range 8 * len(whole) {
			forged := bytes.Clone(whole)
			forged[bit/8] ^= 1 << (bit % 8)
			dropped := drops(n.dropped)
			n.receive(epoch, another, wire.Group.Addr(), forged)
			if drops(n.dropped) != dropped+1 {
				t.Fatalf("%s with bit %d flipped is not counted", kind, bit)
			}
		}
		if after := pictureOf(n, m, epoch); !before.equal(&after) {
			t.Errorf("forged packets like a %s change %+v to %+v", kind, before, after)
		}
		if n.next(epoch.Add(time.Millisecond)) == nil || n.next(epoch.Add(time.Millisecond)) != nil {
			t.Errorf("forged packets like a %s are answered with something else than one STATE", kind)
		}
	}
}

// TestReplayChangesNothing records two lives of a node, and plays all of it again in any order, from anywhere, at a node that was there all the
// time and at one that is new.
func TestReplayChangesNothing(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 17))
		n, m := newKeyedListener(t)
		now, id := epoch, wire.NodeID{9}
		var recorded [][]byte
		for life := range uint64(2) {
			p := newPartner(t, n, now, id, 100+life)
			for range 100 {
				now = now.Add(time.Duration(rng.IntN(200)) * time.Millisecond)
				packets := sealable(id)
				kind := slices.Sorted(maps.Keys(packets))[rng.IntN(len(packets))]
				b := packets[kind]
				if kind == "state" && rng.IntN(2) == 0 {
					b = p.state(now)
				}
				recorded = append(recorded, p.send(now, b))
			}
			now = now.Add(time.Duration(rng.IntN(60)) * time.Second)
			newPartner(t, n, now, id, 200+life) // in between, another life
		}
		fresh, fm := newKeyedListener(t)
		fresh.rng = rand.New(rand.NewPCG(seed, 18))  // other challenges
		newPartner(t, fresh, now, wire.NodeID{8}, 1) // so that it has drawn a challenge
		for range 3 * len(recorded) {
			now = now.Add(time.Duration(rng.IntN(300)) * time.Millisecond)
			b := recorded[rng.IntN(len(recorded))]
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(50 + rng.IntN(100))}), uint16(1+rng.IntN(60000)))
			for _, to := range []struct {
				n *Node
				m *Model
			}{{n, m}, {fresh, fm}} {
				before, dropped := pictureOf(to.n, to.m, now), drops(to.n.dropped)
				to.n.receive(now, from, wire.Group.Addr(), b)
				if after := pictureOf(to.n, to.m, now); !before.equal(&after) || drops(to.n.dropped) != dropped+1 {
					t.Fatalf("seed %d: a recording changes %+v to %+v, dropped %+v", seed, before, after, to.n.dropped)
				}
			}
		}
		// The node itself starts anew and hears its own past: it keeps its id.
		self, sm := newKeyedListener(t)
		self.ident.id = id
		self.keyed.rename(id)
		for _, b := range recorded {
			self.receive(now, another, wire.Group.Addr(), b)
		}
		if after := pictureOf(self, sm, now); after.id != id || after.applied != 0 || len(after.nodes) != 0 {
			t.Fatalf("seed %d: its own past makes it %+v", seed, after)
		}
	}
}

// TestMixedSegment receives what real opentrackers sent, plain and sealed, at nodes with a key and without.
func TestMixedSegment(t *testing.T) {
	var vectors []struct{ Name, Hex string }
	text, err := os.ReadFile("../wire/testdata/livesync.json")
	if err == nil {
		err = json.Unmarshal(text, &vectors)
	}
	if err != nil || len(vectors) < 20 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	sealed := 0
	for _, v := range vectors {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		reference, want := newListener(t)
		reference.receive(epoch, another, wire.Group.Addr(), b)

		n, m := newKeyedListener(t)
		n.receive(epoch, opentracker, wire.Group.Addr(), b)
		if !sameStore(m, want) {
			t.Errorf("%s: from a plain node that is believed, a node with a key makes %v of it, want %v", v.Name, m.Roles(), want.Roles())
		}
		n, m = newKeyedListener(t)
		n.receive(epoch, another, wire.Group.Addr(), b)
		if m.Count() != 0 || len(n.nodes.byID) != 0 || drops(n.dropped) != 1 {
			t.Errorf("%s: a node with a key believes it of anybody, dropped %+v", v.Name, n.dropped)
		}

		p, err := wire.ParsePacket(b)
		if err != nil || p.Len() == 0 {
			continue
		}
		sealed++
		n, m = newKeyedListener(t)
		plain, pm := newListener(t)
		partner := newPartner(t, n, epoch, p.From, 100)
		for _, b := range resealed(&p) {
			b = partner.send(epoch, b)
			plain.receive(epoch, another, wire.Group.Addr(), b)
		}
		if !sameStore(m, want) {
			t.Errorf("%s: sealed, a node with the key makes %v of it, want %v", v.Name, m.Roles(), want.Roles())
		}
		if !sameStore(pm, want) {
			t.Errorf("%s: sealed, a node without a key makes %v of it, want %v", v.Name, pm.Roles(), want.Roles())
		}
	}
	if sealed < 10 {
		t.Errorf("only %d vectors were sealed", sealed)
	}
}

// resealed writes what a packet holds as packets that have room for a trailer.
func resealed(p *wire.Packet) (packets [][]byte) {
	var b []byte
	for i := range p.Len() {
		switch p.Kind {
		case wire.KindTell:
			if i%wire.MaxKeyedTells == 0 {
				packets = append(packets, wire.AppendTell(nil, p.From))
			}
			e := p.Tell(i)
			b = e.Append(packets[len(packets)-1])
		case wire.KindLive4:
			if i%wire.MaxKeyed4 == 0 {
				packets = append(packets, wire.AppendLive4(nil, p.From))
			}
			r := p.Record(i)
			b = r.Append4(packets[len(packets)-1])
		default:
			if i%wire.MaxKeyed6 == 0 {
				packets = append(packets, wire.AppendLive6(nil, p.From))
			}
			r := p.Record(i)
			b = r.Append6(packets[len(packets)-1])
		}
		packets[len(packets)-1] = b
	}
	return packets
}

// sameStore reports whether two stores hold the same peers and counts.
func sameStore(a, b *Model) bool {
	if a.Count() != b.Count() || !maps.Equal(a.Roles(), b.Roles()) {
		return false
	}
	for h := range a.torrents {
		if a.Downloaded(h) != b.Downloaded(h) {
			return false
		}
	}
	return true
}

// TestKeyTakenAway: a node that had a key and is started without one is a plain node, a minute after its last STATE and not before; when it has the
// key again it is believed as before.
func TestKeyTakenAway(t *testing.T) {
	n, m := newKeyedListener(t)
	id, r := wire.NodeID{9}, wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1)}
	p := newPartner(t, n, epoch, id, 100)
	plain := r.Append4(wire.AppendLive4(nil, id))
	n.receive(epoch.Add(keyedMemory-1), opentracker, wire.Group.Addr(), plain)
	if len(m.Applied) != 0 || n.dropped.Plain != 1 || n.status(epoch).Nodes[0].Mode != "keyed" {
		t.Errorf("applied %d, dropped %+v", len(m.Applied), n.dropped)
	}
	n.receive(epoch.Add(keyedMemory), opentracker, wire.Group.Addr(), plain)
	if len(m.Applied) != 1 || n.status(epoch).Nodes[0].Mode != "plain" {
		t.Errorf("applied %d, dropped %+v", len(m.Applied), n.dropped)
	}
	now := epoch.Add(2 * keyedMemory)
	p.send(now, p.state(now))
	p.send(now, r.Append4(wire.AppendLive4(nil, id)))
	if len(m.Applied) != 2 || n.status(now).Nodes[0].Mode != "keyed" {
		t.Errorf("applied %d, dropped %+v", len(m.Applied), n.dropped)
	}
}

// TestSequencesRunOut: a node whose sequences come to their end goes on in another epoch, and nothing it says is lost.
func TestSequencesRunOut(t *testing.T) {
	n, m := newKeyedListener(t)
	id := wire.NodeID{9}
	p := newPartner(t, n, epoch, id, 100)
	p.Skip(wire.SpaceData, 1<<32-1-1<<20)
	p.send(epoch, p.state(epoch))
	now := epoch.Add(time.Second)
	for i := range 3 {
		r := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)}
		p.send(now, r.Append4(wire.AppendLive4(nil, id)))
	}
	p.Turn()
	p.send(now, p.state(now)) // without an echo it would do, too
	for i := range 3 {
		r := wire.Record{InfoHash: HashOf(2), Peer: PeerOf(i)}
		p.send(now, r.Append4(wire.AppendLive4(nil, id)))
	}
	st := n.status(now)
	if p.Epoch() != 101 || st.Nodes[0].Epoch != 101 || !m.Has(HashOf(2), PeerOf(0)) || !m.Has(HashOf(2), PeerOf(2)) {
		t.Errorf("epoch %d is taken for %d, held are %v", p.Epoch(), st.Nodes[0].Epoch, m.Roles())
	}
}

// TestKeyedPacketsFit fills packets of every kind that a node with a key sends: none is fragmented, each is sealed, in the order of its space.
func TestKeyedPacketsFit(t *testing.T) {
	for _, dialect := range []Dialect{Seed, Modern, Both} {
		m := NewModel()
		cfg := Config{
			ID: testID, Group: wire.Group, Interface: "eth0", Flush: 250 * time.Millisecond, BeaconInterval: time.Minute, FirstBeaconDelay: time.Second,
			Seed: new([32]byte), Keys: testKeys("k"), Epoch: 7, Dialect: dialect,
		}
		m.Join(&cfg)
		n := New(cfg)
		m.OnChange = n.Offer
		n.start(epoch)
		n.joined(epoch, Link{Name: "eth0", Local: we, Subnets: prefixes("10.0.0.0/24"), ReceiveBuffer: wantedBuffer})
		for i := range 500 {
			m.Announce(epoch, HashOf(i), PeerOf(i), wire.Seeding)
			m.Announce(epoch, HashOf(i), Peer6Of(i), 0)
		}
		n.scrape.tell.inquired(epoch)
		checker, kinds, records := seal.NewChecker(cfg.Keys), map[wire.Kind]int{}, 0
		var next [wire.Spaces]uint32
		for now := epoch; now.Before(epoch.Add(3 * time.Second)); now = now.Add(time.Millisecond) {
			for pkt := n.next(now); pkt != nil; pkt = n.next(now) {
				p, err := wire.ParsePacket(pkt)
				if err != nil || len(pkt) > wire.MaxUnfragmented {
					t.Fatalf("%v: %d bytes, %v", dialect, len(pkt), err)
				}
				kinds[p.Kind]++
				if p.Kind == wire.KindBeacon || p.Kind == wire.KindInquire {
					continue
				}
				records += p.Len()
				space := wire.SpaceOf(pkt)
				if _, ok := checker.Check(&p); !ok || p.Epoch != 7 || p.Seq != next[space] {
					t.Fatalf("%v: a %v is %d of epoch %d, want %d, tag right: %t", dialect, p.Kind, p.Seq, p.Epoch, next[space], ok)
				}
				next[space]++
			}
		}
		if kinds[wire.KindState] < 3 || kinds[wire.KindTell] != 12 || kinds[wire.KindBeacon] != 1 || records < 1500 {
			t.Errorf("%v: sent %v, %d records and entries", dialect, kinds, records)
		}
	}
}

// TestKeyedAllocations: a full packet that is sealed costs no allocation, neither to send nor to receive.
func TestKeyedAllocations(t *testing.T) {
	n, _ := newKeyedListener(t)
	n.cfg.Apply = func(time.Time, []wire.Record) {}
	p := newPartner(t, n, epoch, wire.NodeID{9}, 100)
	for n.next(epoch) != nil {
	}
	pkt := make([]byte, 0, wire.MaxPacket)
	full := packetOf(wire.MaxKeyed4)
	for range 5000 { // what is kept of each sender, and of ours, finds its memory
		n.receive(epoch, another, wire.Group.Addr(), p.Seal(append(pkt, full...)))
		for i := range wire.MaxKeyed4 {
			n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
		}
		n.next(epoch)
	}
	receive := testing.AllocsPerRun(1000, func() { n.receive(epoch, another, wire.Group.Addr(), p.Seal(append(pkt, full...))) })
	send := testing.AllocsPerRun(1000, func() {
		for i := range wire.MaxKeyed4 {
			n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
		}
		if n.next(epoch) == nil {
			t.Fatal("a full packet did not leave")
		}
	})
	if receive != 0 || send != 0 {
		t.Errorf("%v allocations to receive a packet, %v to send one", receive, send)
	}
}

// BenchmarkReceiveKeyed is the receiver's way from a full sealed packet to the store, which does nothing; the sealing is not counted.
func BenchmarkReceiveKeyed(b *testing.B) {
	n, _ := newKeyedListener(b)
	n.cfg.Apply = func(time.Time, []wire.Record) {}
	p := newPartner(b, n, epoch, wire.NodeID{9}, 100)
	full, pkts := packetOf(wire.MaxKeyed4), make([][]byte, 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(pkts) == 0 {
			b.StopTimer()
			for j := range pkts {
				pkts[j] = p.Seal(append(pkts[j][:0], full...))
			}
			b.StartTimer()
		}
		n.receive(epoch, another, wire.Group.Addr(), pkts[i%len(pkts)])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/wire.MaxKeyed4, "ns/record")
}

// FuzzReceiveKeyed feeds a node with a key whatever there is: from where packets need a tag nothing gets in.
func FuzzReceiveKeyed(f *testing.F) {
	sealer := seal.NewSealer(testKeys("other")[0], wire.NodeID{9}, 100)
	for _, b := range sealable(wire.NodeID{9}) {
		f.Add(b)
		f.Add(sealer.Seal(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, m := newKeyedListener(t)
		newPartner(t, n, epoch, wire.NodeID{9}, 100)
		before := pictureOf(n, m, epoch)
		n.receive(epoch, another, wire.Group.Addr(), b)
		if after := pictureOf(n, m, epoch); !before.equal(&after) {
			t.Errorf("changed %+v to %+v", before, after)
		}
	})
}
