package netnstests

import (
	"errors"
	"fmt"
	"testing"
)

// server is the host between two segments, on which a NATS server runs. It passes on nothing else.
type server struct {
	*host
	*process
}

// apart moves hosts to a segment of their own, that has nothing in common with the other but a leg of the server's host.
func (n *network) apart(server *host, names ...string) {
	n.t.Helper()
	sw := n.name + "-switch"
	n.ip("-n %s link add br1 type bridge", sw)
	n.ip("-n %s link set br1 up", sw)
	for _, name := range names {
		h := n.hosts[name]
		n.ip("-n %s link set port-%s master br1", sw, name)
		n.ip("-n %s addr add 10.78.0.%d/24 dev eth0", h.ns, h.number)
	}
	n.ip("-n %s link add name leg type veth peer name eth1 netns %s", sw, server.ns)
	n.ip("-n %s link set leg master br1 up", sw)
	n.ip("-n %s link set eth1 up", server.ns)
	n.ip("-n %s addr add 10.78.0.%d/24 dev eth1", server.ns, server.number)
}

// nats starts a NATS server.
func (h *host) nats() *server {
	h.net.t.Helper()
	return &server{h, h.start("nats.log", "nats-server", "-a", "0.0.0.0", "-p", "4222", "--user", "starling", "--pass", "s3cret")}
}

// TestRelay joins two segments through a NATS server: a fresh node catches up, announces come across, and what is announced while the server is
// away is not lost; two nodes of one segment that both use it count nothing twice.
func TestRelay(t *testing.T) {
	require(t, "nats-server", "nats-server")
	torrents, peers := fewer(20_000), fewer(100_000)
	n := newNetwork(t, "a", "b", "c", "n", "f")
	n.apart(n.hosts["n"], "c")
	nats := n.hosts["n"].nats()
	c := &cluster{network: n, key: n.keyFile("key", n.newKey())}
	near := fmt.Sprintf("nats://starling:s3cret@%s:4222", nats.ip4)
	far := fmt.Sprintf("nats://starling:s3cret@10.78.0.%d:4222", nats.number)
	for _, name := range []string{"a", "b"} {
		c.nodes = append(c.nodes, c.serve(name, "--relay", near, "--livesync-node-plain", n.hosts["f"].ip4.String()))
	}
	a, b := c.nodes[0], c.nodes[1]
	a.meets(1)
	n.hosts["f"].filler().fill(torrents, peers, a, b)

	fresh, took := c.join("c", uint64(peers), "--relay", far)
	t.Logf("%d peers came across %s after the start", peers, took)
	c.nodes = append(c.nodes, fresh)
	for _, node := range c.nodes {
		node.meets(2)
	}
	told := 0
	announce := func(at *node, many int) {
		for range many {
			told++
			peer{host: at.host, hash: hash(1<<20 + told%7), port: uint16(10_000 + told)}.announce(at.ip4, told%2, "started")
		}
	}
	announce(a, 10)
	fresh.holds(uint64(peers+told), 0)

	nats.kill()
	a.until("has lost the server", func(s status) error {
		if s.Relay.Connected {
			return errors.New("it is connected")
		}
		return nil
	})
	announce(a, 30)
	announce(b, 30)
	announce(fresh, 30)
	n.hosts["n"].nats()
	announce(a, 30)
	announce(fresh, 30)
	c.allHold(uint64(peers+told), patience)
	for _, node := range c.nodes {
		s := node.now()
		if r := s.Relay; r.Connects < 2 || r.Sent.Packets == 0 || r.Sent.Packets > s.Livesync.Sent.Packets {
			t.Errorf("%s: the relay carried %+v of %+v", node.name, r, s.Livesync.Sent)
		}
		if lines := node.logged("s3cret"); len(lines) > 1 { // the command itself
			t.Errorf("%s: the log shows the password: %q", node.name, lines)
		}
	}
	if s := a.now(); s.Livesync.Dropped["twice"] == 0 {
		t.Errorf("a, which hears b by both ways, dropped %v", s.Livesync.Dropped)
	}
}
