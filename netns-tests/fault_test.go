package netnstests

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
)

// announceMany has one client after another announce at a tracker, 20 in each
// torrent, all from one host; it does the same each time it is called.
func announceMany(c *udpClient, peers int) {
	c.host.net.t.Helper()
	for i := range peers {
		c.announce(hash(i/20), uint16(10000+i), 1000, 0)
	}
}

// TestLoss: one packet in five is lost on the way to b. It never has a peer
// that did not announce, and it has all of them once they have announced
// often enough, each time after the renew boundary.
func TestLoss(t *testing.T) {
	require(t, "nft", "nftables")
	n := newNetwork(t, "a", "b", "x")
	a, b := n.hosts["a"].serve("--livesync-renew", "1s"), n.hosts["b"].serve()
	for _, rule := range [][]string{
		{"add", "table", "ip", "loss"},
		{"add", "chain", "ip", "loss", "in", "{ type filter hook input priority 0; }"},
		{"add", "rule", "ip", "loss", "in", "udp", "dport", "9696", "numgen", "random", "mod", "100", "<", "20", "counter", "drop"},
	} {
		err := b.in(func() error {
			if out, err := exec.Command("nft", rule...).CombinedOutput(); err != nil {
				return fmt.Errorf("nft %v: %w: %s", rule, err, out)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const peers = 2000
	client := n.hosts["x"].dialUDP(a.ip4)
	eventually(t, "b has all peers", func() error {
		announceMany(client, peers)
		if have := a.now().Peers.IPv4; have != peers {
			return fmt.Errorf("a has %d of %d", have, peers)
		}
		have := b.now()
		if have.Peers.IPv4 > peers || have.Torrents > peers/20 {
			t.Fatalf("b has %d peers in %d torrents, %d announced", have.Peers.IPv4, have.Torrents, peers)
		}
		if have.Peers.IPv4 < peers {
			return fmt.Errorf("it has %d of %d", have.Peers.IPv4, peers)
		}
		return nil
	})
	sent, received := a.now().Livesync.Sent.Packets, b.now().Livesync.Received.Packets
	if received >= sent {
		t.Errorf("%d packets sent, %d received: nothing was lost", sent, received)
	}
}

// TestStoppedProcess: a tracker that is stopped for a while, as a suspended
// machine is, has what came meanwhile when it goes on.
func TestStoppedProcess(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
	b.cmd.Process.Signal(syscall.SIGSTOP)
	announceMany(n.hosts["x"].dialUDP(a.ip4), 100)
	a.until("told all", func(s status) error {
		if s.Livesync.Sent.Records != 100 {
			return fmt.Errorf("sent %d records", s.Livesync.Sent.Records)
		}
		return nil
	})
	b.cmd.Process.Signal(syscall.SIGCONT)
	b.holds(100, 0)
}
