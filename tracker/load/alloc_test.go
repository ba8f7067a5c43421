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
func (c *echoConn) SetReadDeadline(time.Time) error { return nil }

func testWorker(scheme string) *worker {
	cfg := Config{Target: &url.URL{Scheme: scheme, Host: "127.0.0.1:1", Path: "/announce"}, Torrents: 10, Peers: 1000, InFlight: 1000}.withDefaults()
	pop := testPopulation(cfg, true)
	return &worker{
		run:   &run{World: &World{pop: pop, start: time.Now()}, cfg: cfg, workers: 1},
		phase: newPhase(loadPhase, 0),
		rng:   rand.New(rand.NewPCG(1, 1)),
		check: newChecker(pop, &cfg),
	}
}

func newEchoHTTP() *httpWorker {
	w := newHTTPWorker(testWorker("http"))
	w.conn = &echoConn{answer: func(dst, _ []byte) []byte {
		return append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\nd8:completei0e10:incompletei0e8:intervali1800ee"...)
	}}
	return w
}

// echoUDP is a worker whose requests are answered at once, without a socket.
type echoUDP struct {
	*udpWorker
	answer []byte
}

func newEchoUDP() *echoUDP {
	w := newUDPWorker(testWorker("udp"), 1)
	w.connected = time.Now()
	return &echoUDP{udpWorker: w}
}

// one announces once over UDP and takes the answer in.
func (w *echoUDP) one() bool {
	now := time.Now()
	i, _ := w.request(now, now)
	h, _ := wire.ParseUDPHeader(w.slots[i].packet)
	if h.Action == wire.ActionScrape {
		w.answer = wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(w.answer[:0], h.TransactionID), 0, 0, 0)
	} else {
		w.answer = wire.AppendUDPAnnounceReply(w.answer[:0], h.TransactionID, 1800, 0, 0)
	}
	return w.receive(w.answer, now)
}

func (w *httpWorker) one() bool {
	now := time.Now()
	d, _ := w.draw(now)
	return w.request(&d, now)
}

func TestAnnouncingDoesNotAllocate(t *testing.T) {
	h := newEchoHTTP()
	if n := testing.AllocsPerRun(1000, func() { h.one() }); n != 0 {
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
	f.Add(wire.AppendUDPAnnounceReply(nil, 1<<16, 1800, 0, 0))
	f.Add(append(wire.AppendUDPAnnounceReply(nil, 1<<16, 1800, 3, 4), make([]byte, 301)...))
	f.Add(wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(nil, 1<<16|1), 1, 2, 3))
	f.Add(wire.AppendUDPError(nil, 1<<16, "busy"))
	f.Add(wire.AppendUDPConnectReply(nil, 7<<16|connectSlot, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newUDPWorker(testWorker("udp"), 3)
		w.connect.transaction, w.free = 7<<16|connectSlot, nil
		for i := range w.slots {
			w.slots[i] = slot{transaction: 1<<16 | uint32(i), busy: true, deed: deed{peer: i, scrape: i == 1}}
		}
		freed := w.receive(b, time.Time{})
		if free := len(w.free) == 1 && !w.slots[w.free[0]].busy; free != freed {
			t.Fatalf("%x: freed %v, free slots %v", b, freed, w.free)
		}
		wrong, failed := w.tally.counts()
		if n := w.tally.right + total(wrong) + total(failed); n > 1 || (n == 1) != freed {
			t.Fatalf("%x: %d answers and errors, freed %v", b, n, freed)
		}
	})
}

func BenchmarkHTTPAnnounce(b *testing.B) {
	w := newEchoHTTP()
	b.ReportAllocs()
	for b.Loop() {
		w.one()
	}
}

func BenchmarkUDPAnnounce(b *testing.B) {
	w := newEchoUDP()
	b.ReportAllocs()
	for b.Loop() {
		w.one()
	}
}
