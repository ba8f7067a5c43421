package tracker

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// loopConn is a connection of a loop.
type loopConn struct {
	timed
	fd       int
	from     netip.Addr
	in       []byte // of a request that is not whole yet
	linger   int    // above zero: it was refused, and is read this often before it is closed
	seated   bool   // it has a place
	parked   bool   // it is in epoll, in the wheel and in conns
	answered bool
}

// newConn returns a connection that was just accepted.
func (o *httpLoop) newConn(fd int, from netip.Addr) *loopConn {
	c := o.free
	if c == nil {
		c = new(loopConn)
	} else {
		o.free, c.next = c.next, nil
	}
	c.fd, c.from = fd, from
	return c
}

// drop closes a connection and forgets it.
func (o *httpLoop) drop(c *loopConn) {
	if c.parked {
		o.unpark(c)
	}
	if c.seated {
		o.places.leave(c.from)
	}
	if c.fd >= 0 {
		o.calls.Close(c.fd)
	}
	*c = loopConn{timed: timed{next: o.free}}
	o.free = c
}

// serve reads what a connection has brought, answers it, and closes or parks the connection. The event that it is about is edge-triggered, so
// it is asked for anew when there may be more than was read.
func (o *httpLoop) serve(c *loopConn, event uint32) {
	x := o.x
	x.in, x.out = append(x.in[:0], c.in...), x.out[:0]
	if o.paced.Load() != nil && c.linger == 0 {
		o.handOver(c, readOn)
		return
	}
	room := x.in[len(x.in):cap(x.in)]
	n, errno := o.calls.Receive(c.fd, room)
	o.unread = n == len(room) || event&^unix.EPOLLIN != 0 // an end behind it is told of once
	switch {
	case errno == unix.EAGAIN: // the event was another's
		wait := firstTimeout
		if c.parked {
			wait = 0
		}
		o.park(c, wait)
	case n <= 0:
		o.drop(c)
	case c.linger > 0:
		if c.linger--; c.linger == 0 {
			o.drop(c)
		} else {
			o.park(c, 0)
		}
	default:
		x.in = x.in[:len(x.in)+n]
		o.answer(c)
	}
}

// answer answers the requests in x.in.
func (o *httpLoop) answer(c *loopConn) {
	o.current = c
	full, wrote := len(o.x.in) == cap(o.x.in), false
	p := writeOn
	for p == writeOn {
		p, _ = o.x.answerRead(o.now, c.from)
		if len(o.x.out) > 0 {
			if !o.send(c, p) {
				return
			}
			wrote, c.answered = true, true
		}
	}
	switch {
	case p == goAside:
		o.handOver(c, p)
	case p == misspoken, full && p == finished: // there may be more that was not read
		o.letGo(c)
	case p == finished:
		o.drop(c)
	default:
		if len(o.x.in) == 0 {
			c.in = nil
		} else {
			c.in = append(c.in[:0], o.x.in...)
		}
		wait := firstTimeout
		if wrote {
			wait = headTimeout
		} else if c.parked {
			wait = 0
		}
		o.park(c, wait)
	}
}

// send writes the answers in x.out, and reports whether the connection goes on. The last ones wait for the connection's end, to
// leave together with it.
func (o *httpLoop) send(c *loopConn, p progress) bool {
	n, errno := o.calls.Send(c.fd, o.x.out, p == finished || p == misspoken)
	switch errno {
	case 0:
	case unix.EAGAIN:
		n = 0
	default:
		o.drop(c)
		return false
	}
	if n == len(o.x.out) {
		o.x.out = o.x.out[:0]
		return true
	}
	o.x.out = o.x.out[:copy(o.x.out, o.x.out[n:])]
	o.handOver(c, p)
	return false
}

// parkedEvents are those that a parked connection is looked at for. They come when something changes, and when they are asked for.
const parkedEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// park keeps a connection open until more comes of it, for so long at most; 0: for as long as it was to wait anyway.
func (o *httpLoop) park(c *loopConn, wait time.Duration) {
	due := o.tick(o.now.Add(wait)) + 1
	if c.parked {
		if wait > 0 {
			o.wheel.move(c, due)
		}
		if o.unread {
			o.control(unix.EPOLL_CTL_MOD, c.fd, parkedEvents)
		}
		return
	}
	if !o.seat(c) || o.control(unix.EPOLL_CTL_ADD, c.fd, parkedEvents) != nil {
		o.drop(c)
		return
	}
	for len(o.conns) <= c.fd {
		o.conns = append(o.conns, nil)
	}
	o.conns[c.fd] = c
	c.due, c.parked = due, true
	o.wheel.add(c)
}

// unpark forgets that a connection is parked. The system does when its descriptor is closed.
func (o *httpLoop) unpark(c *loopConn) {
	if c.next != nil {
		o.wheel.remove(c)
	}
	o.conns[c.fd] = nil
	c.parked = false
}

// expire ends a connection whose time is up, which the wheel has let go of.
func (o *httpLoop) expire(c *loopConn) {
	if unheard := !c.answered || len(c.in) > 0; unheard && c.linger == 0 && !o.ending.Load() {
		o.x.tally.refuse(refuseTimeout)
	}
	o.drop(c)
}

// letGo ends the sending and lets a client that was refused send on for a while, see lingerTime.
func (o *httpLoop) letGo(c *loopConn) {
	if unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
		o.drop(c)
		return
	}
	c.linger, c.in = lingerReads, nil
	o.park(c, lingerTime)
}

// seat takes a place for a connection that is to stay open, if it has none. It reports whether there was one.
func (o *httpLoop) seat(c *loopConn) bool {
	if c.seated {
		return true
	}
	why, ok := o.places.take(c.from)
	if !ok {
		o.x.tally.refuse(why)
	}
	c.seated = ok
	return ok
}

// stay reports whether the connection that is being answered may stay open.
func (o *httpLoop) stay() bool { return o.seat(o.current) }
