package tracker

import (
	"bufio"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/wire"
)

// handLoop is a loop on a real socket that a test drives round by round, at times of its own.
type handLoop struct {
	*httpLoop
	*testing.T
	where string
}

func newHandLoop(t *testing.T) *handLoop {
	lns, err := ListenHTTP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	l := &httpListener{HTTP: NewHTTP(New(testConfig, time.Now()), HTTPConfig{}), ctx: t.Context(), open: make(map[net.Conn]struct{})}
	where := lns[0].Addr().String()
	o, err := l.newLoop(lns[0].(*net.TCPListener), 0)
	if err != nil {
		t.Fatal(err)
	}
	o.now = o.start
	t.Cleanup(func() {
		o.close()
		l.drain()
		if n := l.Connections(); n != 0 || o.wheel.filed != 0 {
			t.Errorf("%d connections are left, %d filed", n, o.wheel.filed)
		}
	})
	return &handLoop{o, t, where}
}

// step plays a round, some time after the last one.
func (h *handLoop) step(later time.Duration) {
	h.Helper()
	h.now = h.now.Add(later)
	h.raw.Control(func(fd uintptr) {
		h.ready, h.failed = unix.EpollWait(int(fd), h.events[:], 1)
	})
	if h.ready = max(h.ready, 0); h.failed != nil && h.failed != unix.EINTR {
		h.Fatal(h.failed)
	}
	h.round()
}

// until plays rounds, at one time, until something is so.
func (h *handLoop) until(what string, is func() bool) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); h.step(0) {
		if time.Now().After(end) {
			h.Fatalf("not within 20 s: %s", what)
		}
	}
}

func (h *handLoop) dial() *net.TCPConn {
	h.Helper()
	c, err := net.Dial("tcp", h.where)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func (h *handLoop) send(c net.Conn, s string) {
	h.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		h.Fatal(err)
	}
}

// announced plays rounds until so many announces were answered.
func (h *handLoop) announced(n uint64) {
	h.Helper()
	h.until("announces", func() bool { return h.Counts().Announces == n })
}

// isClosed waits for the server's end of a connection to be closed.
func isClosed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := c.Read(make([]byte, 1))
	nerr, ok := err.(net.Error)
	return err != nil && !(ok && nerr.Timeout())
}

// isOpen reports whether the server's end of a connection is open: nothing has come but what was read.
func isOpen(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	nerr, ok := err.(net.Error)
	return ok && nerr.Timeout()
}

// The deadlines of a connection in the loop are those of one with a goroutine, to a tick or two of the wheel: for the first head, for the next
// one, and no later for a client that sends a byte now and then.
func TestLoopDeadlines(t *testing.T) {
	h := newHandLoop(t)
	silent, kept, slow := h.dial(), h.dial(), h.dial()
	h.send(silent, "GET /")
	h.send(kept, get(announceTarget(1)))
	h.send(slow, "GET /")
	h.until("three connections", func() bool { return h.Counts().Connects == 3 })
	h.announced(1)
	if _, err := http.ReadResponse(bufio.NewReader(kept), nil); err != nil {
		t.Fatal(err)
	}
	h.step(firstTimeout - wheelTick)
	h.send(slow, "a")
	h.until("the byte", func() bool { // it stays under its number of bytes
		for _, c := range h.conns {
			if c != nil && len(c.in) == len("GET /a") {
				return true
			}
		}
		return false
	})
	if h.Connections() != 3 || !isOpen(silent) || !isOpen(slow) {
		t.Fatalf("%d connections are open", h.Connections())
	}
	h.step(3 * wheelTick)
	if h.Connections() != 1 || !isClosed(silent) || !isClosed(slow) || h.Counts().Refused["timeout"] != 2 {
		t.Errorf("%d connections, refused %v", h.Connections(), h.Counts().Refused)
	}
	h.step(headTimeout - firstTimeout)
	if h.Connections() != 0 || h.Counts().Refused["timeout"] != 2 {
		t.Errorf("%d connections, refused %v", h.Connections(), h.Counts().Refused)
	}
	if h.wakeUp() != (time.Time{}) {
		t.Errorf("wakes up for nothing in %v", h.wakeUp().Sub(h.now))
	}
}

// An answer is the begin of another wait.
func TestLoopKeepAlive(t *testing.T) {
	h := newHandLoop(t)
	c := h.dial()
	r := bufio.NewReader(c)
	for i := range uint64(5) {
		h.send(c, get(announceTarget(1)))
		h.announced(i + 1)
		if a, err := http.ReadResponse(r, nil); err != nil || a.Close {
			t.Fatalf("%+v, %v", a, err)
		} else if _, err := io.Copy(io.Discard, a.Body); err != nil {
			t.Fatal(err)
		}
		h.step(headTimeout - wheelTick)
		if h.Connections() != 1 {
			t.Fatalf("%d connections after %d answers", h.Connections(), i+1)
		}
	}
	h.step(3 * wheelTick)
	if n := h.Counts().Refused["timeout"]; h.Connections() != 0 || n != 0 {
		t.Errorf("%d connections, %d timeouts", h.Connections(), n)
	}
}

// A client that was refused has its time to take the answer, and no more; one that never stops sending has less.
func TestLoopLinger(t *testing.T) {
	h := newHandLoop(t)
	quiet, loud := h.dial(), h.dial()
	h.send(quiet, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")
	h.send(loud, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")
	h.until("two refusals", func() bool { return h.Counts().Refused["method"] == 2 })
	for range lingerReads - 1 {
		n := h.lingering()
		h.send(loud, "x")
		h.until("a byte read", func() bool { return h.lingering() < n })
	}
	if h.Connections() != 2 {
		t.Errorf("%d connections, want both", h.Connections())
	}
	h.send(loud, "x")
	h.until("one connection", func() bool { return h.Connections() == 1 })
	h.step(lingerTime + 2*wheelTick)
	if h.Connections() != 0 || h.Counts().Refused["timeout"] != 0 {
		t.Errorf("%d connections, refused %v", h.Connections(), h.Counts().Refused)
	}
	if a, err := io.ReadAll(quiet); err != nil || !strings.HasPrefix(string(a), "HTTP/1.1 405") {
		t.Errorf("%q, %v", a, err)
	}
}

// lingering returns how often the connections that were refused are still read.
func (h *handLoop) lingering() (n int) {
	for _, c := range h.conns {
		if c != nil {
			n += c.linger
		}
	}
	return n
}

// A client that does not take its answers gets a goroutine, and all of them in order when it does.
func TestLoopUnreadAnswers(t *testing.T) {
	h := newHandLoop(t)
	fill(h.tracker, wire.InfoHash{1}, 300, true, false)
	c, other := h.dial(), h.dial()
	const requests = 2000
	go io.WriteString(c, strings.Repeat(get(announceTarget(1, "numwant", "200", "compact", "0")), requests-1)+get(announceTarget(1), "Connection: close\r\n"))
	h.until("a goroutine for it", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.open) == 1
	})
	h.send(other, get("/none"))
	h.until("another is answered meanwhile", func() bool { return h.Counts().Refused["path"] == 1 })
	r := bufio.NewReader(c)
	for i := range requests {
		a, err := http.ReadResponse(r, nil)
		if err != nil || a.StatusCode != 200 || a.Close != (i == requests-1) {
			t.Fatalf("answer %d: %+v, %v", i, a, err)
		}
		if _, err := io.Copy(io.Discard, a.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// When answers are paced a connection gets a goroutine with its next request, and a new one at once.
func TestLoopPaced(t *testing.T) {
	h := newHandLoop(t)
	c := h.dial()
	r := bufio.NewReader(c)
	h.send(c, get(announceTarget(1)))
	h.announced(1)
	p := newPacing(t, PacingConfig{AnnounceRate: 1000}, time.Now())
	h.Pace(p)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	h.send(c, get(announceTarget(1)))
	h.send(h.dial(), get(announceTarget(1)))
	h.announced(3)
	for range 2 {
		a, err := http.ReadResponse(r, nil)
		if err != nil || a.StatusCode != 200 {
			t.Fatalf("%+v, %v", a, err)
		}
		io.Copy(io.Discard, a.Body)
	}
	if h.wheel.filed != 0 || h.Connections() != 2 || p.answered() != 2 {
		t.Errorf("%d in the wheel, %d connections, %d paced answers", h.wheel.filed, h.Connections(), p.answered())
	}
}

// A long answer is written by a goroutine that has the connection to itself.
func TestLoopLongAnswer(t *testing.T) {
	h := newHandLoop(t)
	goOn := make(chan struct{})
	h.HTTP.long = func(path, _ []byte) LongAnswer {
		return func(_ context.Context, conn net.Conn, from netip.Addr, r *wire.Request) {
			<-goOn
			io.WriteString(conn, from.String()+string(r.Path)+"?"+string(r.Query))
		}
	}
	c := h.dial()
	h.send(c, get(announceTarget(1))+get("/long?x"))
	h.announced(1)
	h.send(h.dial(), get(announceTarget(1)))
	h.announced(2)
	close(goOn)
	r := bufio.NewReader(c)
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, a.Body)
	if rest, err := io.ReadAll(r); string(rest) != "127.0.0.1/long?x" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// Where all places are taken a request that is there is answered and its connection closed; one that brought none is refused.
func TestLoopBound(t *testing.T) {
	h := newHandLoop(t)
	h.places.most = 1
	first, second, third := h.dial(), h.dial(), h.dial()
	h.send(first, "GET /")
	h.until("the first", func() bool { return h.Connections() == 1 })
	h.send(second, get(announceTarget(1)))
	h.announced(1)
	a, err := http.ReadResponse(bufio.NewReader(second), nil)
	if err != nil || !a.Close || a.StatusCode != 200 {
		t.Errorf("%+v, %v", a, err)
	}
	h.send(third, "GET /")
	h.until("the third", func() bool { return h.Counts().Refused["connections"] == 2 })
	if b, _ := io.ReadAll(third); len(b) != 0 || h.Connections() != 1 {
		t.Errorf("%q, %d connections", b, h.Connections())
	}
}

// Without a descriptor left, a connection is closed instead of accepted, and the next ones are accepted when there are some again.
func TestLoopShed(t *testing.T) {
	h := newHandLoop(t)
	c := h.dial()
	h.send(c, get(announceTarget(1)))
	h.until("one is there to shed", func() bool { return h.shed(unix.EMFILE) })
	if b, _ := io.ReadAll(c); len(b) != 0 || h.spare < 0 || h.Counts().Announces != 0 {
		t.Errorf("%q, spare %d", b, h.spare)
	}
	if h.shed(unix.ENOMEM) {
		t.Error("there was memory in a descriptor")
	}
	c = h.dial()
	h.send(c, get(announceTarget(1)))
	h.rest()
	h.step(0)
	if h.step(h.pause / 2); h.Counts().Announces != 0 {
		t.Error("accepts in the pause")
	}
	h.step(h.pause)
	h.announced(1)
}

// At the end a request that is on its way is answered and told that it was the last, and what is silent is closed.
func TestLoopEnd(t *testing.T) {
	h := newHandLoop(t)
	silent, halfway := h.dial(), h.dial()
	request := get(announceTarget(1))
	h.send(silent, "GET /")
	h.send(halfway, request[:20])
	h.until("both", func() bool { return h.Connections() == 2 })
	queued := h.dial()
	h.send(queued, request)
	h.announced(1)
	h.stopAccepting()
	h.send(halfway, request[20:])
	h.announced(2)
	for c, last := range map[net.Conn]bool{queued: false, halfway: true} {
		if a, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || a.Close != last {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if h.Connections() != 2 || !h.wakeUp().Equal(h.lastRead) {
		t.Errorf("%d connections, wakes up %v after the end", h.Connections(), h.wakeUp().Sub(h.lastRead))
	}
	if c, err := net.Dial("tcp", h.where); err == nil {
		c.Close()
		t.Error("still listens")
	}
}

// A kept connection is served without an allocation.
func TestLoopAllocs(t *testing.T) {
	h := newHandLoop(t)
	fill(h.tracker, wire.InfoHash{1}, 100, true, false)
	c := h.dial()
	request, answer := []byte(get(announceTarget(1))), make([]byte, 4096)
	n := testing.AllocsPerRun(200, func() {
		c.Write(request)
		if h.await() == nil {
			h.round()
		}
		c.Read(answer)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLoopAnswersAsOthers says the same, in pieces of any size, to a loop and to a server with a goroutine for each connection: they
// answer and count the same to the byte.
func TestLoopAnswersAsOthers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cfg := testConfig
	cfg.Interval = time.Second // which leaves no choice
	var servers [2]*HTTP
	var where [2]string
	for i := range servers {
		lns, err := ListenHTTP("127.0.0.1:0", 1)
		if err != nil {
			t.Fatal(err)
		}
		servers[i], where[i] = NewHTTP(New(cfg, time.Now()), HTTPConfig{}), lns[0].Addr().String()
		ln := lns[0]
		if i == 1 {
			ln = struct{ net.Listener }{ln}
		}
		ended := make(chan error)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { ended <- servers[i].Serve(ctx, ln) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil || servers[i].Connections() != 0 {
				t.Errorf("%v, %d connections are left", err, servers[i].Connections())
			}
		})
	}
	for round := range uint64(fewer(200)) {
		r := rand.New(rand.NewPCG(seed, round))
		requests, last := anyScript(r)
		size := 1 + r.IntN(len(requests)+1)
		var got [2]string
		for i := range got {
			var err error
			if got[i], err = converseWith(t, where[i], requests, size, last); err != nil {
				t.Fatalf("seed %d round %d, server %d: %v, after %d bytes", seed, round, i, err, len(got[i]))
			}
		}
		if got[0] != got[1] {
			t.Fatalf("seed %d round %d, in pieces of %d:\n%q\n%q", seed, round, size, got[0], got[1])
		}
	}
	a, b := servers[0].Counts(), servers[1].Counts()
	if a.Announces != b.Announces || a.Scrapes != b.Scrapes || a.Connects != b.Connects || !maps.Equal(a.Refused, b.Refused) {
		t.Errorf("seed %d: counted\n%+v\n%+v", seed, a, b)
	}
}

// anyScript returns requests that leave the connection open, and one that may end it.
func anyScript(r *rand.Rand) (requests, last string) {
	some := []string{
		get(announceTarget(1)), get(announceTarget(byte(r.Uint32()), "numwant", "0")), get(announceTarget(2, "port", "0")), get("/none"),
		get("/scrape?info_hash=%01%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00"), "HEAD" + get("/none")[3:],
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", get("/", "Content-Length: 0\r\n"), get("/", "A: "+strings.Repeat("x", r.IntN(7000))+"\r\n"),
	}
	lasts := []string{
		"", get("/", "Connection: close\r\n"), "GET / HTTP/1.0\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\nbody", "nonsense\r\n", get("/")[:r.IntN(30)],
		get("/", "A: "+strings.Repeat("x", wire.MaxHead)+"\r\n"), "GET /\n\n", "\x16\x03\x01",
	}
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteString(some[r.IntN(len(some))])
	}
	return b.String(), lasts[r.IntN(len(lasts))]
}

// converseWith sends requests in pieces and a last one in one, so that nothing is under way when the server is through with it, ends the
// sending, and returns what comes back until the other side ends as well.
func converseWith(t *testing.T, where, requests string, size int, last string) (string, error) {
	c, err := net.Dial("tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for piece := range slices.Chunk([]byte(requests), size) {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
		io.WriteString(c, last)
		c.(*net.TCPConn).CloseWrite()
	}()
	answers, err := io.ReadAll(c)
	<-sent
	return string(answers), err
}
