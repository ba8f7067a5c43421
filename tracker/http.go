package tracker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/wire"
)

// HTTPConfig is what the HTTP server needs to know beyond the tracker.
type HTTPConfig struct {
	TrustedProxies []netip.Prefix // proxies whose X-Forwarded-For and ip parameter count

	// Route finds the tracker that a Host header is meant for, as the client wrote it; nil: the one of this server.
	// It is asked for each request and must not block. Nil: there is no other tracker.
	Route func(host []byte) *Tracker

	Pacing *Pacing // what answers may cost; nil: nothing is paced, and nothing is paid for it

	// MaxConnections is how many connections may be open at once, MaxPerClient how many of one client: an IPv4 address, or a /56 of IPv6; those of
	// this host and of trusted proxies are bounded together only. 0: DefaultMaxConnections, DefaultMaxPerClient. Neither is more than seven
	// eighths of the file descriptors that the process may have.
	MaxConnections, MaxPerClient int

	// Long finds who answers a request that takes its time, for which announces must not wait, and that is neither an announce nor
	// a scrape of torrents that it names. Such a request gets a goroutine of its own. Long must not block, nor keep what it is
	// given. Nil, or a nil answer: the request is answered like others.
	Long func(path, query []byte) LongAnswer
}

// LongAnswer writes the whole answer to a request, with its head, to the connection of a client, which is closed when it returns: the head
// must say so. Its deadlines are its own affair: at first there is headTimeout for all of it. It should not go on for
// long after ctx ended, which is when the server drains.
type LongAnswer func(ctx context.Context, conn net.Conn, from netip.Addr, r *wire.Request)

// HTTP answers /announce and /scrape over HTTP/1.0 and 1.1, GET and HEAD, with
// a goroutine for each connection and a parser of its own, which costs half of what net/http does.
//
//	accept -> read -> a whole head? -> answer -> another one read already? -> write -> read ...
//	                       | no
//	                       +-> read on, until 10 s after the connection was made or answered last
//
// One HTTP may serve several listeners; the bound on connections is for all of them.
// No panic is caught: it would be a fault of the program, perhaps with a lock
// held, and such a tracker has to end loudly rather than answer on.
type HTTP struct {
	tracker   *Tracker
	paced     atomic.Pointer[Pacing]     // nil: nothing is paced
	route     func(host []byte) *Tracker // nil: all requests are for tracker
	sources   sources
	long      func(path, query []byte) LongAnswer // nil: there are no long answers
	places    places
	exchanges sync.Pool // of *exchange

	accepted atomic.Uint64 // by goroutines, ever, refused ones too
	tallies  [64]tally     // connections take turns, so that few busy ones share one
}

// httpRefusals are the refusals of this server.
var httpRefusals = []refusal{
	refuseParameter, refuseMalformed, refuseMethod, refusePath, refuseConnections, refuseClient, refuseTimeout, refuseAccept,
	refuseDenied, refuseUnlisted, refuseDeniedClient, refusePasskey,
}

// The usual bounds of connections. An idle one takes about 8 kB; behind one IPv4 address may be a whole town.
const (
	DefaultMaxConnections = 16384
	DefaultMaxPerClient   = 256
)

// The bounds of the server.
const (

	// headTimeout is the time for a whole head, from the start of the connection or
	// its last answer on, and for an answer to be taken.
	headTimeout = 10 * time.Second
	// firstTimeout is what is left of it for the first head of a client that was silent
	// until the system handed its connection over all the same.
	firstTimeout = headTimeout - deferAccept*time.Second

	// acceptTime is how long, at the end, connections that wait in the system's queue are still accepted.
	acceptTime = 20 * time.Millisecond
	// drainTime is how long, at the end, a request that is on its way through this machine is waited for.
	drainTime = 100 * time.Millisecond

	// maxAcceptPause is the longest wait after the system failed to hand over a connection.
	maxAcceptPause = time.Second
)

// NewHTTP returns a server for t. It starts nothing.
func NewHTTP(t *Tracker, cfg HTTPConfig) *HTTP {
	s := &HTTP{tracker: t, route: cfg.Route, sources: sources{cfg.TrustedProxies}, long: cfg.Long}
	s.places.most = connectionBound(int64(cmp.Or(cfg.MaxConnections, DefaultMaxConnections)))
	s.places.each = int64(cmp.Or(cfg.MaxPerClient, DefaultMaxPerClient))
	s.places.exempt = &s.sources
	s.paced.Store(cfg.Pacing)
	s.exchanges.New = func() any { return &exchange{HTTP: s, in: make([]byte, 0, firstRead)} }
	return s
}

// Pace begins to pace a server that did not, each connection from its next request on; nil: it ends.
func (s *HTTP) Pace(p *Pacing) { s.paced.Store(p) }

// connectionBound leaves an eighth of the file descriptors this process may
// have to everything else in it, where that is less than what is wanted.
func connectionBound(want int64) int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return want
	}
	return int64(min(uint64(want), files.Cur-files.Cur/8))
}

// Counts returns what the server has done on all its listeners.
func (s *HTTP) Counts() ServerCounts {
	c := ServerCounts{Refused: make(map[string]uint64)}
	for i := range s.tallies {
		c.add(&s.tallies[i], httpRefusals)
	}
	return c
}

// Connections returns how many connections are open now.
func (s *HTTP) Connections() int64 { return s.places.taken.Load() }

// ListenHTTP opens a listener with what a tracker needs, whose connections are
// many and short: no keep-alive probes, a connection not handed over before it
// brought its request, and no MPTCP. An empty host in addr means both families and
// an IPv4 one IPv4 alone.
func ListenHTTP(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return setsockopt(c, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, deferAccept)
	}}
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), listenNetwork("tcp", addr), addr)
}

// deferAccept is for how many seconds the system keeps a connection that brought nothing yet.
const deferAccept = 1

// Serve answers the connections of ln, which comes from [ListenHTTP], until ctx
// ends. Then it accepts no more, answers what clients have sent, closes all
// connections and ln and returns nil; that takes as long as the slowest client takes
// its answer, 10 s at most. Any other end is an error.
func (s *HTTP) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { lastAccepts(ln) })()
	l := &httpListener{HTTP: s, ctx: ctx, open: make(map[net.Conn]struct{})}
	defer l.drain()
	for pause := time.Duration(0); ; {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			l.start(conn)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors or memory, or the connection's own fault: all of them pass.
			s.tallies[0].refuse(refuseAccept)
			pause = min(max(2*pause, 5*time.Millisecond), maxAcceptPause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// lastAccepts ends the accepting of ln once the connections that wait in the
// system's queue, with their requests, have been taken; closing ln would reset them.
func lastAccepts(ln net.Listener) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok || tcp.SetDeadline(time.Now().Add(acceptTime)) != nil {
		ln.Close()
	}
}

// httpListener is what the connections of one Serve have in common.
type httpListener struct {
	*HTTP
	ctx     context.Context // of the whole Serve
	ending  atomic.Bool     // set before the deadlines of all connections are shortened
	running sync.WaitGroup  // the goroutines of the connections

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// start serves a connection in a goroutine of its own, or closes it when there
// are too many. The first deadline is set here, so that drain finds every one set.
func (l *httpListener) start(conn net.Conn) {
	number := l.accepted.Add(1) % uint64(len(l.tallies))
	counts := &l.tallies[number]
	from := remoteAddr(conn)
	if why, ok := l.places.take(from); !ok {
		counts.refuse(why)
		conn.Close()
		return
	}
	counts.connects.Add(1)
	conn.SetDeadline(time.Now().Add(firstTimeout))
	l.mu.Lock()
	l.open[conn] = struct{}{}
	l.mu.Unlock()
	l.running.Go(func() {
		x := l.exchanges.Get().(*exchange)
		x.tally, x.ending, x.toll.shard = counts, &l.ending, int(number)
		x.converse(l.ctx, conn, from)
		if x.pacing != nil {
			x.payLast()
		}
		conn.Close()
		l.mu.Lock()
		delete(l.open, conn)
		l.mu.Unlock()
		l.places.leave(from)
		x.release()
	})
}

// drain waits for the connections to end, after the little time in which they still hear what was sent already.
func (l *httpListener) drain() {
	l.ending.Store(true)
	soon := time.Now().Add(drainTime)
	l.mu.Lock()
	for conn := range l.open {
		conn.SetReadDeadline(soon)
	}
	l.mu.Unlock()
	l.running.Wait()
}

// remoteAddr returns the address of the other end of a TCP connection.
func remoteAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}
