package tracker

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"starling/tracker/abuse"
	"starling/wire"
)

// HTTPConfig is what the HTTP server needs to know beyond the tracker.
type HTTPConfig struct {
	TrustedProxies []netip.Prefix // proxies whose X-Forwarded-For and ip parameter count

	// Route finds the tracker that a Host header is meant for, as the client wrote it; nil: the one of this server.
	// It is asked for each request and must not block. Nil: there is no other tracker.
	Route func(host []byte) *Tracker

	Pacing *Pacing // what answers may cost; nil: nothing is paced, and nothing is paid for it

	Abuse *abuse.Watch // of what clients do; nil: nobody is watched

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
// long after ctx ended, which is when the server drains. The client is where the request comes from, which a proxy may have said; it is
// not valid when that proxy named no address.
type LongAnswer func(ctx context.Context, conn net.Conn, client netip.Addr, r *wire.Request)

// HTTP answers /announce and /scrape over HTTP/1.0 and 1.1, GET and HEAD, with a parser of its own.
//
//	accept -> read -> a whole head? -> answer -> another one read already? -> write -> read ...
//	                       | no
//	                       +-> read on, until 10 s after the connection was made or answered last
//
// One goroutine does so for all connections of a socket (http_loop.go), but for those that it cannot or that might hold it up, which have one each
// (http_conn.go).
// One HTTP may serve several listeners; the bound on connections is for all of them.
// No panic is caught: it would be a fault of the program, perhaps with a lock
// held, and such a tracker has to end loudly rather than answer on.
type HTTP struct {
	tracker   *Tracker
	paced     atomic.Pointer[Pacing]     // nil: nothing is paced
	route     func(host []byte) *Tracker // nil: all requests are for tracker
	sources   sources
	abuse     *abuse.Watch
	long      func(path, query []byte) LongAnswer // nil: there are no long answers
	places    places
	keeping   keeping
	exchanges sync.Pool // of *exchange

	handshakes places // for those under way
	turns      atomic.Uint64
	tallies    [64]tally // loops and connections take turns, so that few busy ones share one
}

// httpRefusals are the refusals of this server.
var httpRefusals = []refusal{
	refuseParameter, refuseMalformed, refuseMethod, refusePath, refuseConnections, refuseClient, refuseTimeout, refuseAccept, refuseHandshake, refuseHandshakes,
	refuseDenied, refuseUnlisted, refuseDeniedClient, refusePasskey, refuseJail,
}

// The usual bounds of connections. One that is idle takes some 200 bytes, one with a goroutine of its own about 8 kB; behind one IPv4 address may be a whole town.
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
	s := &HTTP{tracker: t, route: cfg.Route, sources: sources{cfg.TrustedProxies}, long: cfg.Long, abuse: cfg.Abuse}
	s.places.most = connectionBound(int64(cmp.Or(cfg.MaxConnections, DefaultMaxConnections)))
	s.places.each = int64(cmp.Or(cfg.MaxPerClient, DefaultMaxPerClient))
	s.places.full, s.places.crowded, s.places.exempt = refuseConnections, refuseClient, &s.sources
	s.handshakes.most, s.handshakes.each = maxHandshakes, clientHandshakes
	s.handshakes.full, s.handshakes.crowded, s.handshakes.exempt = refuseHandshake, refuseHandshakes, &s.sources
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
