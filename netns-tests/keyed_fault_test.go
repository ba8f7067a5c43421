package netnstests

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lasts lets a time of the test's own scenario pass: how long a cable is out or a process stands still.
func (n *network) lasts(d time.Duration) {
	<-time.After(d)
}

// TestKeyedStop: a node stands still for 5 s, as a suspended machine does, while 3,000 clients a second come at another.
func TestKeyedStop(t *testing.T) {
	c := newCluster(t, []string{"a", "b", "c"})
	b := c.nodes[1]
	clients := fewer(18_000)
	flock := c.hosts["x"].flock(c.nodes[0], 0, clients, fewer(3000))
	b.cmd.Process.Signal(syscall.SIGSTOP)
	c.lasts(5 * time.Second)
	b.cmd.Process.Signal(syscall.SIGCONT)
	flock.wait()
	took := c.allHold(uint64(clients), patience)
	t.Logf("all held by all nodes %s after the last announce", took)
}

// TestNarrowLink: a node tells 200,000 torrents over a link of 10 Mbit/s while clients come at it: what they say is not
// kept up and not lost.
func TestNarrowLink(t *testing.T) {
	torrents, clients := fewer(200_000), fewer(20_000)
	require(t, "tc", "iproute2")
	n := newNetwork(t, "a", "b", "f", "x")
	a := n.hosts["a"].serve(quick...)
	n.hosts["f"].filler().fill(torrents, torrents, a)
	a.narrow("10mbit")
	b := n.hosts["b"].serve(quick...)
	a.untilWithin(patience, "tells", func(s status) error {
		if s.Livesync.Sent.Tells == 0 {
			return fmt.Errorf("it is %s", s.Livesync.State)
		}
		return nil
	})
	c := &cluster{network: n, nodes: []*node{a, b}}
	begin := time.Now()
	flock := n.hosts["x"].flock(a, torrents*20, clients, fewer(1000))
	times := c.probe(20)
	flock.wait()
	b.until("has all clients", func(s status) error {
		if s.Peers.IPv4 != uint64(clients+20) {
			return fmt.Errorf("%d of %d peers", s.Peers.IPv4, clients+20)
		}
		return nil
	})
	b.untilWithin(patience, "was told all torrents", func(s status) error {
		const packet = 45 // which nobody sends again in plain mode, when one is lost
		if want := uint64(torrents + clients/20 + 20); s.Torrents+packet < want || s.Torrents > want {
			return fmt.Errorf("%d of %d torrents; dropped %v", s.Torrents, want, s.Livesync.Dropped)
		}
		return nil
	})
	worst := time.Duration(0)
	for _, d := range times {
		worst = max(worst, d)
	}
	s := a.now().Livesync
	t.Logf("%d torrents told in %s; records arrived within %s", torrents, time.Since(begin), worst)
	if worst > 20*time.Second {
		t.Errorf("a record took %s beside the tell", worst)
	}
	if s.Dropped["queue"] != 0 || s.Dropped["send"] != 0 {
		t.Errorf("dropped %v", s.Dropped)
	}
}

// TestDivergenceIsSeen: b believes somebody whom a does not, and so holds peers that a lacks. Both say how many. Then b
// stands still, and a says that; when b has ended as it should, a has nobody to be compared with.
func TestDivergenceIsSeen(t *testing.T) {
	const more = 10_000
	n := newNetwork(t, "a", "b", "f", "x")
	c := &cluster{network: n, key: n.keyFile("key", n.newKey())}
	c.nodes = []*node{c.serve("a"), c.serve("b", "--livesync-node-plain", n.hosts["f"].ip4.String())}
	a, b := c.nodes[0], c.nodes[1]
	a.until("has caught up", func(status) error { // with nothing, but that it does once
		if len(a.logged("caught up with another node")) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	n.hosts["f"].filler().fill(more/10, more, b)
	says := func(n *node, yes bool, why string) {
		t.Helper()
		n.untilWithin(patience, "says: "+why, func(s status) error {
			if s.InSync == nil || *s.InSync != yes || !strings.Contains(s.InSyncWhy, why) {
				return errors.New(s.InSyncWhy)
			}
			return nil
		})
	}
	says(a, false, "peers differently")
	says(b, false, "peers differently")
	for _, node := range c.nodes {
		node.until("reckons how many", func(s status) error {
			if d := s.Nodes[0].Divergence; d == nil || d.Peers < more*6/10 || d.Peers > more*14/10 {
				return fmt.Errorf("%+v", d)
			}
			return nil
		})
	}
	b.cmd.Process.Signal(syscall.SIGSTOP)
	says(a, false, "silent")
	b.cmd.Process.Signal(syscall.SIGCONT)
	b.stop()
	a.until("knows that b has ended", func(s status) error {
		if s.InSync != nil {
			return errors.New(s.InSyncWhy)
		}
		return nil
	})
}
