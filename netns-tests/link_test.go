package netnstests

import (
	"fmt"
	"net/netip"
	"testing"
)

// loopback is where a tracker's own host finds it whatever the cable does.
var loopback = netip.MustParseAddr("127.0.0.1")

// reaches shows that live sync works from one tracker to another: what a
// client announces at one the other counts. A tracker that is only about to
// join the segment misses what was said before, so clients keep coming.
func reaches(from, to *node, client *host, torrent int) {
	from.t.Helper()
	p := peer{client, hash(torrent), 7000}
	eventually(from.t, fmt.Sprintf("an announce at %s reaches %s", from.name, to.name), func() error {
		p.port++
		p.announce(from.ip4, 0, "started")
		complete, _, _, err := client.scrape(to.ip4, p.hash)
		if err == nil && complete == 0 {
			err = fmt.Errorf("none of %d arrived", p.port-7000)
		}
		return err
	})
}

// TestLinkDownAndUp: a tracker whose cable is pulled says so, serves who can
// still reach it, and is part of the cluster again when the cable is back.
func TestLinkDownAndUp(t *testing.T) {
	interrupted(t, func(h *host) { h.link("down") }, func(h *host) { h.link("up") })
}

// TestInterfaceMadeAnew: the interface goes and one of the same name comes,
// with another index, as when a driver is reloaded.
func TestInterfaceMadeAnew(t *testing.T) {
	interrupted(t, (*host).unplug, (*host).plug)
}

// interrupted takes a tracker off the segment and puts it back.
func interrupted(t *testing.T, away, back func(*host)) {
	n := newNetwork(t, "a", "b", "x")
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
	x := n.hosts["x"]
	reaches(a, b, x, 1)
	reaches(b, a, x, 2)

	away(a.host)
	a.until("notices", func(s status) error {
		if len(a.logged("eth0", `"warn"`)) == 0 {
			return fmt.Errorf("no warning names eth0; its status says %+v", s.Livesync)
		}
		return nil
	})
	// A client on the same host can still announce.
	peer{a.host, hash(3), 7003}.announce(loopback, 0, "started")

	back(a.host)
	reaches(a, b, x, 4)
	reaches(b, a, x, 5)
}

// TestInterfaceUpLater: the interface is there but down and without an
// address when the tracker starts, as early in a boot.
func TestInterfaceUpLater(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	n.ip("-n %s addr flush dev eth0", n.hosts["a"].ns)
	n.hosts["a"].link("down")
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
	peer{a.host, hash(3), 7003}.announce(loopback, 0, "started")
	n.hosts["a"].link("up")
	reaches(b, a, n.hosts["x"], 1)
	reaches(a, b, n.hosts["x"], 2)
}
