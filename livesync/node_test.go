package livesync_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	. "starling/livesync"
	"starling/livesync/livesynctest"
	"starling/wire"
)

// network is where a test's nodes meet: a segment in memory or real multicast on lo.
type network interface {
	// config completes the configuration of node number i.
	config(cfg *Config, i int)
}

type memory struct{ segment *livesynctest.Segment }

func (m memory) config(cfg *Config, i int) {
	cfg.Interface = "eth0"
	cfg.Listen = m.segment.Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})).Listen
}

type loopback struct{ group netip.AddrPort }

func (l loopback) config(cfg *Config, i int) {
	cfg.Interface, cfg.Group = "lo", l.group
	cfg.Nodes = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// onBothNetworks runs a test body on a segment in memory, on a fake clock, and on real multicast.
func onBothNetworks(t *testing.T, body func(t *testing.T, net network)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { body(t, memory{livesynctest.NewSegment(1)}) })
	})
	t.Run("lo", func(t *testing.T) { body(t, loopback{loopbackGroup(t)}) })
}

// loopbackGroup returns a group that no other test uses, after checking that
// multicast works on lo. It skips the test when it does not, or fails it when STARLING_REQUIRE is "all".
func loopbackGroup(t testing.TB) netip.AddrPort {
	t.Helper()
	group := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 255, byte(os.Getpid() >> 8), byte(os.Getpid())}), 29696)
	c, err := Listen(group, "lo")
	if err == nil {
		defer c.Close()
		err = c.Send([]byte("starling"))
	}
	if err != nil {
		if os.Getenv("STARLING_REQUIRE") == "all" {
			t.Fatalf("real multicast on lo is required and does not work: %v", err)
		}
		t.Skipf("SKIPPED, NOT TESTED: real multicast on lo does not work here: %v", err)
	}
	return group
}

// tracker is a node with the model of a store behind it.
type tracker struct {
	*Model
	*Node
	end func() // returns when Run has
}

// start runs a node until the test or end ends it. Change adjusts its configuration.
func start(t testing.TB, net network, i int, change func(*Config)) *tracker {
	tr := &tracker{Model: NewModel()}
	cfg := Config{
		ID:               wire.NodeID{0, 0, 0, byte(i)},
		Group:            wire.Group,
		Flush:            20 * time.Millisecond,
		BeaconInterval:   100 * time.Millisecond,
		FirstBeaconDelay: time.Hour,
		InquireThreshold: 25,
		Seed:             &[32]byte{byte(i)},
		Log:              zerolog.New(zerolog.NewTestWriter(t)),
	}
	tr.Join(&cfg)
	net.config(&cfg, i)
	if change != nil {
		change(&cfg)
	}
	tr.Node = New(cfg)
	tr.OnChange = tr.Offer
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	tr.end = func() {
		cancel()
		if err, open := <-done; open && err != nil {
			t.Errorf("Run: %v", err)
		}
		close(done)
		tr.end = func() {}
	}
	t.Cleanup(func() { tr.end() })
	eventually(t, "the node joins", func() bool { return tr.Status().State != "down" })
	return tr
}

// eventually waits until holds does, on the fake clock or the real one, or fails the test after ten seconds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if holds() {
			return
		}
		<-tick.C
	}
	t.Fatalf("in vain until %s", what)
}

func TestAnnounceIsKnownEverywhere(t *testing.T) {
	for _, dialect := range []Dialect{Seed, Modern, Both} {
		t.Run(dialect.String(), func(t *testing.T) {
			onBothNetworks(t, func(t *testing.T, net network) { announceIsKnownEverywhere(t, net, dialect) })
		})
	}
}

func announceIsKnownEverywhere(t *testing.T, net network, dialect Dialect) {
	speak := func(c *Config) { c.Dialect = dialect }
	a, b, c := start(t, net, 1, speak), start(t, net, 2, speak), start(t, net, 3, nil)
	a.Announce(time.Now(), HashOf(1), PeerOf(1), 0)
	a.Announce(time.Now(), HashOf(1), Peer6Of(2), wire.Seeding)
	b.Announce(time.Now(), HashOf(1), PeerOf(3), wire.Seeding|wire.Complete)
	for _, n := range []*tracker{a, b, c} {
		eventually(t, "all three peers are known", func() bool { return len(n.Roles()) == 3 && n.Downloaded(HashOf(1)) == 1 })
	}
	a.Announce(time.Now(), HashOf(1), PeerOf(1), wire.Stopped)
	for _, n := range []*tracker{a, b, c} {
		eventually(t, "the stop is known", func() bool { return !n.Has(HashOf(1), PeerOf(1)) })
	}
	if s := c.Status(); s.Sent.Packets != 0 {
		t.Errorf("node 3 only heard, yet it sent %+v", s.Sent)
	}
	if s := b.Status(); s.Received.Records != 3 || len(s.Nodes) != 1 || s.Nodes[0].ID != a.Status().ID {
		t.Errorf("node 2 received %d records, want 3, and knows %v", s.Received.Records, s.Nodes)
	}
}

func TestLateJoinerLearnsDownloads(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, net network) {
		a := start(t, net, 1, func(c *Config) { c.FirstBeaconDelay = 0 })
		a.Fill(time.Now(), 1, 100, 7)
		b := start(t, net, 2, nil)
		eventually(t, "all downloads are known", func() bool { return b.Count() == 100 })
		if got := b.Downloaded(HashOf(100)); got != 7 {
			t.Errorf("downloaded is %d, want 7", got)
		}
		// In real time what a slow machine does not tell soon enough is asked for again.
		_, exact := net.(memory)
		if s := b.Status(); s.Sent.Inquiries < 1 || s.Received.Tells < 3 || exact && (s.Sent.Inquiries != 1 || s.Received.Tells != 3) {
			t.Errorf("it took %d inquiries and %d packets, want 1 and 3", s.Sent.Inquiries, s.Received.Tells)
		}
	})
}

func TestEqualIDsAreResolved(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, net network) {
		saved := make(chan wire.NodeID, 1)
		a := start(t, net, 1, func(c *Config) { c.SaveID = func(id wire.NodeID) error { saved <- id; return nil } })
		b := start(t, net, 2, func(c *Config) { c.ID = wire.NodeID{0, 0, 0, 1}; c.FixedID = true })
		b.Announce(time.Now(), HashOf(1), PeerOf(1), 0)
		if id := <-saved; id != a.Status().ID || id == b.Status().ID {
			t.Errorf("kept %s, node 1 is %s and node 2 %s", id, a.Status().ID, b.Status().ID)
		}
		b.Announce(time.Now(), HashOf(1), PeerOf(2), 0)
		eventually(t, "node 1 hears node 2", func() bool { return a.Has(HashOf(1), PeerOf(2)) })
		if b.Status().Conflict != "" {
			t.Errorf("node 2 has heard nobody with its id, yet: %s", b.Status().Conflict)
		}
	})
}

func TestLastBatchLeavesAtTheEnd(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, net network) {
		slow := func(c *Config) { c.Flush = time.Hour }
		a, b := start(t, net, 1, slow), start(t, net, 2, nil)
		for i := range 100 {
			a.Announce(time.Now(), HashOf(1), PeerOf(i), 0)
		}
		a.end()
		eventually(t, "all peers are known", func() bool { return len(b.Roles()) == 100 })
	})
}
