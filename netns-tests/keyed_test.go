package netnstests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Tests of nodes with a cluster key, whose cluster loses nothing.

// newKey makes a cluster key, as an operator does, and returns its line.
func (n *network) newKey() string {
	n.t.Helper()
	out, err := exec.Command(os.Getenv(binaryEnv), "key").Output()
	if err != nil {
		n.t.Fatalf("starling key: %v", err)
	}
	return string(out)
}

// keyFile writes lines of keys to a file and returns its path.
func (n *network) keyFile(name string, lines ...string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	var text []byte
	for _, line := range lines {
		text = append(text, line...)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

// A cluster is some nodes with one key.
type cluster struct {
	*network
	key   string // its file
	nodes []*node
}

// newCluster makes a segment with nodes of these names that have one key and know each other, and a host x for clients.
func newCluster(t *testing.T, names []string, flags ...string) *cluster {
	t.Helper()
	n := newNetwork(t, append(names, "x")...)
	c := &cluster{network: n, key: n.keyFile("key", n.newKey())}
	for _, name := range names {
		c.nodes = append(c.nodes, c.serve(name, flags...))
	}
	for _, node := range c.nodes {
		node.meets(len(names) - 1)
	}
	return c
}

// serve starts a node of the cluster.
func (c *cluster) serve(name string, flags ...string) *node {
	c.t.Helper()
	return c.hosts[name].serve(append([]string{"--cluster-key-file", c.key}, flags...)...)
}

// meets waits until a node believes this many others that are alive.
func (n *node) meets(others int) {
	n.t.Helper()
	n.until(fmt.Sprintf("knows %d nodes", others), func(s status) error {
		alive := 0
		for _, o := range s.Nodes {
			if o.Mode == "keyed" && o.LastHeard < 3 {
				alive++
			}
		}
		if alive != others {
			return fmt.Errorf("it knows %d: %+v", alive, s.Nodes)
		}
		return nil
	})
}

// allHold waits until all nodes have exactly that many IPv4 peers, within so long, and returns how long it took.
func (c *cluster) allHold(peers uint64, within time.Duration) time.Duration {
	c.t.Helper()
	begin := time.Now()
	for _, n := range c.nodes {
		n.holds(peers, 0)
	}
	took := time.Since(begin)
	if took > within {
		c.t.Errorf("all had %d peers after %s, want %s at most", peers, took, within)
	}
	return took
}

// inSync waits until every node says that the cluster is in sync, and checks that none has lost a packet for good.
func (c *cluster) inSync() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.untilWithin(patience, "in sync", func(s status) error {
			if s.InSync == nil || !*s.InSync {
				return errors.New(s.InSyncWhy)
			}
			return nil
		})
	}
}

// lose makes a node's host drop packets of the group at random, so many of a hundred. It returns how to stop that.
func (n *node) lose(percent int) (stop func()) {
	n.t.Helper()
	require(n.t, "nft", "nftables")
	nft := func(args ...string) {
		n.t.Helper()
		err := n.in(func() error {
			if out, err := exec.Command("nft", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("nft %v: %w: %s", args, err, out)
			}
			return nil
		})
		if err != nil {
			n.t.Fatal(err)
		}
	}
	nft("add", "table", "ip", "loss")
	nft("add", "chain", "ip", "loss", "in", "{ type filter hook input priority 0; }")
	nft("add", "rule", "ip", "loss", "in", "udp", "dport", "9696", "numgen", "random", "mod", "100", "<", fmt.Sprint(percent), "counter", "drop")
	return func() { nft("delete", "table", "ip", "loss") }
}

// TestKeyedLoss: each of four nodes loses one packet in twenty while 5,000 clients a second come, and so the
// nodes do not hold what their clients said but for moments.
func TestKeyedLoss(t *testing.T) {
	c := newCluster(t, []string{"a", "b", "c", "d"})
	for _, n := range c.nodes {
		n.lose(5)
	}
	each, perSecond := fewer(7500), fewer(1250)
	var flocks []*flock
	for i, n := range c.nodes {
		flocks = append(flocks, c.hosts["x"].flock(n, i*each, each, perSecond))
	}
	times := c.probe(30)
	for _, flock := range flocks {
		flock.wait()
	}
	c.allHold(uint64(len(c.nodes)*each+30), patience)
	slices.Sort(times)
	late := times[len(times)*99/100]
	t.Logf("from the announce to being seen elsewhere: %s, 99 %% within %s", times[len(times)/2], late)
	if late > 20*time.Second { // 500 ms from the sending on, on a machine that does nothing else
		t.Errorf("99 %% of records were seen within %s", late)
	}
	var repaired, lost uint64
	for _, n := range c.nodes {
		for _, o := range n.now().Nodes {
			repaired, lost = repaired+o.Repaired, lost+o.Lost
		}
	}
	if repaired == 0 || lost != 0 {
		t.Errorf("%d packets repaired, %d lost for good", repaired, lost)
	}
	live, again := c.repairs()
	t.Logf("%d packets of records, %d sent again, %d gaps filled", live, again, repaired)
	if again*4 > live {
		t.Errorf("%d packets of %d were sent again: more than a quarter", again, live)
	}
	c.inSync()
}

// repairs counts the packets of records on the segment and how many of those were sent again.
func (c *cluster) repairs() (live, again int) {
	type name struct {
		id    string
		epoch uint64
		seq   uint32
	}
	seen := make(map[name]bool)
	for _, f := range c.wire.all(func(f frame) bool { return f.syncErr == nil && f.sync.keyed && f.sync.records != nil }) {
		id := name{f.sync.id, f.sync.epoch, f.sync.seq}
		if seen[id] {
			again++
		} else {
			live++
		}
		seen[id] = true
	}
	return live, again
}

// probe has one client after another announce at the first node, and returns how long after the answer each other node counted
// it: the 50 ms included that a record waits for company.
func (c *cluster) probe(rounds int) (times []time.Duration) {
	c.t.Helper()
	first := c.hosts["x"].dialUDP(c.nodes[0].ip4)
	for round := range rounds {
		name := hash(1_000_000 + round)
		first.announce(name, 7000, 0, 2)
		told := time.Now()
		var all sync.WaitGroup
		seen := make([]time.Time, len(c.nodes))
		for i, n := range c.nodes[1:] {
			all.Go(func() { seen[i+1] = c.hosts["x"].scrapeUntil(n, name) })
		}
		all.Wait()
		for _, at := range seen[1:] {
			if at.IsZero() {
				c.t.Errorf("round %d: a node did not count the peer within %s", round, patience)
				continue
			}
			times = append(times, at.Sub(told))
		}
	}
	return times
}
