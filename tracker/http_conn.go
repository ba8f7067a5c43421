package tracker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"starling/wire"
)

// Sizes of the buffers of a connection, in bytes.
const (
	firstRead  = 2 << 10  // most requests are a few hundred bytes long
	writeEarly = 16 << 10 // answers to pipelined requests are written when they are this long
	maxKeep    = 32 << 10 // a longer buffer is not kept for the next connection
)

// How a client that was refused is let go: what it still sends is read for this
// long and this often, since closing on unread bytes resets the connection and takes the answer with it.
const (
	lingerTime  = 500 * time.Millisecond
	lingerReads = 32
)

// progress is how far the requests that were read are answered.
type progress uint8

const (
	readOn    progress = iota // there is no whole request
	writeOn                   // there may be one, but the answers are long enough to be written first
	finished                  // the last request of the connection is answered
	misspoken                 // what was read is no request, and refused
	goAside                   // the next request is answered by x.aside, once the answers are written
)

// converse reads requests and writes answers until the client, a deadline or a
// bad request ends it. The caller has set the first deadline, and closes conn. What the exchange holds already
// was read and is to be written first, and the conversation has come as far as p says.
//
// A deadline is set when answers are written and holds until others are: it
// bounds the time they take to be written and then the wait for the next whole
// head. A client that sends a byte now and then gains nothing by it.
func (x *exchange) converse(ctx context.Context, conn net.Conn, from netip.Addr, p progress) {
	answered := false
	if x.pacing = x.paced.Load(); x.pacing != nil {
		x.meet(conn)
		x.mayRead(conn)
	}
	if answered = len(x.out) > 0; answered && !x.write(conn, time.Now()) || x.ends(ctx, conn, from, p) {
		return
	}
	for unread := len(x.in) > 0; ; unread = false {
		if !unread && x.leave(conn) {
			return
		}
		n, err := x.read(conn, unread)
		if p := x.paced.Load(); p != nil || x.pacing != nil {
			x.turn(p, conn, n)
		}
		began := time.Now()
		now := began
		for p = writeOn; p == writeOn; {
			p, now = x.answerRead(now, from)
			if len(x.out) > 0 {
				goesOn := x.write(conn, now)
				x.countLatency(began)
				if !goesOn {
					return
				}
				answered = true
			}
		}
		if x.ends(ctx, conn, from, p) {
			return
		}
		if err != nil {
			if woken(err) && x.leave(conn) {
				return
			}
			if unheard := !answered || len(x.in) > 0; unheard {
				x.countTimeout(err)
			}
			return
		}
		if len(x.in) == cap(x.in) {
			x.in = slices.Grow(x.in, max(0, wire.MaxHead-len(x.in)))
		}
		if x.pacing != nil {
			x.payRead(conn, now)
		}
	}
}

// read reads more into x.in, unless there is some that was not looked at yet.
func (x *exchange) read(conn net.Conn, unread bool) (n int, err error) {
	if unread {
		return len(x.in), nil
	}
	n, err = conn.Read(x.in[len(x.in):cap(x.in)])
	x.in = x.in[:len(x.in)+n]
	return n, err
}

// ends reports whether a conversation that has come so far ends, and does what is left to do then.
func (x *exchange) ends(ctx context.Context, conn net.Conn, from netip.Addr, p progress) bool {
	switch p {
	case misspoken:
		x.linger(conn)
	case goAside:
		x.answerAside(ctx, conn, from)
	case finished:
	default:
		return false
	}
	return true
}

// answerAside has the request that x.in begins with answered by who does that, see [HTTPConfig.Long].
func (x *exchange) answerAside(ctx context.Context, conn net.Conn, from netip.Addr) {
	r, _, err := wire.ParseRequest(x.in)
	if err == nil {
		client, _ := x.sources.client(from, &r.ForwardedFor)
		conn.SetDeadline(time.Now().Add(headTimeout))
		x.aside(ctx, conn, client, &r)
	}
	x.aside = nil
}

// answerRead answers the requests in x.in, in x.out, and moves what is left of x.in to its start. It
// returns the time as well, which goes on while a request waits.
func (x *exchange) answerRead(now time.Time, from netip.Addr) (progress, time.Time) {
	x.aside = nil // of a connection that ended too early
	for eaten := 0; ; {
		out, n, last := x.handle(now, from, x.in[eaten:], x.out)
		x.out, eaten = out, eaten+n
		if x.pacing != nil {
			now = now.Add(x.waited)
			x.waited = 0
		}
		p := readOn
		switch {
		case last && n == 0:
			p = misspoken
		case last:
			p = finished
		case n == 0 && x.aside != nil:
			p = goAside
		case n == 0:
			p = readOn
		case len(out) >= writeEarly, x.pacing != nil && eaten < len(x.in): // the next one may have to wait
			p = writeOn
		default:
			continue
		}
		x.in = x.in[:copy(x.in, x.in[eaten:])]
		return p, now
	}
}

// write writes the answers and reports whether the connection goes on.
func (x *exchange) write(conn net.Conn, now time.Time) bool {
	deadline := now.Add(headTimeout)
	conn.SetDeadline(deadline)
	var err error
	if x.pacing != nil {
		x.deadline = deadline
		err = x.writePaced(conn, now)
	} else {
		_, err = conn.Write(x.out)
	}
	x.out = x.out[:0]
	if err != nil {
		x.countTimeout(err)
		return false
	}
	// When the end began before the deadline above was set, nobody will shorten it.
	return !x.ending.Load()
}

// countLatency counts the announces that were read at a time and whose answers were just written.
func (x *exchange) countLatency(read time.Time) {
	if x.announces > 0 {
		x.tally.latency.took(time.Since(read), x.announces)
		x.announces = 0
	}
}

// countTimeout counts a deadline that passed while the server was not ending.
func (x *exchange) countTimeout(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) && !x.ending.Load() {
		x.tally.refuse(refuseTimeout)
	}
}

// linger ends the sending and reads for a while what the client still sends.
func (x *exchange) linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(lingerTime))
	for range lingerReads {
		if _, err := conn.Read(x.in[:cap(x.in)]); err != nil {
			return
		}
	}
}

// release gives the exchange back for another connection, unless this one made it large.
func (x *exchange) release() {
	if cap(x.in) > firstRead || cap(x.out) > maxKeep || cap(x.body) > maxKeep {
		return
	}
	x.in, x.out, x.tally, x.ending, x.leaving, x.raw = x.in[:0], x.out[:0], nil, nil, nil, nil
	x.exchanges.Put(x)
}
