package netnstests

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// TestAnnounceIsKnownEverywhere: a client that speaks to one tracker, over
// either family and either protocol, is found through all of them.
func TestAnnounceIsKnownEverywhere(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x", "y")
	a, b, c := n.hosts["a"].serve(), n.hosts["b"].serve(), n.hosts["c"].serve()
	x := peer{n.hosts["x"], hash(1), 7001}
	y := peer{n.hosts["y"], hash(1), 7002}

	x.announce(a.ip4, 0, "started")
	x.dialUDP(a.ip6).announce(x.hash, x.port, 0, 2)
	for _, node := range []*node{a, b, c} {
		node.holds(1, 1)
	}
	want := []netip.AddrPort{x.addr4(), x.addr6()}
	if got := y.announce(b.ip4, 1000, "started").peers(); !slices.Equal(got, want) {
		t.Errorf("the answer at b over HTTP: %v, want %v", got, want)
	}
	c.holds(2, 1)
	got := y.dialUDP(c.ip4).announce(y.hash, y.port, 1000, 0)
	if !slices.Equal(got.peers(), want[:1]) || got.Complete != 2 || got.Incomplete != 1 {
		t.Errorf("the answer at c over UDP and IPv4: %v, %d complete, %d incomplete", got.peers(), got.Complete, got.Incomplete)
	}
	got = y.dialUDP(c.ip6).announce(y.hash, y.port, 1000, 2)
	if !slices.Equal(got.peers(), want[1:]) {
		t.Errorf("the answer at c over UDP and IPv6: %v, want %v", got.peers(), want[1:])
	}
	for _, node := range []*node{a, b, c} {
		node.holds(2, 2)
	}
	if frames := n.wire.all(b.sent("live4")); len(frames) != 1 {
		t.Errorf("b sent %d packets about its one client: what is heard must not be sent on", len(frames))
	}
}

// TestCompletionAndStopTravel follows one client through its life: leecher at
// one tracker, seeder there, gone at another.
func TestCompletionAndStopTravel(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
	x := peer{n.hosts["x"], hash(2), 7001}
	counts := func(complete, incomplete, downloaded int64) {
		t.Helper()
		for _, node := range []*node{a, b} {
			eventually(t, fmt.Sprintf("%s counts %d %d %d", node.name, complete, incomplete, downloaded), func() error {
				c, i, d, err := x.scrape(node.ip4, x.hash)
				if err == nil && (c != complete || i != incomplete || d != downloaded) {
					err = fmt.Errorf("it counts %d %d %d", c, i, d)
				}
				return err
			})
		}
	}
	x.announce(a.ip4, 1000, "started")
	counts(0, 1, 0)
	x.announce(a.ip4, 0, "completed")
	counts(1, 0, 1)
	x.announce(a.ip4, 0, "completed") // once is enough
	counts(1, 0, 1)
	x.announce(b.ip4, 0, "stopped")
	counts(0, 0, 1)

	var flags []byte
	for _, f := range n.wire.all(about(x.hash)) {
		for _, r := range f.sync.records {
			if r.flags&stopped != 0 {
				r.flags = stopped // what it was besides is not said in the protocol
			}
			flags = append(flags, r.flags)
		}
	}
	if want := []byte{0, seeding | complete, stopped}; !slices.Equal(flags, want) {
		t.Errorf("flags on the wire %x, want %x", flags, want)
	}
}

// TestStopIsToldWhenUnknown: others may know a client that this tracker does not.
func TestStopIsToldWhenUnknown(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a := n.hosts["a"].serve()
	x := peer{n.hosts["x"], hash(3), 7001}
	x.announce(a.ip4, 1000, "stopped")
	f := n.wire.first("a stop", both(a.sent("live4"), about(x.hash)))
	if r := f.sync.records[0]; r.flags&stopped == 0 || r.peer != x.addr4() {
		t.Errorf("told %v", r)
	}
	a.holds(0, 0)
}

// TestDialects: each way to write an IPv4 peer is understood, and a completion
// that is written in two of them counts once.
func TestDialects(t *testing.T) {
	for dialect, kinds := range map[string][]string{
		"seed": {"live4"}, "modern": {"live6"}, "both": {"live4", "live6"},
	} {
		t.Run(dialect, func(t *testing.T) {
			n := newNetwork(t, "a", "b", "x")
			a, b := n.hosts["a"].serve("--livesync-dialect", dialect), n.hosts["b"].serve()
			x := peer{n.hosts["x"], hash(1), 7001}
			x.announce(a.ip4, 1000, "started")
			b.holds(1, 0)
			x.announce(a.ip4, 0, "completed")
			for _, kind := range kinds {
				n.wire.atLeast(2, kind+" packets", both(a.sent(kind), about(x.hash)))
			}
			x.dialUDP(a.ip6).announce(hash(2), x.port, 0, 2) // comes after all that
			b.holds(1, 1)
			if _, _, downloaded, err := x.scrape(b.ip4, x.hash); downloaded != 1 || err != nil {
				t.Errorf("b counts %d completions (%v), want 1", downloaded, err)
			}
			for _, f := range n.wire.all(about(x.hash)) {
				if !slices.Contains(kinds, f.sync.kind) {
					t.Errorf("a %s packet", f.sync.kind)
				}
				for _, r := range f.sync.records {
					if r.peer.Addr().Unmap() != x.ip4 {
						t.Errorf("%s names %s", f.sync.kind, r.peer)
					}
				}
			}
		})
	}
}
