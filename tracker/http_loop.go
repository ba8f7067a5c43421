package tracker

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"starling/tracker/stream"
)

// httpLoop serves the connections of one listening socket in one goroutine, without one for each of them: most of what a request costs is
// the system's, and of the rest most would be waking up.
//
//	         +----------------- wait: for events, or a tick of the wheel -----------------+
//	         v                                                                            |
//	listening socket: accept --> read --> whole heads? --> answer --> write --> the last? | --> close
//	connection ------------------^           | no                                  | no   |
//	                                         +--------> parked in epoll <----------+------+
//
// A connection is read as soon as it is accepted, since the system hands it over with its request, and a last answer leaves together
// with the end of the connection, in one packet. Only what is kept open takes a place (see places), an entry in epoll and one in the wheel.
//
// Whatever would hold up the others gets a goroutine of its own and is served by converse: a client that does not take its answer, a long
// answer, and all connections while answers are paced.
//
// The loop waits in the runtime's poller for its own epoll descriptor, so that it holds neither a thread nor a processor while there
// is nothing to do.
type httpLoop struct {
	*httpListener
	x        *exchange
	number   int // of its tally
	listener int // descriptor
	start    time.Time
	now      time.Time   // when this round began
	wheel    wheel       // of the connections that are parked
	conns    []*loopConn // the same, by descriptor
	free     *loopConn   // for the next ones, a list
	current  *loopConn   // that is being answered
	unread   bool        // there may be more than was read of it

	// What it waits with.
	epoll  *os.File
	raw    syscall.RawConn             // of epoll
	look   func(fd uintptr) bool       // lookOnce
	calls  stream.Caller               // those that do not wait
	events [loopEvents]unix.EpollEvent // the most that are taken at once
	ready  int                         // events
	failed error                       // of looking
	armed  time.Time                   // the deadline of epoll
	bell   int                         // an eventfd in epoll, which the loop wakes itself with
	told   time.Time                   // when the scheduler was last told of a call
	waited time.Time                   // when the loop last went on after others could run; zero: they can now
	yields bool                        // it is their turn before the loop looks again

	// Accepting.
	accepts    int           // how many connections are accepted before others have their turn, loopAccepts at most
	spare      int           // descriptor that is given up when there are no others; -1: there is none
	pause      time.Duration // the last one after a failure to accept
	resume     time.Time     // when the listening socket is looked at again; zero: it is
	lastAccept time.Time     // set when ctx ended: until then what waits in the system's queue is accepted
	lastRead   time.Time     // set after that: until then requests on their way are waited for
}

const (
	// wheelTick is how late a deadline may be noticed.
	wheelTick = 250 * time.Millisecond
	// loopEvents is how many events are taken at once, and loopAccepts how many connections are accepted then: some 300 us of work.
	loopEvents, loopAccepts = 32, 16
	// loopTurn is how long the loop may go on without a wait before it lets others run, as soon as it has done what was there.
	loopTurn = 300 * time.Microsecond
	// tellEach is how long the loop may go on without the scheduler's knowing of a call, see package stream.
	tellEach = 10 * time.Millisecond
	// loopRead is how much is read at once: some 80 pipelined requests.
	loopRead = 16 << 10
)

// newLoop takes over a listening socket, and closes ln.
func (l *httpListener) newLoop(ln *net.TCPListener, number int) (*httpLoop, error) {
	defer ln.Close()
	o := &httpLoop{httpListener: l, number: number, start: time.Now()}
	o.look = o.lookOnce
	o.x = &exchange{HTTP: l.HTTP, tally: &l.tallies[number], ending: &l.ending, in: make([]byte, 0, loopRead), stay: o.stay}
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	// A copy, for the runtime's poller, which each connection would wake, lets go of the descriptor that ln closes.
	cerr := raw.Control(func(fd uintptr) { o.listener, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = cmp.Or(cerr, os.NewSyscallError("fcntl", err)); err != nil {
		return nil, err
	}
	if err := o.openEpoll(); err != nil {
		unix.Close(o.listener)
		return nil, err
	}
	o.accepts = 1
	o.openSpare()
	return o, nil
}

// openEpoll makes the epoll descriptor, with the listening socket in it, and makes it known to the runtime's poller.
func (o *httpLoop) openEpoll() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	unix.SetNonblock(fd, true) // else it is not made known
	o.epoll = os.NewFile(uintptr(fd), "epoll")
	if o.raw, err = o.epoll.SyscallConn(); err == nil {
		err = o.epoll.SetReadDeadline(time.Time{}) // fails where it is not known
	}
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, o.listener, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(o.listener)})
	}
	if err == nil {
		err = o.openBell(fd)
	}
	if err != nil {
		o.epoll.Close()
	}
	return err
}

// openBell makes the bell. It is never read: each ring is an event of its own.
func (o *httpLoop) openBell(epoll int) error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	o.bell = fd
	if err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}); err != nil {
		unix.Close(fd)
	}
	return err
}

// run serves until the context of Serve ends, then answers what clients have sent, and closes all. The result is not nil when something broke.
func (o *httpLoop) run() error {
	defer o.close()
	defer context.AfterFunc(o.ctx, func() { o.epoll.SetReadDeadline(time.Unix(1, 0)) })()
	for o.adopt(); ; {
		if err := o.await(); err != nil {
			return err
		}
		if o.now = time.Now(); o.waited.IsZero() {
			o.waited = o.now
		}
		o.round()
		switch {
		case !o.lastRead.IsZero():
			if o.wheel.filed == 0 || !o.now.Before(o.lastRead) {
				return nil
			}
		case !o.lastAccept.IsZero():
			if !o.now.Before(o.lastAccept) {
				o.stopAccepting()
			}
		case o.ctx.Err() != nil && o.keeps():
			o.keepAll()
			return nil
		case o.ctx.Err() != nil:
			o.lastAccept = o.now.Add(acceptTime)
		}
	}
}

// await waits for events, or until there is something to do without one. A loop that has not waited for long lets others run first.
func (o *httpLoop) await() error {
	o.yields = !o.waited.IsZero() && o.now.Sub(o.waited) > loopTurn
	err := o.raw.Read(o.look)
	if err == nil {
		return o.failed
	}
	o.ready = 0
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	o.armed = time.Time{}
	if err := o.epoll.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return o.lookLate()
}

// lookLate takes the events there are when the time to wait for them is over: on a busy machine it may be before anybody looked at what came in it.
func (o *httpLoop) lookLate() error {
	if err := o.raw.Control(o.take); err != nil {
		return err
	}
	return o.failed
}

// take takes the events there are.
func (o *httpLoop) take(epoll uintptr) {
	tell := o.now.Sub(o.told) > tellEach
	if tell {
		o.told = o.now
	}
	n, errno := o.calls.Ready(int(epoll), o.events[:], tell)
	o.ready, o.failed = max(n, 0), nil
	if errno != 0 {
		o.failed = os.NewSyscallError("epoll_wait", errno)
	}
}

// lookOnce takes the events there are. The runtime's poller asks it at first, and again when there may be some.
func (o *httpLoop) lookOnce(fd uintptr) (done bool) {
	if o.yields && o.ring() {
		o.yields, o.waited = false, time.Time{}
		return false
	}
	if o.take(fd); o.ready > 0 || o.failed != nil {
		return true
	}
	o.waited, o.accepts = time.Time{}, 1
	if at := o.wakeUp(); !at.Equal(o.armed) {
		o.armed = at
		o.epoll.SetReadDeadline(at)
	}
	if o.ctx.Err() != nil && o.lastAccept.IsZero() {
		o.epoll.SetReadDeadline(time.Unix(1, 0)) // what run set when it ended may have been overwritten just now
	}
	return false
}

// ring has the loop woken as soon as everybody else who can run has had a turn, and the runtime's poller been asked who can: it asks while
// nobody can run, or every 10 ms.
func (o *httpLoop) ring() bool {
	_, err := unix.Write(o.bell, oneRing)
	return err == nil
}

// oneRing is 1, as an eventfd takes it.
var oneRing = binary.NativeEndian.AppendUint64(nil, 1)

// wakeUp returns when there is something to do without an event; zero: never.
func (o *httpLoop) wakeUp() (at time.Time) {
	if tick, ok := o.wheel.next(); ok {
		at = o.start.Add(time.Duration(tick) * wheelTick)
	}
	for _, t := range []time.Time{o.resume, o.lastAccept, o.lastRead} {
		if !t.IsZero() && t.After(o.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// tick returns the tick of a time, ticks after which are later.
func (o *httpLoop) tick(t time.Time) int64 { return int64(t.Sub(o.start) / wheelTick) }

// round ends the connections whose time is up, serves those that events are about, and accepts others. How long its announces took is
// counted together: the last one of a round waited for all before it, and the clock costs more than it is worth for each.
func (o *httpLoop) round() {
	tick := o.tick(o.now)
	for c := o.wheel.advance(tick); c != nil; c = o.wheel.advance(tick) {
		o.expire(c)
	}
	if !o.resume.IsZero() && !o.now.Before(o.resume) {
		o.resume = time.Time{}
		o.heed(unix.EPOLLIN)
	}
	accepting := false
	for _, e := range o.events[:o.ready] {
		switch fd := int(e.Fd); {
		case fd == o.listener:
			accepting = true
		case fd == o.bell:
		case o.conns[fd] != nil: // else it was closed in this round
			o.serve(o.conns[fd], e.Events)
		}
	}
	if accepting {
		o.accept()
	}
	o.x.countLatency(o.now)
}

// stopAccepting closes the listening socket, after a last look at what waits there. The connections there are have drainTime left.
func (o *httpLoop) stopAccepting() {
	o.accepts = 4 * loopAccepts
	o.accept()
	o.control(unix.EPOLL_CTL_DEL, o.listener, 0) // it lives on when somebody else has it, too
	unix.Close(o.listener)
	o.listener = -1
	o.lastRead, o.resume = o.now.Add(drainTime), time.Time{}
	o.end()
}

// close ends what is left.
func (o *httpLoop) close() {
	for _, c := range o.conns {
		if c != nil {
			o.drop(c)
		}
	}
	for _, fd := range []int{o.listener, o.spare, o.bell} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	o.epoll.Close()
}
