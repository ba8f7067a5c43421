package load

import (
	"math/rand/v2"
	"net"
	"net/url"
	"testing"
	"time"

	"starling/wire"
)

// echoConn is a connection in memory: each write makes the next read return the answer to it.
type echoConn struct {
	net.Conn
	answer func(dst, request []byte) []byte
	buf    []byte
}

func (c *echoConn) Write(b []byte) (int, error) {
	c.buf = c.answer(c.buf[:0], b)
	return len(b), nil
}

func (c *echoConn) Read(b []byte) (int, error)      { return copy(b, c.buf), nil }
func (c *echoConn) SetDeadline(time.Time) error     { return nil }
func (c *echoConn) RemoteAddr() (addr net.Addr)     { return nil }
func (c *echoConn) LocalAddr() (addr net.Addr)      { return nil }
func (c *echoConn) SetReadDeadline(time.Time) error { return nil }

func testWorker(scheme string) *worker {
	pop := testPopulation(10, 1000, true)
	return &worker{
		run:   &run{cfg: Config{Target: &url.URL{Scheme: scheme, Host: "127.0.0.1:1", Path: "/announce"}, Timeout: time.Second}, pop: pop},
		rng:   rand.New(rand.NewPCG(1, 1)),
		check: newChecker(pop),
	}
}

func newEchoHTTP() *httpWorker {
	w := newHTTPWorker(testWorker("http"))
	w.conn = &echoConn{answer: func(dst, _ []byte) []byte {
		return append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\nd8:completei0e10:incompletei0e8:intervali1800ee"...)
	}}
	return w
}

func newEchoUDP() *udpWorker {
	w := newUDPWorker(testWorker("udp"), 1)
	w.connected = time.Now()
	w.conn = &echoConn{answer: func(dst, request []byte) []byte {
		h, _ := wire.ParseUDPHeader(request)
		return wire.AppendUDPAnnounceReply(dst, h.TransactionID, 1800, 0, 0)
	}}
	return w
}

// one announces once over UDP and takes the answer in.
func (w *udpWorker) one() bool {
	now := time.Now()
	w.send(0, now)
	n, _ := w.conn.Read(w.in[:])
	_, ok := w.receive(w.in[:n], now)
	return ok
}

func TestAnnouncingDoesNotAllocate(t *testing.T) {
	h := newEchoHTTP()
	if n := testing.AllocsPerRun(1000, func() { h.announce(h.rng.IntN(1000)) }); n != 0 {
		t.Errorf("HTTP: %v allocations per announce", n)
	}
	u := newEchoUDP()
	if n := testing.AllocsPerRun(1000, func() { u.one() }); n != 0 {
		t.Errorf("UDP: %v allocations per announce", n)
	}
	if h.tally.right != 1001 || u.tally.right != 1001 {
		t.Errorf("%d and %d right answers, want 1001: %v %v", h.tally.right, u.tally.right, h.tally.example, u.tally.example)
	}
}

// No packet makes a worker fail, free more than the slot it belongs to, or count more than one answer.
func FuzzUDPReceive(f *testing.F) {
	f.Add(wire.AppendUDPAnnounceReply(nil, 1<<8, 1800, 0, 0))
	f.Add(append(wire.AppendUDPAnnounceReply(nil, 1<<8, 1800, 3, 4), make([]byte, 301)...))
	f.Add(wire.AppendUDPError(nil, 1<<8, "busy"))
	f.Add(wire.AppendUDPConnectReply(nil, 7<<8|connectSlot, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newUDPWorker(testWorker("udp"), 3)
		w.connect.transaction = 7<<8 | connectSlot
		for i := range w.slots {
			w.slots[i] = slot{transaction: 1<<8 | uint32(i), peer: i}
		}
		i, ok := w.receive(b, time.Time{})
		for j := range w.slots {
			if free := w.slots[j].transaction == 0; free != (ok && i == j) {
				t.Fatalf("%x: slot %d is free: %v, but the packet freed %d: %v", b, j, free, i, ok)
			}
		}
		report := newReport(w.run, time.Second, []*tally{&w.tally})
		if n := report.Answers() + total(report.Errors); n > 1 || (n == 1) != ok {
			t.Fatalf("%x: %d answers and errors, freed %v", b, n, ok)
		}
	})
}

// What the generator itself costs, without a network.
func BenchmarkHTTPAnnounce(b *testing.B) {
	w := newEchoHTTP()
	b.ReportAllocs()
	for b.Loop() {
		w.announce(w.rng.IntN(1000))
	}
}

func BenchmarkUDPAnnounce(b *testing.B) {
	w := newEchoUDP()
	b.ReportAllocs()
	for b.Loop() {
		w.one()
	}
}
