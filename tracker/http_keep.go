package tracker

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kept is a connection that a server left open when it ended, between two requests or in the middle of one, for another server to go on
// with, which may be another program in the same process.
type Kept struct {
	FD int    // whoever has the Kept closes it
	In []byte // what was read of the next request
}

// keptBytes bounds what was read of the next requests, of all connections together: beyond it they are closed.
const keptBytes = 8 << 20

// keeping is what a server knows of connections that outlive it, or the one before it.
type keeping struct {
	wanted atomic.Bool // connections are kept at the end

	mu    sync.Mutex // guards the rest
	kept  []Kept
	bytes int
	deals [][]Kept // of the server before this one, for each listener that begins to serve
}

// Keep says that at the end, when it comes, connections are to be kept: what is in hand is answered, and neither the connections that are
// open are closed nor those that wait in the system's queue accepted. Connections over TLS are closed: their keys are of this process.
func (s *HTTP) Keep() { s.keeping.wanted.Store(true) }

// Kept returns the connections that were kept, once.
func (s *HTTP) Kept() []Kept {
	s.keeping.mu.Lock()
	defer s.keeping.mu.Unlock()
	kept := s.keeping.kept
	s.keeping.kept = nil
	return kept
}

// Adopt goes on with connections that another server kept. It goes before Serve, of so many listeners from [ListenHTTP]; without one
// they are closed.
func (s *HTTP) Adopt(kept []Kept, listeners int) {
	if listeners == 0 {
		for _, k := range kept {
			unix.Close(k.FD)
		}
		return
	}
	s.keeping.mu.Lock()
	defer s.keeping.mu.Unlock()
	s.keeping.deals = make([][]Kept, listeners)
	for i, k := range kept {
		s.keeping.deals[i%listeners] = append(s.keeping.deals[i%listeners], k)
	}
}

// keep notes a connection, whose descriptor is the server's from then on, in any case.
func (p *keeping) keep(fd int, in []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+len(in) > keptBytes {
		unix.Close(fd)
		return
	}
	p.bytes += len(in)
	p.kept = append(p.kept, Kept{fd, append([]byte(nil), in...)})
}

// deal returns the next listener's share of the connections that another server kept.
func (p *keeping) deal() (kept []Kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.deals) > 0 {
		kept, p.deals = p.deals[0], p.deals[1:]
	}
	return kept
}

// keeps reports whether the connections of this listener outlive it.
func (l *httpListener) keeps() bool { return l.keeping.wanted.Load() && l.tls == nil }

// adopt serves the connections that another server kept for this loop.
func (o *httpLoop) adopt() {
	o.now = time.Now()
	for _, k := range o.keeping.deal() {
		from, err := otherEnd(k.FD)
		if err != nil { // its client has gone
			unix.Close(k.FD)
			continue
		}
		c := o.newConn(k.FD, from)
		c.in = k.In
		o.serve(c, 0)
	}
}

// otherEnd returns the address of the other end of a TCP connection, in its own family.
func otherEnd(fd int) (netip.Addr, error) {
	addr, err := unix.Getpeername(fd)
	if err != nil {
		return netip.Addr{}, os.NewSyscallError("getpeername", err)
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr), nil
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap(), nil
	}
	return netip.Addr{}, errors.New("no connection of the internet")
}

// keepAll keeps the connections that are parked. Those with a goroutine keep themselves.
func (o *httpLoop) keepAll() {
	for _, c := range o.conns {
		if c != nil && c.linger == 0 {
			fd, in := c.fd, c.in
			o.unpark(c)
			c.fd = -1
			o.drop(c)
			o.keeping.keep(fd, in)
		}
	}
	o.end()
}

// leave keeps a connection for the next server and reports whether it did. All whole requests that were read are answered.
func (x *exchange) leave(conn net.Conn) bool {
	if !x.leaving.Load() {
		return false
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	cerr := raw.Control(func(fd uintptr) {
		var kept int
		if kept, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			x.keeping.keep(kept, x.in)
		}
	})
	return cerr == nil && err == nil
}

// woken reports whether a read ended because its time was up, and not the connection.
func woken(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
