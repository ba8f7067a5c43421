package livesync_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "starling/livesync"
	"starling/livesync/livesynctest"
	"starling/wire"
)

// onHost is the network as one host sees it.
type onHost struct{ host *livesynctest.Host }

func (o onHost) config(cfg *Config, _ int) { cfg.Interface, cfg.Listen = "eth0", o.host.Listen }

// pass lets time pass on the fake clock.
func pass(d time.Duration) { <-time.After(d) }

func host(s *livesynctest.Segment, i byte) *livesynctest.Host {
	return s.Host(netip.AddrFrom4([4]byte{10, 0, 0, i}))
}

// TestInterfaceComesAndGoes takes one node's interface through everything that happens to
// interfaces. Each time the other node's peers arrive again, and those announced meanwhile leave.
func TestInterfaceComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		ha := host(s, 1)
		a, b := start(t, onHost{ha}, 1, nil), start(t, onHost{host(s, 2)}, 2, nil)
		peer := 0
		known := func(from, to *tracker) {
			t.Helper()
			peer++
			from.Announce(time.Now(), HashOf(1), PeerOf(peer), 0)
			eventually(t, "the peer is known", func() bool { return to.Has(HashOf(1), PeerOf(peer)) })
		}
		known(a, b)
		for _, change := range []struct {
			name string
			do   func()
			undo func()
		}{
			{"down", func() { ha.Down(errors.New("interface eth0 is down")) }, func() { ha.Down(nil) }},
			{"no address", func() { ha.Down(errors.New("interface eth0 has no IPv4 address yet")) }, func() { ha.Down(nil); ha.Recreate() }},
			{"another address", func() { ha.Move(netip.MustParseAddr("10.0.0.9")) }, func() {}},
			{"made anew", ha.Recreate, func() {}},
		} {
			change.do()
			pass(3 * time.Second)
			if s := a.Status(); (s.State == "down") != (s.Trouble != "") || (s.State == "down") == s.Address.IsValid() {
				t.Errorf("%s: status %q, %q, address %s", change.name, s.State, s.Trouble, s.Address)
			}
			a.Announce(time.Now(), HashOf(2), PeerOf(peer), 0) // waits for the interface
			change.undo()
			eventually(t, "it has joined again: "+change.name, func() bool { return a.Status().Trouble == "" })
			eventually(t, "what waited has left", func() bool { return b.Has(HashOf(2), PeerOf(peer)) })
			known(a, b)
			known(b, a)
		}
		if addr := a.Status().Address.Addr(); addr != netip.MustParseAddr("10.0.0.9") {
			t.Errorf("sends from %s", addr)
		}
	})
}

// TestInterfaceIsDownAtTheStart starts a node that cannot join, for longer than its queue lasts.
func TestInterfaceIsDownAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		ha, hb := host(s, 1), host(s, 2)
		ha.Down(errors.New("interface eth0 is down"))
		tr := &tracker{Model: NewModel()}
		b := start(t, onHost{hb}, 2, nil)
		cfg := Config{ID: wire.NodeID{1}, Group: wire.Group, Interface: "eth0", Listen: ha.Listen, Flush: time.Second, BeaconInterval: time.Minute}
		tr.Join(&cfg)
		tr.Node = New(cfg)
		done := make(chan error)
		go func() { done <- tr.Run(t.Context()) }()
		pass(time.Hour)
		const lost = (10_000 - 8192 + wire.MaxRecords4 - 1) / wire.MaxRecords4 * wire.MaxRecords4 // whole packets
		for i := range 10_000 {
			tr.Offer(wire.Record{InfoHash: HashOf(i), Peer: PeerOf(1)})
		}
		if st := tr.Status(); st.State != "down" || !strings.Contains(st.Trouble, "is down") || st.Dropped.Queue != lost {
			t.Errorf("status %q, %q, %d records discarded", st.State, st.Trouble, st.Dropped.Queue)
		}
		ha.Down(nil)
		eventually(t, "the newest records have arrived", func() bool { return b.Count() == 10_000-lost })
		if !b.Has(HashOf(9_999), PeerOf(1)) || b.Has(HashOf(0), PeerOf(1)) {
			t.Error("the oldest records must have gone, not the newest")
		}
		go func() { <-done }()
	})
}

// TestLinkGoesDuringABurst takes the interface away and offers a burst before the node knows: nothing of it is lost.
func TestLinkGoesDuringABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		ha := host(s, 1)
		a, b := start(t, onHost{ha}, 1, nil), start(t, onHost{host(s, 2)}, 2, nil)
		a.Announce(time.Now(), HashOf(1), PeerOf(0), 0)
		eventually(t, "the first peer is known", func() bool { return b.Has(HashOf(1), PeerOf(0)) })
		ha.Down(errors.New("interface eth0 is down"))
		for i := range 1000 {
			a.Announce(time.Now(), HashOf(1), PeerOf(1+i), 0)
		}
		pass(5 * time.Second)
		ha.Down(nil)
		eventually(t, "all peers are known", func() bool { return len(b.Roles()) == 1001 })
		if st := a.Status(); st.Dropped.Send != 0 || st.Dropped.Queue != 0 || st.Sent.Records != 1001 {
			t.Errorf("sent %+v, dropped %+v", st.Sent, st.Dropped)
		}
	})
}

// TestOffMeansOff has no interface: everything is harmless and nothing is counted.
func TestOffMeansOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memory{livesynctest.NewSegment(1)}, 1, func(c *Config) { c.Interface, c.Listen = "", nil })
		for i := range 20_000 {
			n.Offer(wire.Record{Peer: PeerOf(i)})
		}
		s := n.Status()
		if s.Mode != "off" || s.State != "off" || s.Trouble != "" || s.Dropped != (Dropped{}) || s.Sent != (Traffic{}) {
			t.Errorf("status %+v", s)
		}
	})
}

// TestSourcesConfigured listens to the sources that are named, not to the subnet.
func TestSourcesConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		a := start(t, onHost{host(s, 1)}, 1, func(c *Config) { c.Nodes = []netip.Prefix{netip.MustParsePrefix("10.0.0.3/32")} })
		b, c := start(t, onHost{host(s, 2)}, 2, nil), start(t, onHost{host(s, 3)}, 3, nil)
		b.Announce(time.Now(), HashOf(1), PeerOf(2), 0)
		c.Announce(time.Now(), HashOf(1), PeerOf(3), 0)
		a.Announce(time.Now(), HashOf(1), PeerOf(1), 0)
		eventually(t, "all that was said has come", func() bool {
			d := a.Status().Dropped
			return a.Has(HashOf(1), PeerOf(3)) && d.Source == 1 && d.OwnID == 1
		})
		if a.Has(HashOf(1), PeerOf(2)) {
			t.Error("node 2 is believed")
		}
	})
}

// unreliable is a membership whose socket can break.
type unreliable struct {
	Conn
	refuse func() error // says whether Send fails
	broken chan error   // makes Read fail
}

func (u *unreliable) Send(b []byte) error {
	if err := u.refuse(); err != nil {
		return err
	}
	return u.Conn.Send(b)
}

func (u *unreliable) Read(b []byte) (int, netip.AddrPort, netip.Addr, error) {
	select {
	case err := <-u.broken:
		return 0, netip.AddrPort{}, netip.Addr{}, err
	default:
		return u.Conn.Read(b)
	}
}

// TestSocketFails has the system refuse to send, then to receive: the first is counted, the second makes the node join anew.
func TestSocketFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		ha := host(s, 1)
		var refused error
		broken := make(chan error, 1)
		joined := 0
		a := start(t, onHost{ha}, 1, func(c *Config) {
			c.Listen = func(group netip.AddrPort, ifname string) (Conn, error) {
				joined++
				c, err := ha.Listen(group, ifname)
				return &unreliable{c, func() error { return refused }, broken}, err
			}
		})
		b := start(t, onHost{host(s, 2)}, 2, nil)

		refused = errors.New("no buffer space available")
		a.Announce(time.Now(), HashOf(1), PeerOf(1), 0)
		eventually(t, "the failure is counted", func() bool { return a.Status().Dropped.Send == 1 })
		refused = nil
		a.Announce(time.Now(), HashOf(1), PeerOf(2), 0)
		eventually(t, "the next packet arrives", func() bool { return b.Has(HashOf(1), PeerOf(2)) })

		broken <- errors.New("input/output error")
		b.Announce(time.Now(), HashOf(1), PeerOf(3), 0) // ends the read that waits
		eventually(t, "the trouble shows", func() bool { return a.Status().Trouble == "input/output error" })
		eventually(t, "it has joined again", func() bool { return a.Status().Trouble == "" && joined == 2 })
		b.Announce(time.Now(), HashOf(1), PeerOf(4), 0)
		eventually(t, "it hears again", func() bool { return a.Has(HashOf(1), PeerOf(4)) })
	})
}

// TestWhatIsHeardWakesTheSender asks a node that sleeps: its tell leaves when it is due, not when the node happens to wake up.
func TestWhatIsHeardWakesTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := livesynctest.NewSegment(1)
		a := start(t, onHost{host(s, 1)}, 1, nil)
		a.Fill(time.Now(), 1, 1, 7)
		pass(300 * time.Millisecond)
		asked := time.Now()
		told := make(chan time.Duration, 1)
		s.Tap(func(netip.AddrPort, []byte) { told <- time.Since(asked) })
		s.Inject(netip.MustParseAddrPort("10.0.0.9:1"), wire.Group.Addr(), wire.AppendInquire(nil, wire.NodeID{9}, a.Status().ID))
		if d := <-told; d != 50*time.Millisecond {
			t.Errorf("told after %s", d)
		}
	})
}
