package tracker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenHTTP opens listeners that share an address, between which the system deals out connections: one for each goroutine that is to
// serve. They have what a tracker needs, whose connections are many and short: no keep-alive probes, no waiting to fill a
// packet, a connection not handed over before it brought its request, and no MPTCP. An empty host in addr means both families and
// an IPv4 one IPv4 alone.
//
// It fails when the address is somebody else's, who may be sharing it too: so the first listener shares with nobody until it is open. It stays:
// who has come to it by then would be reset if it were closed for others.
func ListenHTTP(addr string, sockets int) ([]net.Listener, error) {
	first, err := listenHTTP(addr, false)
	if err != nil {
		return nil, err
	}
	all := []net.Listener{first}
	if sockets > 1 {
		err = share(first.(syscall.Conn))
	}
	addr = first.Addr().String() // with the port that the system chose, if it was to
	for err == nil && len(all) < sockets {
		var ln net.Listener
		if ln, err = listenHTTP(addr, true); err == nil {
			all = append(all, ln)
		}
	}
	if err != nil {
		for _, l := range all {
			l.Close()
		}
		return nil, err
	}
	return all, nil
}

func listenHTTP(addr string, shared bool) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		if shared {
			if err := setsockopt(c, syscall.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				return err
			}
		}
		if err := setsockopt(c, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil { // connections inherit it
			return err
		}
		return setsockopt(c, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, deferAccept)
	}}
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), listenNetwork("tcp", addr), addr)
}

// deferAccept is for how many seconds the system keeps a connection that brought nothing yet.
const deferAccept = 1

// Serve answers the connections of ln, which comes from [ListenHTTP], until ctx
// ends. Then it accepts no more, answers what clients have sent, closes all
// connections (see [HTTP.Keep]) and ln and returns nil; that takes as long as the slowest client takes
// its answer, 10 s at most. Any other end is an error.
func (s *HTTP) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	l := &httpListener{HTTP: s, ctx: ctx, open: make(map[net.Conn]struct{})}
	defer l.drain()
	if tcp, ok := ln.(*net.TCPListener); ok {
		o, err := l.newLoop(tcp, l.nextTally())
		if err != nil {
			return err
		}
		return o.run()
	}
	return l.acceptAll(ln)
}

// httpListener is what the connections of one Serve have in common.
type httpListener struct {
	*HTTP
	ctx     context.Context // of the whole Serve
	tls     *tls.Config     // nil: connections are plain
	ending  atomic.Bool     // set before the deadlines of all connections are shortened
	leaving atomic.Bool     // instead of ending, where connections are kept
	running sync.WaitGroup  // the goroutines of the connections

	mu   sync.Mutex // guards open
	open map[net.Conn]struct{}
}

// acceptAll accepts connections, for each of which there is a goroutine.
func (l *httpListener) acceptAll(ln net.Listener) error {
	defer context.AfterFunc(l.ctx, func() { lastAccepts(ln) })()
	for pause := time.Duration(0); ; {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			l.start(conn)
		case l.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors or memory, or the connection's own fault: all of them pass.
			l.tallies[0].refuse(refuseAccept)
			pause = nextPause(pause)
			select {
			case <-time.After(pause):
			case <-l.ctx.Done():
			}
		}
	}
}

// nextPause returns how long to wait after the system failed to hand over a connection, having waited for so long before.
func nextPause(last time.Duration) time.Duration {
	return min(max(2*last, 5*time.Millisecond), maxAcceptPause)
}

// lastAccepts ends the accepting of ln once the connections that wait in the
// system's queue, with their requests, have been taken; closing ln would reset them.
func lastAccepts(ln net.Listener) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok || tcp.SetDeadline(time.Now().Add(acceptTime)) != nil {
		ln.Close()
	}
}

// nextTally returns the number of a tally.
func (s *HTTP) nextTally() int { return int(s.turns.Add(1) % uint64(len(s.tallies))) }

// start serves a connection that was accepted in a goroutine of its own, or closes it when there
// are too many.
func (l *httpListener) start(conn net.Conn) {
	number := l.nextTally()
	from := remoteAddr(conn)
	if why, ok := l.places.take(from); !ok {
		l.tallies[number].refuse(why)
		conn.Close()
		return
	}
	l.tallies[number].connects.Add(1)
	l.talk(l.encrypt(conn), from, l.exchanges.Get().(*exchange), number, readOn)
}

// talk serves a connection that has a place in a goroutine of its own, with an exchange that may hold something already. The first deadline is
// set, so that drain finds every one set.
func (l *httpListener) talk(conn net.Conn, from netip.Addr, x *exchange, number int, p progress) {
	l.mu.Lock()
	l.open[conn] = struct{}{}
	l.mu.Unlock()
	l.running.Go(func() {
		x.tally, x.ending, x.leaving, x.toll.shard = &l.tallies[number], &l.ending, &l.leaving, number
		if l.shakeHands(conn, from, x.tally) {
			x.converse(l.ctx, conn, from, p)
		}
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

// drain waits for the goroutines of the connections to end, after the little time in which they still hear what was sent already.
func (l *httpListener) drain() {
	if !l.ending.Load() && !l.leaving.Load() {
		l.end()
	}
	l.running.Wait()
}

// end makes every answer the last of its connection, and gives clients little time for another request. Where connections are kept it only
// wakes those that wait for one.
func (l *httpListener) end() {
	soon := time.Now()
	if l.keeps() {
		l.leaving.Store(true)
	} else {
		l.ending.Store(true)
		soon = soon.Add(drainTime)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		conn.SetReadDeadline(soon)
	}
}

// remoteAddr returns the address of the other end of a TCP connection.
func remoteAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}
