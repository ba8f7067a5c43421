package netnstests

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// filled makes a cluster of these nodes, which hold so many peers each, evenly in so many torrents. Nodes of
// the other names are not started.
func filled(t *testing.T, names, others []string, torrents, peers int) *cluster {
	t.Helper()
	n := newNetwork(t, append(append(names, others...), "f", "x")...)
	c := &cluster{network: n, key: n.keyFile("key", n.newKey())}
	for _, name := range names {
		c.nodes = append(c.nodes, c.serve(name, "--livesync-node-plain", n.hosts["f"].ip4.String()))
	}
	for _, node := range c.nodes {
		node.meets(len(names) - 1)
	}
	n.hosts["f"].filler().fill(torrents, peers, c.nodes...)
	return c
}

// join starts a node and returns how long after its start it had that many peers, and was ready.
func (c *cluster) join(name string, peers uint64, flags ...string) (n *node, took time.Duration) {
	c.t.Helper()
	begin := time.Now()
	n = c.hosts[name].launch(append([]string{"--cluster-key-file", c.key}, flags...)...)
	n.untilWithin(patience, fmt.Sprintf("has %d peers", peers), func(s status) error {
		if s.Peers.IPv4 < peers {
			if s.Ready {
				return fmt.Errorf("it says that it is ready with %d", s.Peers.IPv4)
			}
			return fmt.Errorf("it has %d: %+v", s.Peers.IPv4, s.Livesync.CatchUp)
		}
		return nil
	})
	took = time.Since(begin)
	n.until("ready", func(s status) error {
		n.id = s.TrackerID
		if !s.Ready {
			return errors.New("not yet")
		}
		return nil
	})
	return n, took
}

// TestFreshNode: a node without any state joins 200,000 torrents with 1,000,000 peers while clients keep coming.
func TestFreshNode(t *testing.T) {
	torrents, peers, clients := fewer(200_000), fewer(1_000_000), fewer(20_000)
	c := filled(t, []string{"a", "b"}, []string{"c"}, torrents, peers)
	flock := c.hosts["x"].flock(c.nodes[0], torrents*20, clients, fewer(2000))
	n, took := c.join("c", uint64(peers)*999/1000)
	t.Logf("99.9 %% of the peers after %s, start of the process included", took)
	if took > patience { // 3 s on a machine that does nothing else
		t.Errorf("99.9 %% of the peers after %s", took)
	}
	flock.wait()
	c.nodes = append(c.nodes, n)
	c.allHold(uint64(peers+clients), patience)
	if s := n.now(); s.Torrents != uint64(torrents+clients/20) {
		t.Errorf("c has %d torrents", s.Torrents)
	}
	c.inSync()
}

// TestTwoJoinAtOnce: two nodes without state join at the same moment.
func TestTwoJoinAtOnce(t *testing.T) {
	torrents, peers, clients := fewer(20_000), fewer(200_000), fewer(5000)
	c := filled(t, []string{"a"}, []string{"b", "c"}, torrents, peers)
	flock := c.hosts["x"].flock(c.nodes[0], torrents*20, clients, fewer(1000))
	first := c.hosts["b"].launch("--cluster-key-file", c.key)
	second, _ := c.join("c", uint64(peers))
	flock.wait()
	c.nodes = append(c.nodes, first, second)
	c.allHold(uint64(peers+clients), patience)
}

// TestTellerDies: the node that a fresh one catches up from is killed in the middle of it. The other has it all, too.
func TestTellerDies(t *testing.T) {
	torrents, peers := fewer(20_000), fewer(300_000)
	require(t, "tc", "iproute2")
	c := filled(t, []string{"a", "b"}, []string{"c"}, torrents, peers)
	for _, n := range c.nodes {
		n.narrow(fmt.Sprintf("%dkbit", fewer(20_000)))
	}
	begin := time.Now()
	n := c.hosts["c"].launch("--cluster-key-file", c.key)
	s := n.until("gets peers", func(s status) error {
		if up := s.Livesync.CatchUp; !up.Running || s.Peers.IPv4 == 0 {
			return fmt.Errorf("it has %d peers: %+v", s.Peers.IPv4, up)
		}
		return nil
	})
	var left *node
	for _, source := range c.nodes {
		if source.id == s.Livesync.CatchUp.From {
			source.kill()
		} else {
			left = source
		}
	}
	if s.Peers.IPv4 >= uint64(peers) {
		t.Fatalf("it had all %d peers before anybody could die", peers)
	}
	n.holds(uint64(peers), 0)
	s = n.until("ready", func(s status) error {
		if !s.Ready {
			return errors.New("not yet")
		}
		return nil
	})
	t.Logf("all peers %s after the start; %+v, left is %s", time.Since(begin), s.Livesync.CatchUp, left.id)
	if s.Livesync.CatchUp.Failed == 0 {
		t.Error("no stream failed: the wrong node was killed")
	}
}

// narrow bounds what a host sends.
func (h *host) narrow(rate string) {
	h.net.t.Helper()
	err := h.in(func() error {
		args := append(strings.Fields("qdisc add dev eth0 root tbf burst 32kb latency 300ms rate"), rate)
		if out, err := exec.Command("tc", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("tc: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		unable(h.net.t, err.Error())
	}
}

// TestKillAndRestart: a node is killed while clients announce at it, and started again while they announce elsewhere, with a
// state directory and without. It has all of them afterwards, those who left meanwhile excepted.
func TestKillAndRestart(t *testing.T) {
	for _, state := range []bool{true, false} {
		t.Run(fmt.Sprintf("state %t", state), func(t *testing.T) {
			c := newCluster(t, []string{"a", "b"})
			a, b := c.nodes[0], c.nodes[1]
			var flags []string
			if state {
				b.stop()
				flags = []string{"--state-dir", filepath.Join(c.dir, "state"), "--snapshot-interval", "1s"}
				b = c.serve("b", flags...)
				b.meets(1)
				a.meets(1)
			}
			leaver := peer{c.hosts["x"], hash(900_000), 7001}
			leaver.announce(b.ip4, 0, "started")
			c.hosts["x"].flock(b, 0, 4000, 2000).wait()
			a.holds(4001, 0)
			if state {
				b.until("has written a snapshot", func(status) error {
					if len(b.logged("snapshot written", `"peers":4001`)) == 0 {
						return errors.New("not yet")
					}
					return nil
				})
			}
			b.kill()
			leaver.announce(a.ip4, 0, "stopped")
			c.hosts["x"].flock(a, 4000, 4000, 4000).wait()
			b = c.serve("b", flags...)
			b.untilWithin(20*time.Second, "shows that it was ready with all clients", func(s status) error { // a status may be a second old
				if s.Peers.IPv4 < 8000 {
					return fmt.Errorf("it has %d of 8000", s.Peers.IPv4)
				}
				return nil
			})
			c.nodes[1] = b
			c.allHold(8000, patience)
			if _, restored := b.now(), len(b.logged("swarms restored")); state != (restored == 1) {
				t.Errorf("swarms were restored %d times", restored)
			}
		})
	}
}

// TestKillAlone: a node that has nobody to ask has what was in its last snapshot, of any age.
func TestKillAlone(t *testing.T) {
	n := newNetwork(t, "a", "x")
	flags := []string{"--state-dir", filepath.Join(n.dir, "state"), "--snapshot-interval", "1s"}
	a := n.hosts["a"].serve(flags...)
	n.hosts["x"].flock(a, 0, 3000, 3000).wait()
	a.until("has written a snapshot", func(status) error {
		if len(a.logged("snapshot written", `"peers":3000`)) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	a.kill()
	a = n.hosts["a"].serve(flags...)
	if s := a.now(); s.Peers.IPv4 != 3000 || s.Torrents != 150 || s.Seeders != 1000 {
		t.Errorf("%d peers, %d seeders in %d torrents", s.Peers.IPv4, s.Seeders, s.Torrents)
	}
}

// TestKeyedLinkFlap: the cable of a node is out for 10 s. Meanwhile clients come at another, and at itself from its own
// host. When it is back, all hold all of them, those who left meanwhile excepted.
func TestKeyedLinkFlap(t *testing.T) {
	c := newCluster(t, []string{"a", "b", "c"})
	a, b := c.nodes[0], c.nodes[1]
	leaver := peer{c.hosts["x"], hash(900_000), 7001}
	leaver.announce(a.ip4, 0, "started")
	c.allHold(1, patience)

	b.link("down")
	clients := fewer(9000)
	flock := c.hosts["x"].flock(a, 0, clients, fewer(1000))
	own := peer{b.host, hash(900_001), 0}
	for i := range 200 {
		own.port = uint16(8000 + i)
		own.announce(loopback, 0, "started")
	}
	leaver.announce(a.ip4, 0, "stopped")
	c.lasts(10 * time.Second)
	b.link("up")
	flock.wait()
	took := c.allHold(uint64(clients+200), patience)
	t.Logf("all held by all nodes %s after the cable was back", took)
	if complete, _, _, err := c.hosts["x"].scrape(b.ip4, leaver.hash); err != nil || complete != 0 {
		t.Errorf("b still has the client that left meanwhile: %d, %v", complete, err)
	}
	c.inSync()
}
