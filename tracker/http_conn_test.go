package tracker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/wire"
)

// pipeListener is a listener whose connections are pipes, so that their
// deadlines run on a bubble's clock.
type pipeListener struct {
	accepts chan accepted
	closed  chan struct{}
	once    sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepts:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// pipeConn is a pipe that seems to come from 192.0.2.7.
type pipeConn struct{ net.Conn }

func (pipeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(testAddr4, 4711))
}

// bubble serves pipes in a bubble.
type bubble struct {
	*HTTP
	*testing.T
	listener *pipeListener
	end      context.CancelFunc
	done     chan error
}

// inBubble runs a test against a server in a bubble and ends the server well.
func inBubble(t *testing.T, test func(b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		b := &bubble{
			HTTP: NewHTTP(New(testConfig, time.Now()), HTTPConfig{}), T: t, end: end, done: make(chan error, 1),
			listener: &pipeListener{accepts: make(chan accepted), closed: make(chan struct{})},
		}
		go func() { b.done <- b.Serve(ctx, b.listener) }()
		test(b)
		end()
		if err := <-b.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := b.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// dial returns the client's end of a new connection.
func (b *bubble) dial() net.Conn {
	client, server := net.Pipe()
	b.listener.accepts <- accepted{conn: pipeConn{server}}
	return client
}

// pass lets time go by on the bubble's clock and everything happen that is due then.
func (b *bubble) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// send writes a request, or a part of one.
func (b *bubble) send(c net.Conn, s string) {
	b.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		b.Fatalf("send: %v", err)
	}
}

// receive reads an answer and checks that it is an announce's.
func (b *bubble) receive(r *bufio.Reader) *http.Response {
	b.Helper()
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		b.Fatalf("receive: %v", err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasPrefix(string(body), "d8:complete") {
		b.Fatalf("answer %q, %v", body, err)
	}
	return answer
}

// cutAfter waits until the server ends the connection and checks how long that took.
func (b *bubble) cutAfter(c net.Conn, want time.Duration) {
	b.Helper()
	start := time.Now()
	rest, err := io.ReadAll(c)
	if got := time.Since(start); got != want || err != nil || len(rest) != 0 {
		b.Errorf("cut after %v with %q and %v, want %v", got, rest, err, want)
	}
}

func TestHTTPSilentClient(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.cutAfter(b.dial(), firstTimeout)
		synctest.Wait()
		if got := b.Counts().Refused["timeout"]; got != 1 {
			b.Errorf("%d timeouts counted", got)
		}
	})
}

// A byte a second keeps no connection: the deadline is for the whole head.
func TestHTTPSlowClient(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, start, sent := b.dial(), time.Now(), 0
		for range get(announceTarget(1)) {
			b.pass(time.Second)
			if _, err := io.WriteString(c, "G"); err != nil {
				break
			}
			sent++
		}
		if time.Since(start) > firstTimeout+time.Second || sent < 8 || sent > 9 {
			b.Errorf("cut after %v and %d bytes", time.Since(start), sent)
		}
		if got := b.Counts().Refused["timeout"]; got != 1 {
			b.Errorf("%d timeouts counted", got)
		}
	})
}

// Every answer begins a new wait, which ends without a complaint when nothing was begun.
func TestHTTPKeepAlive(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c := b.dial()
		r := bufio.NewReader(c)
		request := get(announceTarget(1))
		for range 5 {
			b.pass(firstTimeout - time.Second)
			b.send(c, request[:10])
			b.pass(time.Second / 2)
			b.send(c, request[10:])
			b.receive(r)
		}
		b.cutAfter(c, headTimeout)
		synctest.Wait()
		if got := b.Counts(); got.Refused["timeout"] != 0 || got.Announces != 5 {
			b.Errorf("counts %+v", got)
		}
	})
}

// A client that takes no answer is cut as well.
func TestHTTPUnreadAnswer(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c := b.dial()
		b.send(c, get(announceTarget(1)))
		b.pass(headTimeout - time.Nanosecond)
		if b.Connections() != 1 {
			b.Error("cut too early")
		}
		b.pass(time.Nanosecond)
		if b.Connections() != 0 || b.Counts().Refused["timeout"] != 1 {
			b.Errorf("%d connections, counts %+v", b.Connections(), b.Counts())
		}
		c.Close()
	})
}

// Requests that come in one piece, or in pieces of any size, are answered all and in order.
func TestHTTPPipelining(t *testing.T) {
	const requests = 300
	for _, size := range []int{1, 7, 100, 1000, 5000, 1 << 20} {
		inBubble(t, func(b *bubble) {
			fill(b.tracker, wire.InfoHash{1}, 300, true, false)
			c := b.dial()
			go func() {
				s := strings.Repeat(get(announceTarget(1, "numwant", "200", "compact", "0")), requests-1) + get(announceTarget(1), "Connection: close\r\n") + "rest"
				for len(s) > 0 {
					n := min(size, len(s))
					if _, err := io.WriteString(c, s[:n]); err != nil {
						return // the server ended before the rest
					}
					s = s[n:]
				}
			}()
			r := bufio.NewReader(c)
			for i := range requests {
				if answer := b.receive(r); answer.Close != (i == requests-1) {
					b.Fatalf("answer %d: close %v", i, answer.Close)
				}
			}
			b.cutAfter(c, 0)
		})
	}
}

// A head of up to 8 KiB is read, whatever the buffer was to begin with.
func TestHTTPLongHead(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c := b.dial()
		r := bufio.NewReader(c)
		short := len(get(announceTarget(1), "A: \r\n"))
		for range 2 {
			b.send(c, get(announceTarget(1), "A: "+strings.Repeat("x", wire.MaxHead-short)+"\r\n"))
			b.receive(r)
		}
		go io.WriteString(c, get(announceTarget(1), "A: "+strings.Repeat("x", wire.MaxHead-short+1)+"\r\n"))
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != 431 {
			b.Errorf("a byte too long: %+v, %v", answer, err)
		}
		c.Close()
	})
}

// A client that goes away in the middle of its request leaves nothing behind.
func TestHTTPHalfRequestThenGone(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c := b.dial()
		b.send(c, "GET /announce")
		c.Close()
		synctest.Wait()
		if b.Connections() != 0 || b.Counts().Refused["timeout"] != 0 {
			b.Errorf("%d connections, counts %+v", b.Connections(), b.Counts())
		}
	})
}

// At the end a waiting connection is closed soon, a request that is there is
// answered and told that it was the last, and nothing waits for the ten seconds.
func TestHTTPGracefulEnd(t *testing.T) {
	inBubble(t, func(b *bubble) {
		silent, idle, halfway := b.dial(), b.dial(), b.dial()
		request := get(announceTarget(1))
		r := bufio.NewReader(idle)
		b.send(idle, request)
		b.receive(r)
		b.send(halfway, request[:20])
		start := time.Now()
		b.end()
		b.pass(drainTime / 2)
		b.send(halfway, request[20:])
		if answer := b.receive(bufio.NewReader(halfway)); !answer.Close {
			b.Error("the last answer does not say so")
		}
		b.cutAfter(silent, drainTime/2)
		b.cutAfter(idle, 0)
		b.done <- <-b.done
		if took := time.Since(start); took != drainTime {
			b.Errorf("ended after %v", took)
		}
		if got := b.Counts().Refused["timeout"]; got != 0 {
			b.Errorf("%d timeouts counted", got)
		}
	})
}

// A connection beyond the bound is closed and counted, and there is room again when one ends.
func TestHTTPConnectionBound(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.places.most = 3
		var open []net.Conn
		for range 3 {
			open = append(open, b.dial())
		}
		for range 2 {
			b.cutAfter(b.dial(), 0)
		}
		synctest.Wait()
		if b.Connections() != 3 || b.Counts().Connects != 3 || b.Counts().Refused["connections"] != 2 {
			b.Errorf("%d connections, counts %+v", b.Connections(), b.Counts())
		}
		open[0].Close()
		synctest.Wait()
		c := b.dial()
		b.send(c, get(announceTarget(1)))
		b.receive(bufio.NewReader(c))
	})
}

// A failure to accept is waited out: longer each time, a second at most, and never for long at the end.
func TestHTTPAcceptFailure(t *testing.T) {
	inBubble(t, func(b *bubble) {
		start := time.Now()
		for range 12 {
			b.listener.accepts <- accepted{err: errors.New("too many open files")}
		}
		if took := time.Since(start); took < 3*time.Second || took > 12*time.Second {
			b.Errorf("12 failures took %v", took)
		}
		c := b.dial()
		b.send(c, get(announceTarget(1)))
		b.receive(bufio.NewReader(c))
		b.listener.accepts <- accepted{err: errors.New("too many open files")}
		if got := b.Counts().Refused["accept"]; got != 12 && got != 13 {
			b.Errorf("%d counted", got)
		}
	})
}

// A listener that is closed under the server is an error, not a quiet end.
func TestHTTPServeClosed(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.listener.Close()
		if err := <-b.done; err == nil {
			b.Error("no error")
		}
		b.done <- nil
	})
}

// A long answer is given aside, after those to what was asked before it, and ends the connection; announces and scrapes of torrents
// that they name are none.
func TestHTTPLongAnswer(t *testing.T) {
	inBubble(t, func(b *bubble) {
		var asked []string
		b.HTTP.long = func(path, query []byte) LongAnswer {
			asked = append(asked, string(path)+"?"+string(query))
			if string(path) != "/scrape" {
				return nil
			}
			return func(_ context.Context, conn net.Conn, from netip.Addr, r *wire.Request) {
				<-time.After(headTimeout / 2)
				io.WriteString(conn, "all for "+from.String()+" who said "+string(r.Host))
			}
		}
		c := b.dial()
		go io.WriteString(c, get(announceTarget(1))+get("/scrape?info_hash=01234567890123456789")+get("/none")+get("/scrape?x=1")+get("/never"))
		r := bufio.NewReader(c)
		b.receive(r)
		for _, status := range []int{200, 404} {
			answer, err := http.ReadResponse(r, nil)
			if err != nil || answer.StatusCode != status {
				b.Fatalf("%+v, %v, want %d", answer, err, status)
			}
			io.Copy(io.Discard, answer.Body)
		}
		rest, err := io.ReadAll(r)
		if string(rest) != "all for 192.0.2.7 who said tracker" || err != nil {
			b.Errorf("%q, %v", rest, err)
		}
		if got := strings.Join(asked, " "); got != "/none? /scrape?x=1" {
			b.Errorf("asked for %s", got)
		}
	})
}

// A client that has its share of the connections gets no more, while others do, and again one when it ended one.
func TestHTTPClientBound(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.places.each = 2
		first := b.dial()
		b.dial()
		b.cutAfter(b.dial(), 0)
		if c := b.Counts().Refused; c["client_connections"] != 1 || c["connections"] != 0 {
			b.Errorf("refused %v", c)
		}
		client, server := net.Pipe()
		b.listener.accepts <- accepted{conn: pipeFrom{server, testAddr6}}
		b.send(client, get(announceTarget(1)))
		b.receive(bufio.NewReader(client))
		first.Close()
		synctest.Wait()
		c := b.dial()
		b.send(c, get(announceTarget(1)))
		b.receive(bufio.NewReader(c))
	})
}
