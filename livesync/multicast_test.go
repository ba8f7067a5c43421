package livesync_test

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	. "starling/livesync"
	"starling/wire"
)

// join joins a group on lo for the test's duration.
func join(t testing.TB, group netip.AddrPort) Conn {
	t.Helper()
	c, err := Listen(group, "lo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestMulticastReceivesItsGroupOnly sends to another group that is joined on this host too, to the group
// on another port, and by unicast to the group's port: only what was sent to the group arrives.
func TestMulticastReceivesItsGroupOnly(t *testing.T) {
	group := loopbackGroup(t)
	next := netip.AddrPortFrom(group.Addr().Next(), group.Port())
	other, sender := join(t, next), join(t, group)
	port := join(t, netip.AddrPortFrom(group.Addr(), group.Port()+1))
	c := join(t, group) // the last: of sockets that could get it, it would get what is sent by unicast
	unicast, err := net.Dial("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), group.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer unicast.Close()
	unicast.Write([]byte("by unicast")) // may be refused, which is as good
	for _, o := range []Conn{other, port} {
		if err := o.Send([]byte("to another group")); err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Send([]byte("to the group")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, to, err := c.Read(b)
	if err != nil || string(b[:n]) != "to the group" || from != sender.Link().Local || to != group.Addr() {
		t.Errorf("read %q from %s to %s, %v", b[:n], from, to, err)
	}
}

// TestMulticastStaysOnTheSegment looks at the TTL of what is received.
func TestMulticastStaysOnTheSegment(t *testing.T) {
	group := loopbackGroup(t)
	c := join(t, group)
	in, err := net.ListenPacket("udp4", group.String())
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no second socket on the group's port: %v", err)
	}
	defer in.Close()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	p := ipv4.NewPacketConn(in)
	if err := p.JoinGroup(lo, net.UDPAddrFromAddrPort(group)); err != nil {
		t.Fatal(err)
	}
	if err := p.SetControlMessage(ipv4.FlagTTL|ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
		t.Fatal(err)
	}
	if err := c.Send([]byte("starling")); err != nil {
		t.Fatal(err)
	}
	_, cm, from, err := p.ReadFrom(make([]byte, 100))
	if err != nil || cm.TTL != 1 || !cm.Dst.Equal(group.Addr().AsSlice()) || cm.IfIndex != lo.Index || from.String() != c.Link().Local.String() {
		t.Errorf("received from %v with %v, %v", from, cm, err)
	}
}

func TestMulticastLink(t *testing.T) {
	c := join(t, loopbackGroup(t))
	l := c.Link()
	if l.Name != "lo" || l.Local.Addr() != netip.MustParseAddr("127.0.0.1") || l.Local.Port() == 0 ||
		len(l.Subnets) == 0 || l.Subnets[0] != netip.MustParsePrefix("127.0.0.0/8") || l.ReceiveBuffer < 1<<16 {
		t.Errorf("link %+v", l)
	}
	if err := c.Check(); err != nil {
		t.Errorf("the membership is void: %v", err)
	}
}

// TestMulticastCloseEndsRead closes while a reader waits.
func TestMulticastCloseEndsRead(t *testing.T) {
	c := join(t, loopbackGroup(t))
	done := make(chan error)
	go func() {
		_, _, _, err := c.Read(make([]byte, 100))
		done <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("Read succeeded after Close")
	}
}

func TestListenNamesWhatIsWrong(t *testing.T) {
	for _, ifname := range []string{"nosuch0", "203.0.113.77"} {
		if _, err := Listen(wire.Group, ifname); err == nil || !strings.Contains(err.Error(), ifname) {
			t.Errorf("%s: %v", ifname, err)
		}
	}
	if _, err := Listen(netip.MustParseAddrPort("127.0.0.1:29696"), "lo"); err == nil {
		t.Error("joined an address that is no group")
	}
}

// TestMulticastDoesNotAllocate sends and receives full packets on the real socket.
func TestMulticastDoesNotAllocate(t *testing.T) {
	c := join(t, loopbackGroup(t))
	pkt, b := make([]byte, 1464), make([]byte, wire.MaxPacket+1)
	allocs := testing.AllocsPerRun(100, func() {
		if err := c.Send(pkt); err != nil {
			t.Fatal(err)
		}
		if n, _, _, err := c.Read(b); err != nil || n != len(pkt) {
			t.Fatalf("read %d bytes, %v", n, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for sending and receiving a packet", allocs)
	}
}

// TestMulticastBatches sends bursts of all sizes on the real socket: each arrives whole, in order, and says where it is from and
// was sent to; and neither end allocates.
func TestMulticastBatches(t *testing.T) {
	group := loopbackGroup(t)
	sender, c := join(t, group).(BatchConn), join(t, group).(BatchConn)
	var pkts [][]byte
	for i := range 100 {
		pkts = append(pkts, bytes.Repeat([]byte{byte(i)}, 1+i*wire.MaxPacket/100))
	}
	exchange := func(n int) {
		if sent, err := sender.SendBatch(pkts[:n]); sent != n || err != nil {
			t.Fatalf("sent %d of %d, %v", sent, n, err)
		}
		for next := 0; next < n; {
			ds, overflowed, err := c.ReadBatch()
			if err != nil || len(ds) == 0 || overflowed != 0 {
				t.Fatalf("read %d, %d are lost, %v", len(ds), overflowed, err)
			}
			for _, d := range ds {
				if !bytes.Equal(d.B, pkts[next]) || d.From != sender.Link().Local || d.To != group.Addr() {
					t.Fatalf("datagram %d of %d: %d bytes from %s to %s", next, n, len(d.B), d.From, d.To)
				}
				next++
			}
		}
	}
	for n := range len(pkts) + 1 {
		exchange(n)
	}
	if allocs := testing.AllocsPerRun(100, func() { exchange(40) }); allocs != 0 {
		t.Errorf("%v allocations for 40 packets", allocs)
	}
	pkts[3] = make([]byte, 1<<17)
	if sent, err := sender.SendBatch(pkts[:10]); sent != 3 || err == nil {
		t.Errorf("sent %d of 10, the fourth of which is too long: %v", sent, err)
	}
}

// TestMulticastOverflow fills a small receive buffer: what the system had no room for is known afterwards, to the packet.
func TestMulticastOverflow(t *testing.T) {
	group := loopbackGroup(t)
	sender, c := join(t, group).(BatchConn), join(t, group).(BatchConn)
	pkt := make([]byte, 1400)
	const most = 100_000
	sent := 0
	send := func(n int) {
		for range n {
			if err := sender.Send(pkt); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	send(most / 4) // more than fit into any buffer we ask for
	read, lost := 0, 0
	take := func() {
		ds, overflowed, err := c.ReadBatch()
		if err != nil {
			t.Fatal(err)
		}
		read, lost = read+len(ds), lost+overflowed
	}
	for read+lost < sent {
		take()
		if lost == 0 {
			send(1) // the system says it with the next datagram that it has room for
		}
	}
	if lost == 0 || read+lost != sent {
		t.Errorf("sent %d, read %d, lost %d", sent, read, lost)
	}
}

// TestOversizedDatagramIsCounted sends more than any node does, on real multicast.
func TestOversizedDatagramIsCounted(t *testing.T) {
	group := loopbackGroup(t)
	n := start(t, loopback{group}, 1, nil)
	c := join(t, group)
	if err := c.Send(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is counted", func() bool { return n.Status().Dropped.Long == 1 })
	n.Announce(time.Now(), HashOf(1), PeerOf(1), 0)
	eventually(t, "the node sends on", func() bool { return n.Status().Sent.Records == 1 })
}
