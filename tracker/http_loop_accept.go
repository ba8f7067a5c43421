package tracker

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accept accepts connections and serves them at once: one when the loop has just waited, and twice as many each time that there were so many. To find that
// there are no more costs the system nearly as much as a connection does; that epoll has no more to tell costs it little.
func (o *httpLoop) accept() {
	for range o.accepts {
		fd, from, errno := o.calls.Accept(o.listener)
		switch errno {
		case 0:
			o.pause = 0
			o.x.tally.connects.Add(1)
			o.serve(o.newConn(fd, from), 0)
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
		default:
			o.x.tally.refuse(refuseAccept)
			if !o.shed(errno) {
				o.rest()
				return
			}
		}
	}
	o.accepts = min(2*o.accepts, loopAccepts)
}

// shed gets rid of a connection when there are no descriptors left, so that its client hears of it and the others behind it are seen. It
// reports whether that was possible.
func (o *httpLoop) shed(errno syscall.Errno) bool {
	if o.spare < 0 || errno != unix.EMFILE && errno != unix.ENFILE {
		return false
	}
	unix.Close(o.spare)
	fd, _, errno := o.calls.Accept(o.listener)
	if errno == 0 {
		o.calls.Close(fd)
	}
	o.openSpare()
	return errno == 0 && o.spare >= 0
}

// openSpare takes a descriptor to have one when there are no others.
func (o *httpLoop) openSpare() {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	o.spare = fd
}

// rest leaves the listening socket alone for a while after the system failed to hand over a connection, longer each time.
func (o *httpLoop) rest() {
	if o.spare < 0 {
		o.openSpare()
	}
	o.pause = nextPause(o.pause)
	o.resume = o.now.Add(o.pause)
	o.heed(0)
}

// heed says what events of the listening socket are of interest.
func (o *httpLoop) heed(events uint32) {
	o.control(unix.EPOLL_CTL_MOD, o.listener, events)
}

func (o *httpLoop) control(op, fd int, events uint32) error {
	var err error
	cerr := o.raw.Control(func(epoll uintptr) {
		err = unix.EpollCtl(int(epoll), op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// handOver gives a connection to a goroutine of its own, with what was read and not eaten, what is to be written yet, and
// how far it has come.
func (o *httpLoop) handOver(c *loopConn, p progress) {
	if !o.seat(c) {
		o.drop(c)
		return
	}
	until := o.now.Add(firstTimeout)
	if c.parked {
		o.control(unix.EPOLL_CTL_DEL, c.fd, 0) // the copy below would keep it there
		o.unpark(c)
		until = o.start.Add(time.Duration(c.due) * wheelTick)
	}
	f := os.NewFile(uintptr(c.fd), "connection")
	conn, err := net.FileConn(f)
	if err != nil {
		o.x.tally.refuse(refuseAccept)
		f.Close()
		c.fd = -1
		o.drop(c)
		return
	}
	x := o.exchanges.Get().(*exchange)
	x.in, x.out, x.aside = append(x.in, o.x.in...), append(x.out, o.x.out...), o.x.aside
	o.x.in, o.x.out, o.x.aside = o.x.in[:0], o.x.out[:0], nil
	f.Close()
	from := c.from
	c.fd, c.seated = -1, false // they are the goroutine's now
	o.drop(c)
	if soon := o.now.Add(drainTime); !o.lastRead.IsZero() && until.After(soon) {
		until = soon
	}
	conn.SetDeadline(until)
	o.talk(conn, from, x, o.number, p)
}
