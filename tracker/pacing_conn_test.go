package tracker

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// pipeFrom is a pipe that seems to come from an address.
type pipeFrom struct {
	net.Conn
	from netip.Addr
}

func (p pipeFrom) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.from, 4711))
}

// pacedBubble is a paced server in a bubble.
type pacedBubble struct {
	bubble
	pacing *Pacing
}

// inPacedBubble runs a test against a paced server with a swarm of 300 and ends both well.
func inPacedBubble(t *testing.T, cfg PacingConfig, test func(b *pacedBubble)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(t, cfg, time.Now())
		ctx, end := context.WithCancel(t.Context())
		b := &pacedBubble{pacing: p, bubble: bubble{
			HTTP: NewHTTP(New(testConfig, time.Now()), HTTPConfig{Pacing: p}), T: t, end: end, done: make(chan error, 1),
			listener: &pipeListener{accepts: make(chan accepted), closed: make(chan struct{})},
		}}
		fill(b.tracker, wire.InfoHash{1}, 300, false, false)
		paced, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := p.Run(paced); err != nil {
				t.Error(err)
			}
		})
		go func() { b.done <- b.Serve(ctx, b.listener) }()
		test(b)
		end()
		if err := <-b.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		stop()
		running.Wait()
	})
}

func (b *pacedBubble) dialFrom(from netip.Addr) net.Conn {
	client, server := net.Pipe()
	b.listener.accepts <- accepted{conn: pipeFrom{server, from}}
	return client
}

// arrivals counts bytes by the hundredth of a second.
type arrivals struct {
	mu    sync.Mutex
	start time.Time
	steps []int64
	got   map[int]int64
}

func (a *arrivals) add(client, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := int(time.Since(a.start) / (10 * time.Millisecond)); i < len(a.steps) {
		a.steps[i] += int64(n)
		a.got[client] += int64(n)
	}
}

// check fails when in some window of two seconds the bytes are off the rate by more than two percent. The first
// half second is left out, with the burst at the start and what went to others.
func (a *arrivals) check(t *testing.T, rate int64) {
	t.Helper()
	const window = 200
	for i := 50; i+window <= len(a.steps); i++ {
		var sum int64
		for _, n := range a.steps[i : i+window] {
			sum += n
		}
		if off := float64(sum)/float64(2*rate) - 1; off < -0.02 || off > 0.02 {
			t.Errorf("from %d ms on: %d bytes in two seconds, %.1f %% off the rate", 10*i, sum, 100*off)
			return
		}
	}
}

// ask sends a request and reads the answer, again and again until the time is over. It returns the longest wait.
func (b *pacedBubble) askUntil(end time.Time, client int, target string, a *arrivals, each func(*http.Response, string)) (longest time.Duration) {
	c := b.dialFrom(clientAt(client))
	defer c.Close()
	r := bufio.NewReader(c)
	for time.Now().Before(end) {
		start := time.Now()
		if _, err := io.WriteString(c, get(target)); err != nil {
			b.Errorf("client %d: %v", client, err)
			return longest
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			b.Errorf("client %d, no answer: %v", client, err)
			return longest
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			b.Errorf("client %d: %v", client, err)
			return longest
		}
		longest = max(longest, time.Since(start))
		if a != nil {
			h := responseHead{status: answer.StatusCode}
			a.add(client, h.size(len(body))+len(body))
		}
		if each != nil {
			each(answer, string(body))
		}
		<-time.After(time.Millisecond)
	}
	return longest
}

// TestPacedBytes lets a hundred connections ask for many times the rate in all three ways of sharing: it is kept in every window, they get the
// same, and nobody waits long.
func TestPacedBytes(t *testing.T) {
	for _, sharing := range []pacer.Sharing{pacer.Auto, pacer.Fair, pacer.Ring} {
		t.Run(sharing.String(), func(t *testing.T) {
			const rate, clients = 200_000, 100
			inPacedBubble(t, PacingConfig{Rate: rate, Sharing: sharing}, func(b *pacedBubble) {
				a := arrivals{start: time.Now(), steps: make([]int64, 1000), got: map[int]int64{}}
				var all sync.WaitGroup
				for i := range clients {
					all.Go(func() {
						if w := b.askUntil(a.start.Add(10*time.Second), i, announceTarget(1, "compact", "1"), &a, nil); w > time.Second {
							t.Errorf("client %d waited %v", i, w)
						}
					})
				}
				all.Wait()
				a.check(t, rate)
				var sum, squares float64
				for _, n := range a.got {
					sum += float64(n)
					squares += float64(n) * float64(n)
				}
				if jain := sum * sum / (clients * squares); jain < 0.99 {
					t.Errorf("Jain's index is %.3f", jain)
				}
			})
		})
	}
}

// TestPacedRequests lets more clients queue than can be served in time: the rate of whole answers is kept, the others get a bare one, none
// none, and nobody waits longer than the deadline. They all start again and again: who announced without an event would be early.
func TestPacedRequests(t *testing.T) {
	const rate, clients, seconds = 100, 500, 20
	inPacedBubble(t, PacingConfig{AnnounceRate: rate}, func(b *pacedBubble) {
		var mu sync.Mutex
		whole, bare := 0, 0
		end := time.Now().Add(seconds * time.Second)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				w := b.askUntil(end, i, announceTarget(1, "compact", "1", "event", "started"), nil, func(_ *http.Response, body string) {
					mu.Lock()
					defer mu.Unlock()
					if strings.Contains(body, "5:peers0:") {
						bare++
					} else {
						whole++
					}
				})
				if w > 2*time.Second+2*pacer.Epoch {
					t.Errorf("client %d waited %v", i, w)
				}
			})
		}
		all.Wait()
		if whole < rate*seconds*98/100 || whole > rate*(seconds+2)+rate/50+1 || bare == 0 {
			t.Errorf("%d whole answers in %d s, %d bare ones", whole, seconds, bare)
		}
		s := b.pacing.Stats(time.Now())
		if s.Steps["serve"] != uint64(whole) || s.Steps["bare"] != uint64(bare) {
			t.Errorf("%d whole, %d bare, and counted are %v", whole, bare, s.Steps)
		}
		if last := s.Seconds[len(s.Seconds)-2]; last == 0 {
			t.Errorf("requests of the last seconds: %v", s.Seconds)
		}
	})
}

// TestPacedNeverReads lets clients ask for much and read nothing: others get the whole rate meanwhile, and those are cut after their time.
func TestPacedNeverReads(t *testing.T) {
	const rate = 100_000
	inPacedBubble(t, PacingConfig{Rate: rate}, func(b *pacedBubble) {
		var deaf []net.Conn
		for i := range 50 {
			c := b.dialFrom(clientAt(1000 + i))
			b.send(c, get(announceTarget(1, "compact", "1")))
			deaf = append(deaf, c)
		}
		a := arrivals{start: time.Now(), steps: make([]int64, 800), got: map[int]int64{}}
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() { b.askUntil(a.start.Add(8*time.Second), i, announceTarget(1, "compact", "1"), &a, nil) })
		}
		all.Wait()
		a.check(t, rate)
		b.pass(headTimeout)
		for _, c := range deaf {
			if _, err := c.Write([]byte{0}); err == nil {
				t.Error("a connection was not cut")
			}
		}
		if n := b.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// TestPacedIdle opens ten thousand connections that say nothing: the rate of the others holds, and an idle one costs what it costs without pacing.
func TestPacedIdle(t *testing.T) {
	const rate, idle = 100_000, 10_000
	inPacedBubble(t, PacingConfig{Rate: rate}, func(b *pacedBubble) {
		b.places.most = idle + 100
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		conns := make([]net.Conn, fewer(idle))
		for i := range conns {
			conns[i] = b.dialFrom(clientAt(i))
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := int64(after.Sys-before.Sys) / int64(len(conns)); each > 24<<10 {
			t.Errorf("an idle connection takes %d bytes", each)
		}
		a := arrivals{start: time.Now(), steps: make([]int64, 500), got: map[int]int64{}}
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() { b.askUntil(a.start.Add(5*time.Second), i, announceTarget(1, "compact", "1"), &a, nil) })
		}
		all.Wait()
		a.check(t, rate)
		for _, c := range conns {
			c.Close()
		}
		synctest.Wait()
	})
}

// TestPacedReads lets clients send large requests that get small answers: what is read keeps the rate, too.
func TestPacedReads(t *testing.T) { readsKeepTheRate(t, 2000, false) }

// TestPacedShortConnections sends each large request, of one read, on a connection of its own, which is closed after it: what is read keeps the rate
// nevertheless, and each is answered.
func TestPacedShortConnections(t *testing.T) { readsKeepTheRate(t, 1500, true) }

// readsKeepTheRate lets clients send requests of more than size bytes, each on one connection or on a fresh one for each, and checks how much is read.
func readsKeepTheRate(t *testing.T, size int, fresh bool) {
	const rate, clients, seconds = 50_000, 20, 10
	inPacedBubble(t, PacingConfig{Rate: rate}, func(b *pacedBubble) {
		headers := "X-Filler: " + strings.Repeat("x", size) + "\r\n"
		if fresh {
			headers = "Connection: close\r\n" + headers
		}
		request := get(announceTarget(1, "numwant", "0", "compact", "1"), headers)
		end, read := time.Now().Add(seconds*time.Second), 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				c := b.dialFrom(clientAt(i))
				for r := bufio.NewReader(c); time.Now().Before(end); {
					b.send(c, request)
					b.receive(r)
					mu.Lock()
					read += len(request)
					mu.Unlock()
					if fresh {
						c.Close()
						c = b.dialFrom(clientAt(i))
						r.Reset(c)
					}
				}
				c.Close()
			})
		}
		all.Wait()
		if most := rate*(seconds+1) + clients*2*size; read > most || read < rate*seconds*9/10 {
			t.Errorf("%d bytes were read in %d s", read, seconds)
		}
	})
}

// TestPacedRateChanges takes the rate away, gives another and changes classes while requests wait: each is answered once.
func TestPacedRateChanges(t *testing.T) {
	inPacedBubble(t, PacingConfig{Rate: 20_000}, func(b *pacedBubble) {
		end := time.Now().Add(2 * time.Second)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { b.askUntil(end, i, announceTarget(1, "compact", "1"), nil, nil) })
		}
		list := pacer.WanClasses()
		for i, rate := range []int64{0, 10_000, 500_000, 5_000, 0, 30_000, 100} {
			<-time.After(time.Second / 5)
			if err := b.pacing.SetRate(time.Now(), rate); err != nil {
				t.Error(err)
			}
			list[1].Scheduler = pacer.Discipline(i % 3)
			if err := b.pacing.SetClasses(time.Now(), list); err != nil {
				t.Error(err)
			}
		}
		if err := b.pacing.SetRate(time.Now(), 0); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

// TestPacedPipeline sends requests one after the other without reading: each answer leaves before the next request waits.
func TestPacedPipeline(t *testing.T) {
	inPacedBubble(t, PacingConfig{AnnounceRate: 10}, func(b *pacedBubble) {
		c := b.dialFrom(clientAt(1))
		defer c.Close()
		b.send(c, strings.Repeat(get(announceTarget(1)), 3))
		r := bufio.NewReader(c)
		last := time.Now()
		for i := range 3 {
			b.receive(r)
			if wait := time.Since(last); wait > time.Second/3 {
				t.Errorf("answer %d came after %v", i, wait)
			}
			last = time.Now()
		}
	})
}

// TestPacedPushBack sends answers into a real socket whose client does not read. What the socket does not take is given back before it is waited
// for, so that the bucket is as full as if it had not been asked; then the client reads, and everything arrives.
func TestPacedPushBack(t *testing.T) {
	const rate = 1 << 30
	p := newPacing(t, PacingConfig{Rate: rate}, time.Now())
	x := &exchange{HTTP: NewHTTP(New(testConfig, time.Now()), HTTPConfig{Pacing: p}), pacing: p}
	x.tally, x.ending = &x.tallies[0], new(atomic.Bool)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	x.meet(conn)
	x.out = bytes.Repeat([]byte("answer.."), 8<<20/8)
	done := make(chan error, 1)
	go func() { done <- x.writePaced(conn, time.Now()) }()
	n, err := io.Copy(io.Discard, io.LimitReader(client, int64(len(x.out))))
	if err != nil || n != int64(len(x.out)) {
		t.Fatalf("%d bytes arrived, %v", n, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
