package tracker

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Which addresses are one client.
func TestPlaceOf(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:0:100::1", "2001:db8:0:1ff::9", true},
		{"2001:db8:0:100::1", "2001:db8:0:200::1", false},
		{"0.0.0.0", "::", false},
		{"127.255.255.255", "::7fff:ffff:0:0", false},
	} {
		a, b := netip.MustParseAddr(c.a).Unmap(), netip.MustParseAddr(c.b).Unmap()
		if (placeOf(a) == placeOf(b)) != c.same {
			t.Errorf("%s and %s: %x, %x", a, b, placeOf(a), placeOf(b))
		}
	}
}

// TestPlaces takes and gives back at random and compares with counts that are kept apart: the bounds hold exactly, and nothing is left.
func TestPlaces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p := places{most: 30, each: 4, full: refuseConnections, crowded: refuseClient, exempt: testSources()}
	clients := []string{
		"192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3", "2001:db8:9::1", "2001:db8:9:100::1", "2001:db8:9:200::1",
		"127.0.0.1", "::1", "10.1.0.1", "2001:db8:1::7", // this host and proxies
	}
	const bounded = 6
	open, all := make([]int64, len(clients)), int64(0)
	for range 20_000 {
		i := r.IntN(len(clients))
		from := netip.MustParseAddr(clients[i])
		if r.IntN(2) == 0 {
			if open[i] > 0 {
				p.leave(from)
				open[i]--
				all--
			}
			continue
		}
		why, ok := p.take(from)
		switch {
		case all == p.most:
			ok = !ok && why == refuseConnections
		case i < bounded && open[i] == p.each:
			ok = !ok && why == refuseClient
		case ok:
			open[i]++
			all++
		}
		if !ok || p.taken.Load() != all {
			t.Fatalf("%s: %d open, %d in all, %d taken, refused for %s", clients[i], open[i], all, p.taken.Load(), refusalNames[why])
		}
	}
	for i, n := range open {
		for range n {
			p.leave(netip.MustParseAddr(clients[i]))
		}
	}
	for i := range p.parts {
		if n := len(p.parts[i].open); n != 0 || p.taken.Load() != 0 {
			t.Errorf("%d clients are left, %d taken", n, p.taken.Load())
		}
	}
}
