package netnstests

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestForgerAndReplayer: somebody on the segment forges packets of every kind, and plays what he has heard: to nodes that were there when it
// was said, and to one that was started anew since. Nothing changes, all of it is counted, and he gets no answer.
func TestForgerAndReplayer(t *testing.T) {
	c := newCluster(t, []string{"a", "b", "f"}[:2])
	a, b := c.nodes[0], c.nodes[1]
	forgers := c.hosts["x"]
	client := peer{c.hosts["x"], hash(1), 7001}
	client.announce(a.ip4, 1000, "started")
	c.allHold(1, patience)
	client.announce(a.ip4, 0, "completed")
	client.announce(a.ip4, 0, "stopped")
	c.allHold(0, patience)
	recorded := c.wire.all(both(a.sent(""), func(f frame) bool { return f.sync.keyed }))
	if len(recorded) < 3 {
		t.Fatalf("%d packets were recorded", len(recorded))
	}

	f := forgers.forger(forgers.ip4)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	f.send(group, live(a.id, hash(2), client.addr4(), 0)) // as plain nodes speak
	f.send(group, live(strangerID, hash(2), client.addr4(), 0))
	f.send(group, beacon(strangerID, 1<<40))
	f.send(group, inquire(strangerID, a.id))
	for _, r := range recorded {
		for range 5 { // with a bit that is not as it was
			forged := bytes.Clone(r.payload)
			forged[rng.IntN(len(forged))] ^= 1 << rng.IntN(8)
			f.send(group, forged)
		}
		for cut := range r.payload {
			f.send(group, r.payload[:cut])
		}
	}
	replay := func() {
		for range 3 {
			for _, r := range recorded {
				f.send(group, r.payload)
			}
		}
	}
	replay()
	check := func(n *node, reasons ...string) {
		t.Helper()
		n.until("counts what it did not believe", func(s status) error {
			for _, reason := range reasons {
				if s.Livesync.Dropped[reason] == 0 {
					return fmt.Errorf("none %s: %v", reason, s.Livesync.Dropped)
				}
			}
			return nil
		})
		if s := n.now(); s.Peers.IPv4 != 0 || s.Torrents != 1 || s.TrackerID != n.id {
			t.Errorf("seed %d: %s has %d peers in %d torrents, its id is %s and was %s", seed, n.name, s.Peers.IPv4, s.Torrents, s.TrackerID, n.id)
		}
	}
	check(a, "auth", "plain", "own_id")
	check(b, "auth", "plain", "replay")
	if _, _, downloaded, err := forgers.scrape(b.ip4, hash(1)); downloaded != 1 || err != nil {
		t.Errorf("seed %d: b counts %d completions, want 1 (%v)", seed, downloaded, err)
	}

	// A node that was not there when it was said is told who said it by somebody who lives.
	b.kill()
	b = c.serve("b")
	b.meets(1)
	replay()
	b.until("counts what was said before it came", func(s status) error {
		if d := s.Livesync.Dropped; d["replay"]+d["late"]+d["duplicate"]+d["unproven"] == 0 {
			return fmt.Errorf("%v", d)
		}
		return nil
	})
	if s := b.now(); s.Peers.IPv4 != 0 {
		t.Errorf("b has %d peers of a recording", s.Peers.IPv4)
	}
	for _, n := range []*node{a, b} {
		peer{forgers, hash(3), 7003}.announce(n.ip4, 0, "started")
	}
	c.nodes[1] = b
	c.allHold(1, patience)
	if answers := c.wire.all(func(r frame) bool { return r.dst.Addr() == forgers.ip4 && r.src.Port() != 6969 }); len(answers) != 0 {
		t.Errorf("seed %d: he was answered: %v", seed, answers[0])
	}
}

// TestWrongKey: a node with another key and the cluster ignore each other, and both say why.
func TestWrongKey(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	c := &cluster{network: n, key: n.keyFile("key", n.newKey())}
	a, b := c.serve("a"), c.serve("b")
	stranger := n.hosts["c"].serve("--cluster-key-file", n.keyFile("other", n.newKey()))
	a.meets(1)
	b.meets(1)
	peer{n.hosts["x"], hash(1), 7001}.announce(a.ip4, 0, "started")
	peer{n.hosts["x"], hash(2), 7002}.announce(stranger.ip4, 0, "started")
	b.holds(1, 0)
	for _, node := range []*node{a, b, stranger} {
		node.until("says why", func(s status) error {
			if s.Livesync.Dropped["auth"] == 0 || len(node.logged(`"warn"`, "key")) == 0 {
				return fmt.Errorf("dropped %v", s.Livesync.Dropped)
			}
			return nil
		})
		if s := node.now(); s.Peers.IPv4 != 1 {
			t.Errorf("%s holds %d peers, want its own cluster's", node.name, s.Peers.IPv4)
		}
	}
	if s := stranger.now(); len(s.Nodes) != 0 {
		t.Errorf("c believes %+v", s.Nodes)
	}
}

// TestRotatedKey: the key is replaced node by node, as LIVESYNC.md has it: [old, new], [new, old], [new]. All the while
// what one node is told the others know.
func TestRotatedKey(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	old, young := n.newKey(), n.newKey()
	c := &cluster{network: n, key: n.keyFile("key0", old)}
	names := []string{"a", "b", "c"}
	for _, name := range names {
		c.nodes = append(c.nodes, c.serve(name))
	}
	torrent := 0
	everyoneKnows := func(what string) {
		t.Helper()
		for _, at := range c.nodes {
			at.meets(2)
		}
		for _, at := range c.nodes {
			torrent++
			peer{n.hosts["x"], hash(torrent), 7001}.announce(at.ip4, 0, "started")
		}
		for _, at := range c.nodes {
			for i := torrent - 2; i <= torrent; i++ {
				eventually(t, what+": "+at.name+" knows", func() error {
					complete, _, _, err := n.hosts["x"].scrape(at.ip4, hash(i))
					if err == nil && complete != 1 {
						err = errors.New("not yet")
					}
					return err
				})
			}
		}
	}
	everyoneKnows("the old key")
	for step, lines := range [][]string{{old, young}, {young, old}, {young}} {
		c.key = n.keyFile(fmt.Sprintf("key%d", step+1), lines...)
		for i, name := range names {
			c.nodes[i].stop()
			c.nodes[i] = c.serve(name)
			everyoneKnows(fmt.Sprintf("step %d, %s", step+1, name))
		}
	}
	for _, at := range c.nodes {
		if auth := at.now().Livesync.Dropped["auth"]; auth != 0 {
			t.Errorf("%s did not believe %d packets", at.name, auth)
		}
	}
	c.inSync()
}
