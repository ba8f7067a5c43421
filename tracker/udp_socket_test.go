package tracker

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// startUDP serves on a socket until the test ends, and checks that it ends well.
func startUDP(t *testing.T, addr string) (s *UDP, port uint16) {
	t.Helper()
	conns, err := ListenUDP(addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	conn := conns[0]
	s = NewUDP(New(testConfig, time.Now()), UDPConfig{})
	s.tracker.large.Store(true) // it reads ahead
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, conn) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// exchangeUDP sends a packet from an unconnected socket, which takes answers from anywhere, and
// returns the answer and where it came from.
func exchangeUDP(t *testing.T, client *net.UDPConn, to netip.AddrPort, packet []byte) (wire.UDPReply, netip.AddrPort) {
	t.Helper()
	if _, err := client.WriteToUDPAddrPort(packet, to); err != nil {
		t.Fatal(err)
	}
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2048)
	n, from, err := client.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.ParseUDPReply(buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	return r, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func clientUDP(t *testing.T, network, addr string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Answers leave from the address that was asked, which on a wildcard socket only packet information tells.
func TestUDPAnswersFromAskedAddress(t *testing.T) {
	for _, listen := range []string{":0", "0.0.0.0:0", "127.0.0.3:0"} {
		s, port := startUDP(t, listen)
		client := clientUDP(t, "udp4", "127.0.0.1:0")
		asked := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
		if listen == "127.0.0.3:0" {
			asked = asked[2:]
		}
		for _, addr := range asked {
			to := netip.AddrPortFrom(netip.MustParseAddr(addr), port)
			talkUDP(t, client, to, wire.Compact4)
		}
		if c := s.Counts(); c.Announces != uint64(2*len(asked)) {
			t.Errorf("%s: %d announces counted", listen, c.Announces)
		}
	}
}

// The same over IPv6, and over IPv4 on the same sockets.
func TestUDPAnswersFromAskedAddressDualStack(t *testing.T) {
	probe, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	probe.Close()
	for _, listen := range []string{":0", "[::]:0", "[::1]:0"} {
		_, port := startUDP(t, listen)
		talkUDP(t, clientUDP(t, "udp6", "[::1]:0"), netip.AddrPortFrom(netip.IPv6Loopback(), port), wire.Compact6)
		if listen != "[::1]:0" {
			talkUDP(t, clientUDP(t, "udp4", "127.0.0.1:0"), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), port), wire.Compact4)
		}
	}
}

// talkUDP connects and announces twice from two ports, and expects the first peer in the second answer.
func talkUDP(t *testing.T, client *net.UDPConn, to netip.AddrPort, peerSize int) {
	t.Helper()
	h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: 7}
	r, from := exchangeUDP(t, client, to, h.Append(nil))
	if from != to {
		t.Errorf("asked %v, answered from %v", to, from)
	}
	h.ConnectionID, h.Action = r.ConnectionID, wire.ActionAnnounce
	a := wire.UDPAnnounce{InfoHash: wire.InfoHash(append([]byte(to.String()), make([]byte, 20)...)), Left: 1, NumWant: -1}
	for port := range uint16(2) {
		a.Port = 1000 + port
		if r, from = exchangeUDP(t, client, to, a.Append(h.Append(nil))); from != to {
			t.Errorf("asked %v, answered from %v", to, from)
		}
	}
	if r.Action != wire.ActionAnnounce || len(r.Body) != peerSize {
		t.Errorf("%v: answer %+v", to, r)
	}
}

// Garbage is met with silence, which shows when the answer to the next good packet is the only one.
func TestUDPGarbageOnSocket(t *testing.T) {
	s, port := startUDP(t, "127.0.0.1:0")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	client := clientUDP(t, "udp4", "127.0.0.1:0")
	for _, n := range []int{0, 1, 15, 16, 98, 2048, 2049, 60000} {
		if _, err := client.WriteToUDPAddrPort(make([]byte, n), to); err != nil {
			t.Fatal(err)
		}
	}
	h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: 7}
	if r, _ := exchangeUDP(t, client, to, h.Append(nil)); r.TransactionID != 7 {
		t.Errorf("answer %+v", r)
	}
	got := s.Counts().Refused
	if got["short"] != 3 || got["long"] != 2 || got["protocol"] != 3 {
		t.Errorf("refused %v", got)
	}
}

func TestListenUDPRefuses(t *testing.T) {
	_, port := startUDP(t, "127.0.0.1:0")
	for _, addr := range []string{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), "192.0.2.1:0", "nonsense", ":99999"} {
		for sockets := 1; sockets <= 2; sockets++ {
			if conns, err := ListenUDP(addr, sockets); err == nil {
				conns[0].Close()
				t.Errorf("listens on %s with %d sockets", addr, sockets)
			}
		}
	}
}

// Sockets that share an address: each client is served by one of them, all of its packets, and all of them serve somebody.
func TestUDPSharedAddress(t *testing.T) {
	conns, err := ListenUDP("127.0.0.1:0", 3)
	if err != nil {
		t.Fatal(err)
	}
	at := conns[0].LocalAddr().(*net.UDPAddr).AddrPort()
	if another, err := ListenUDP(at.String(), 3); err == nil {
		another[0].Close()
		t.Error("somebody else shares the address")
	}
	s := NewUDP(New(testConfig, time.Now()), UDPConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	for _, conn := range conns {
		if got := conn.LocalAddr().(*net.UDPAddr).AddrPort(); got != at {
			t.Fatalf("listens on %v and %v", at, got)
		}
		serving.Go(func() {
			if err := s.Serve(ctx, conn); err != nil {
				t.Error(err)
			}
		})
	}
	defer serving.Wait()
	defer cancel()
	connect := (&wire.UDPHeader{ConnectionID: wire.ProtocolID}).Append(nil)
	for range 100 {
		client := clientUDP(t, "udp4", "127.0.0.1:0")
		for range 2 {
			if r, from := exchangeUDP(t, client, at, connect); r.Action != wire.ActionConnect || from != at {
				t.Fatalf("%+v from %v", r, from)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := uint64(0)
	for _, tally := range s.tallies {
		n := tally.connects.Load()
		sum += n
		if n == 0 || n%2 != 0 {
			t.Errorf("a socket answered %d connects, want an even number and some", n)
		}
	}
	if sum != 200 {
		t.Errorf("%d connects were answered, want 200", sum)
	}
}

// A socket that is closed under the server is an error, not a quiet end.
func TestUDPServeClosed(t *testing.T) {
	conns, err := ListenUDP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	conn := conns[0]
	conn.Close()
	if err := NewUDP(New(testConfig, time.Now()), UDPConfig{}).Serve(context.Background(), conn); err == nil {
		t.Error("no error")
	}
}

func TestReplyControlDamaged(t *testing.T) {
	for n := range 64 {
		if got := replyControl(make([]byte, n)); got != nil {
			t.Errorf("%d zero bytes: %x", n, got)
		}
	}
}

// Reading, answering and writing allocate nothing, on a socket of one family and on one of both.
func TestUDPServeAllocs(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", ":0"} {
		_, port := startUDP(t, listen)
		client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		client.SetDeadline(time.Now().Add(time.Minute))
		packet, buf := (&wire.UDPHeader{ConnectionID: wire.ProtocolID}).Append(nil), make([]byte, 64)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := client.Write(packet); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Read(buf); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", listen, n)
		}
	}
}

// BenchmarkUDPLoopback is one connect over a real socket, there and back, server and client on one machine.
func BenchmarkUDPLoopback(b *testing.B) {
	conns, err := ListenUDP("127.0.0.1:0", 1)
	if err != nil {
		b.Fatal(err)
	}
	conn := conns[0]
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- NewUDP(New(testConfig, time.Now()), UDPConfig{}).Serve(ctx, conn) }()
	client, err := net.DialUDP("udp4", nil, conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	packet, buf := (&wire.UDPHeader{ConnectionID: wire.ProtocolID}).Append(nil), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(packet); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-done
}
