package livesync

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// newListener returns a node, without its loops, that listens to 10.0.0.0/24.
func newListener(t testing.TB) (*Node, *Model) {
	t.Helper()
	m := NewModel()
	cfg := Config{ID: testID, Group: wire.Group, Interface: "eth0", Flush: 250 * time.Millisecond, BeaconInterval: time.Minute, FirstBeaconDelay: time.Hour, Seed: new([32]byte)}
	m.Join(&cfg)
	n := New(cfg)
	m.OnChange = n.Offer
	n.start(epoch)
	n.joined(epoch, Link{Name: "eth0", Local: we, Subnets: prefixes("10.0.0.0/24"), ReceiveBuffer: wantedBuffer})
	return n, m
}

// TestVectors receives what real opentrackers sent, and compares what a tracker then holds.
func TestVectors(t *testing.T) {
	var vectors []struct {
		Name, Hex string
		Effect    []struct {
			InfoHash string `json:"info_hash"`
			Scrape   []uint64
			Peers4   [][2]any
			Peers6   [][2]any
			Absent   bool
		}
	}
	text, err := os.ReadFile("../wire/testdata/livesync.json")
	if err == nil {
		err = json.Unmarshal(text, &vectors)
	}
	if err != nil || len(vectors) < 20 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	for _, v := range vectors {
		n, m := newListener(t)
		pkt, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		n.receive(epoch, another, wire.Group.Addr(), pkt)
		if reply := n.next(epoch.Add(time.Second)); reply != nil && v.Name != "inquire" {
			t.Errorf("%s: answered with %x", v.Name, reply)
		}
		for _, e := range v.Effect {
			h, err := wire.ParseInfoHash(e.InfoHash)
			if err != nil {
				t.Fatal(err)
			}
			torrent, known := m.torrents[h]
			if known == e.Absent {
				t.Errorf("%s: %s is known: %v", v.Name, h, known)
			}
			if !known || e.Absent {
				continue
			}
			scrape, peers := []uint64{0, torrent.downloaded, 0}, map[string]bool{}
			for addr, p := range torrent.peers {
				peers[addr.String()] = true
				if p.seeder {
					scrape[0]++
				} else {
					scrape[2]++
				}
			}
			if !slices.Equal(scrape, e.Scrape) {
				t.Errorf("%s: scrape of %s says %v, want %v", v.Name, h, scrape, e.Scrape)
			}
			want := slices.Concat(e.Peers4, e.Peers6)
			for _, p := range want {
				addr := netip.AddrPortFrom(netip.MustParseAddr(p[0].(string)), uint16(p[1].(float64)))
				if !peers[addr.String()] {
					t.Errorf("%s: %s lacks %s", v.Name, h, addr)
				}
			}
			if len(want) != len(peers) {
				t.Errorf("%s: %s has %d peers, want %d", v.Name, h, len(peers), len(want))
			}
		}
	}
}

// TestDroppedByReason sends one packet of each kind that is not taken, and after
// it checks that exactly its counter went up.
func TestDroppedByReason(t *testing.T) {
	record := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1)}
	noPort := wire.Record{InfoHash: HashOf(1)}
	good := record.Append4(wire.AppendLive4(nil, wire.NodeID{9}))
	group, stranger := wire.Group.Addr(), netip.MustParseAddrPort("192.0.2.1:9696")
	tests := []struct {
		name string
		from netip.AddrPort
		to   netip.Addr
		pkt  []byte
		want Dropped
	}{
		{"our own", we, group, record.Append4(wire.AppendLive4(nil, testID)), Dropped{OwnID: 1}},
		{"our own, from before our id changed", we, group, good, Dropped{OwnID: 1}},
		{"our id from another", another, group, record.Append4(wire.AppendLive4(nil, testID)), Dropped{OwnID: 1}},
		{"foreign source", stranger, group, good, Dropped{Source: 1}},
		{"foreign source with our id", stranger, group, record.Append4(wire.AppendLive4(nil, testID)), Dropped{Source: 1}},
		{"another group", another, wire.OpentrackerGroup.Addr(), good, Dropped{Group: 1}},
		{"unicast", another, we.Addr(), good, Dropped{Group: 1}},
		{"no bytes", another, group, nil, Dropped{Short: 1}},
		{"cut", another, group, good[:len(good)-1], Dropped{Short: 1}},
		{"inquiry of 13 bytes", another, group, append(wire.AppendInquire(nil, wire.NodeID{9}, testID), 0), Dropped{Short: 1}},
		{"beacon of 17 bytes", another, group, append(wire.AppendBeacon(nil, wire.NodeID{9}, 7), 0), Dropped{Short: 1}},
		{"oversized", another, group, append(slices.Clone(good), make([]byte, wire.MaxPacket)...), Dropped{Long: 1}},
		{"unknown type", another, group, []byte{0, 0, 0, 9, 0, 0, 0, 4, 1, 2, 3, 4}, Dropped{Type: 1}},
		{"no port", another, group, noPort.Append4(wire.AppendLive4(nil, wire.NodeID{9})), Dropped{Address: 1}},
		{"good", another, group, good, Dropped{}},
	}
	for _, tt := range tests {
		n, m := newListener(t)
		n.receive(epoch, tt.from, tt.to, tt.pkt)
		if got := n.status(epoch).Dropped; got != tt.want {
			t.Errorf("%s: dropped %+v, want %+v", tt.name, got, tt.want)
		}
		if applied := len(m.Applied); applied != 0 != (tt.want == Dropped{}) {
			t.Errorf("%s: applied %d records", tt.name, applied)
		}
		if pkt := n.next(epoch.Add(time.Second)); pkt != nil {
			t.Errorf("%s: answered with %x", tt.name, pkt)
		}
	}
}

// TestMappedCopiesAreSkipped has a sender of both dialects, then one that changes to the modern one.
func TestMappedCopiesAreSkipped(t *testing.T) {
	n, m := newListener(t)
	done := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1), Flags: wire.Seeding | wire.Complete}
	stop := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1), Flags: wire.Stopped}
	six := wire.Record{InfoHash: HashOf(1), Peer: Peer6Of(2)}
	send := func(at time.Duration, pkt []byte) { n.receive(epoch.Add(at), another, wire.Group.Addr(), pkt) }
	four := func() []byte { return wire.AppendLive4(nil, wire.NodeID{9}) }
	mapped := func() []byte { return wire.AppendLive6(nil, wire.NodeID{9}) }

	send(0, done.Append4(four()))
	send(0, stop.Append4(four()))
	send(0, six.Append6(stop.Append6(done.Append6(mapped())))) // late: done and stop must not come back
	if got := m.Downloaded(HashOf(1)); got != 1 || m.Has(HashOf(1), PeerOf(1)) || !m.Has(HashOf(1), Peer6Of(2)) {
		t.Errorf("downloaded %d, held %v", got, m.Roles())
	}
	if s := n.status(epoch); s.Dropped.Double != 2 || s.Received.Records != 3 || s.Nodes[0].Dialect != "both" {
		t.Errorf("skipped %d, applied %d, dialect %q", s.Dropped.Double, s.Received.Records, s.Nodes[0].Dialect)
	}
	other := wire.AppendLive6(nil, wire.NodeID{8})
	send(time.Second, done.Append6(other))
	if got := m.Downloaded(HashOf(1)); got != 2 {
		t.Error("another sender's mapped record was skipped")
	}
	send(dialectWindow-1, done.Append6(mapped()))
	send(dialectWindow, stop.Append6(mapped()))
	if m.Has(HashOf(1), PeerOf(1)) || n.status(epoch).Dropped.Double != 3 {
		t.Errorf("a minute after its last type 0 packet a sender's mapped records count; skipped %d", n.status(epoch).Dropped.Double)
	}
}

// TestNothingAppliedIsSent hears records and tells by the thousand, and sends none of them.
func TestNothingAppliedIsSent(t *testing.T) {
	n, m := newListener(t)
	now := epoch
	for i := range 5000 {
		now = now.Add(10 * time.Millisecond)
		r := recordOf(i)
		r.Flags = wire.Flags(i) & 0xe0
		n.receive(now, another, wire.Group.Addr(), r.Append6(wire.AppendLive6(nil, wire.NodeID{9})))
		e := wire.Tell{InfoHash: HashOf(i), Downloaded: uint64(i)}
		n.receive(now, another, wire.Group.Addr(), e.Append(wire.AppendTell(nil, wire.NodeID{9})))
		if pkt := n.next(now); pkt != nil {
			t.Fatalf("sent %x", pkt)
		}
	}
	if len(m.Applied) != 5000 || n.status(epoch).Sent != (Traffic{}) {
		t.Errorf("applied %d, sent %+v", len(m.Applied), n.status(epoch).Sent)
	}
}

// TestTellWaitsForAllOfferedBefore offers several packets' worth of completions while a tell is being made: the tell,
// whose counts contain them, leaves behind them all, however much is offered later.
func TestTellWaitsForAllOfferedBefore(t *testing.T) {
	n, m := newListener(t)
	m.Fill(epoch, 1, 1, 0)
	n.receive(epoch, another, wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, testID))
	now := epoch.Add(tellStart)
	n.cfg.Tells = func(now time.Time, cursor uint64, dst []wire.Tell) (int, uint64) {
		for i := range 130 {
			m.Announce(now, HashOf(1), PeerOf(i), wire.Seeding|wire.Complete)
		}
		return m.tells(now, cursor, dst)
	}
	records := 0
	for pkt := n.next(now); pkt != nil; pkt = n.next(now) {
		p, err := wire.ParsePacket(pkt)
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind == wire.KindTell {
			if e := p.Tell(0); e.Downloaded != 130 || records < 130 || records >= 130+wire.MaxRecords4 {
				t.Errorf("a tell of %d downloads left behind %d records", e.Downloaded, records)
			}
			return
		}
		records += p.Len()
		m.Announce(now, HashOf(1), PeerOf(1000+records), wire.Seeding) // goes on all the time
	}
	t.Error("no tell")
}

// packetOf returns a packet of so many records.
func packetOf(records int) []byte {
	b := wire.AppendLive4(nil, wire.NodeID{9})
	for i := range records {
		r := wire.Record{InfoHash: HashOf(i), Peer: PeerOf(i)}
		b = r.Append4(b)
	}
	return b
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	n, _ := newListener(t)
	n.cfg.Apply = func(time.Time, []wire.Record) {}
	pkt := packetOf(wire.MaxRecords4)
	n.receive(epoch, another, wire.Group.Addr(), pkt) // makes the sender's entry
	if allocs := testing.AllocsPerRun(1000, func() { n.receive(epoch, another, wire.Group.Addr(), pkt) }); allocs != 0 {
		t.Errorf("%v allocations for a full packet", allocs)
	}
}

// TestSendingDoesNotAllocate fills packets and takes them.
func TestSendingDoesNotAllocate(t *testing.T) {
	n, _ := newListener(t)
	allocs := testing.AllocsPerRun(1000, func() {
		for i := range wire.MaxRecords4 {
			n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
		}
		if n.next(epoch) == nil {
			t.Fatal("a full packet did not leave")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a full packet", allocs)
	}
}

// FuzzReceive feeds a node whatever there is, as two packets from a listened-to source. It
// must survive, hold nothing but valid peers, stay bounded, and send only what an inquiry for it calls for.
func FuzzReceive(f *testing.F) {
	text, err := os.ReadFile("../wire/testdata/livesync.json")
	var vectors []struct{ Hex string }
	if err == nil {
		err = json.Unmarshal(text, &vectors)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		b, _ := hex.DecodeString(v.Hex)
		f.Add(b, b)
		f.Add(b[:len(b)/2], append(b, b...))
	}
	f.Add(wire.AppendInquire(nil, wire.NodeID{9}, testID), packetOf(wire.MaxRecords4))
	f.Add(wire.AppendBeacon(nil, testID, 0), wire.AppendBeacon(nil, wire.NodeID{9}, 1<<63))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		n, m := newListener(t)
		m.Fill(epoch, 1, 3, 7)
		asked := false
		for i, b := range [][]byte{first, second} {
			p, err := wire.ParsePacket(b)
			asked = asked || err == nil && p.Kind == wire.KindInquire && p.Target == n.ident.id
			n.receive(epoch.Add(time.Duration(i)*time.Millisecond), another, wire.Group.Addr(), b)
		}
		for r := range m.Roles() {
			if !r.Peer.Valid() {
				t.Errorf("holds %s", r.Peer)
			}
		}
		for at := time.Duration(0); at < time.Second; at += time.Millisecond {
			if pkt := n.next(epoch.Add(at)); pkt != nil && !asked {
				t.Errorf("sent %x", pkt)
			}
		}
		if len(n.nodes.byID) > 2 {
			t.Errorf("two packets made %d nodes", len(n.nodes.byID))
		}
	})
}
