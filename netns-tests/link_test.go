package netnstests

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
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

// TestInterfaceChosen: auto takes the interface that has the default route and
// names the choice; with two that could be meant live sync stays off and the
// warning names both; one that is not there is refused before anything starts.
func TestInterfaceChosen(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	reaches(n.hosts["a"].serve("--livesync-interface", "auto"), n.hosts["b"].serve(), n.hosts["x"], 1)

	c := n.hosts["c"]
	n.ip("-n %s route del default", c.ns)
	n.ip("-n %s link add name eth1 type veth peer name eth2", c.ns)
	n.ip("-n %s addr add 192.168.77.1/24 dev eth1", c.ns)
	n.ip("-n %s link set eth1 up", c.ns)
	n.ip("-n %s link set eth2 up", c.ns)
	off := c.serve("--livesync-interface", "auto")
	if s := off.now().Livesync; s.Mode != "off" || s.Interface != "" {
		t.Errorf("mode %q on interface %q, want off", s.Mode, s.Interface)
	}
	if len(off.logged(`"warn"`, "eth0", "eth1")) == 0 {
		t.Error("no warning names the two interfaces")
	}
	off.stop()

	refused := c.launch("--livesync-interface", "eth7")
	<-refused.ended
	var exit *exec.ExitError
	if !errors.As(refused.err, &exit) || exit.ExitCode() != 2 || len(refused.logged("eth7", "starling:")) != 1 {
		t.Errorf("an interface that is not there: %v", refused.err)
	}
}
