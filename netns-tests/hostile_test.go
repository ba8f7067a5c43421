package netnstests

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// strangerID is the id that forged packets carry, no node's own.
const strangerID = "0badcafe"

// TestHostilePacketsChangeNothing throws at a tracker what no tracker sends. A
// good packet behind all of it shows that it was received and got through.
func TestHostilePacketsChangeNothing(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a, x := n.hosts["a"].serve(), n.hosts["x"]
	client := peer{x, hash(1), 7001}
	client.announce(a.ip4, 0, "started")
	a.holds(1, 0)
	f := x.forger(x.ip4)
	foreign := netip.MustParseAddr("192.168.9.9")
	n.ip("-n %s addr add %s/24 dev eth0", x.ns, foreign)
	victim := netip.MustParseAddrPort("10.77.0.200:6881")
	record := live(strangerID, hash(2), victim, 0)

	// Who may speak, and where: neither reaches the swarms.
	x.forger(foreign).send(group, record)
	f.send(netip.MustParseAddrPort("224.0.42.6:9696"), record)
	f.send(netip.AddrPortFrom(a.ip4, 9696), record)

	// What is said: cut short at every byte, too long, of no known type.
	for cut := range record {
		f.send(group, record[:cut])
	}
	f.send(group, append(header(strangerID, 0), make([]byte, 28*100)...))
	seed := [32]byte{1}
	random := rand.NewChaCha8(seed)
	for size := 9; size < 1472; size += 50 {
		garbage := make([]byte, size)
		random.Read(garbage)
		f.send(group, garbage)
	}
	// Whole records that name nobody.
	for _, nobody := range []string{"10.77.0.200:0", "0.0.0.0:6881", "224.0.0.1:6881", "255.255.255.255:6881"} {
		f.send(group, live(strangerID, hash(3), netip.MustParseAddrPort(nobody), 0))
	}

	f.send(group, live(strangerID, hash(1), victim, 0))
	a.holds(2, 0)
	s := a.now()
	if s.Torrents != 1 || s.Seeders != 1 {
		t.Errorf("%d torrents, %d seeders: forged packets made swarms", s.Torrents, s.Seeders)
	}
	for reason, least := range map[string]uint64{"source": 1, "short": 8, "long": 1, "type": 29, "address": 4} {
		if got := s.Livesync.Dropped[reason]; got < least {
			t.Errorf("%d dropped for %q, want at least %d: %v", got, reason, least, s.Livesync.Dropped)
		}
	}
	if s.Livesync.Received.Records != 1 {
		t.Errorf("%d records received, want 1", s.Livesync.Received.Records)
	}
	if s.TrackerID != a.id {
		t.Errorf("the id changed from %s to %s", a.id, s.TrackerID)
	}
	if sent := n.wire.all(both(a.sent(""), func(f frame) bool { return !about(client.hash)(f) })); len(sent) != 0 {
		t.Errorf("the tracker answered: %v", sent[0].sync)
	}
}

// TestOtherGroupIsAnotherCluster: two clusters share a segment, each with a
// group of its own.
func TestOtherGroupIsAnotherCluster(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	other := netip.MustParseAddrPort("224.0.23.5:9696")
	n.hosts["b"].group, n.hosts["c"].group = other, other
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve("--livesync-group", other.String())
	c := n.hosts["c"].serve("--livesync-group", other.String())
	peer{n.hosts["x"], hash(1), 7001}.announce(a.ip4, 0, "started")
	n.wire.first("the record", a.sent("live4"))
	peer{n.hosts["x"], hash(2), 7001}.announce(b.ip4, 0, "started")
	c.holds(1, 0)
	b.holds(1, 0)
	a.holds(1, 0)
	if nodes := a.now().Nodes; len(nodes) != 0 {
		t.Errorf("a hears %v across groups", nodes)
	}
}
