package tracker

import (
	"net"
	"os"
	"syscall"
	"time"

	"starling/tracker/pacer"
)

// lane is a connection's way through a paced server. It belongs to an exchange
// and so to one connection after the other.
//
//	answer --> Writer.Ask --> the socket takes all of it? --> done
//	              ^  (waits)      | no
//	              |               +--> tokens for the rest go back at once
//	              +--- there is room again <--- wait, with no tokens in hand
//
// A client that does not read so holds nothing that others wait for.
type lane struct {
	deadline time.Time       // of what is being read
	unpaid   int             // bytes that were read, and are not charged for yet
	raw      syscall.RawConn // nil: the connection is not a socket
	writes   *pacer.Writes   // that writer belongs to
	writer   *pacer.Writer

	// One grant.
	side   *byteSide // that gave it; nil: nobody, and nobody has to
	asked  time.Time
	push   func(fd uintptr) bool // pushOut, made once
	bytes  []byte                // that are not written yet
	full   bool                  // the socket took less than was granted
	failed error
}

// meet makes the exchange ready for a connection that was just accepted.
func (x *exchange) meet(conn net.Conn) {
	x.deadline, x.unpaid = time.Now().Add(firstTimeout), 0
	if x.toll.waiter == nil {
		x.toll.waiter = pacer.NewWaiter()
		x.push = x.pushOut
	}
	if socket, ok := conn.(syscall.Conn); ok {
		x.raw, _ = socket.SyscallConn()
	}
}

// writePaced writes x.out as the rate allows. The client has headTimeout to take it, in which only the time
// counts that it is waited for.
func (x *exchange) writePaced(conn net.Conn, now time.Time) error {
	patience, late := headTimeout, false
	for b := x.out; len(b) > 0; {
		granted, waited := x.grant(now, len(b))
		if waited {
			now, late = time.Now(), true
			conn.SetWriteDeadline(now.Add(patience))
			if x.side != nil {
				x.writer.Late(now, int64(granted))
			}
		}
		n, err := x.offer(conn, now, b[:granted])
		if err != nil {
			return err
		}
		if b = b[n:]; x.full {
			late = true
			patience -= time.Since(now)
			if patience <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		if len(b) > 0 {
			now = time.Now()
			conn.SetWriteDeadline(now.Add(patience))
		}
	}
	if late {
		x.extend(conn, time.Now().Add(headTimeout))
	}
	return nil
}

// grant returns how many of n bytes may be written now. It waits until some may; waited says that it did.
func (x *exchange) grant(now time.Time, n int) (granted int, waited bool) {
	x.side = x.pacing.bytes.Load()
	if x.side == nil {
		return n, false
	}
	if x.writes != x.side.writes {
		x.writes, x.writer = x.side.writes, x.side.writes.NewWriter()
	}
	g, waited := x.writer.Ask(now, int64(n))
	if g == 0 { // nothing is paced any more
		x.side = nil
		return n, waited
	}
	return int(g), waited
}

// offer writes what was granted and returns how much the client took. What it did not take at once is given back before it
// is waited for.
func (x *exchange) offer(conn net.Conn, now time.Time, b []byte) (n int, err error) {
	x.asked, x.bytes, x.full, x.failed = now, b, false, nil
	if x.raw != nil {
		err = x.raw.Write(x.push)
		if err == nil {
			err = x.failed
		}
		n = len(b) - len(x.bytes)
	} else {
		n, err = conn.Write(b)
	}
	if x.side == nil { // else Writes counts
		x.pacing.recorder.RecordShard(x.toll.shard, uint64(n))
	}
	if !x.full {
		x.giveBack(len(b) - n)
	}
	return n, err
}

// pushOut is lane.push. The system calls it when the socket may have room: first at once, and again after it said that
// there was too little.
func (x *exchange) pushOut(fd uintptr) (done bool) {
	for !x.full && len(x.bytes) > 0 {
		n, err := syscall.Write(int(fd), x.bytes)
		if n > 0 {
			x.bytes = x.bytes[n:]
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			x.full = true
			x.pacing.recorder.Busy()
			x.giveBack(len(x.bytes))
			return false
		default:
			x.failed = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// giveBack returns the tokens of n bytes that were granted and not written.
func (x *exchange) giveBack(n int) {
	if x.side != nil && n > 0 {
		x.writer.Unwritten(x.asked, int64(n))
	}
}

// turn is called when n bytes were read, with the server's pacing of now: a limit may have come or gone.
func (x *exchange) turn(p *Pacing, conn net.Conn, n int) {
	if p != x.pacing {
		if x.pacing = p; p == nil {
			return
		}
		x.meet(conn)
	}
	x.unpaid += n
}

// payRead charges for what was read, and waits until the connection may be read again. Its client
// has that much longer for its next request.
func (x *exchange) payRead(conn net.Conn, now time.Time) {
	side := x.pacing.bytes.Load()
	if side == nil {
		x.unpaid = 0
		return
	}
	wait := side.reads.Read(now, x.toll.shard, int64(x.unpaid))
	x.unpaid = 0
	x.waitRead(conn, side, now, wait)
}

// mayRead waits until a new connection may be read: who takes a new one for each request waits as others do.
func (x *exchange) mayRead(conn net.Conn) {
	if side := x.pacing.bytes.Load(); side != nil {
		now := time.Now()
		x.waitRead(conn, side, now, side.reads.Wait(now))
	}
}

// waitRead waits for so long, and on while there is a debt.
func (x *exchange) waitRead(conn net.Conn, side *byteSide, now time.Time, wait time.Duration) {
	if wait == 0 {
		return
	}
	for start := now; wait > 0; wait = side.reads.Wait(now) {
		time.Sleep(min(wait, longestReadWait))
		now = time.Now()
		x.deadline, start = x.deadline.Add(now.Sub(start)), now
		if x.ending.Load() || x.leaving.Load() || x.pacing.bytes.Load() != side {
			break
		}
	}
	x.extend(conn, x.deadline)
}

// payLast charges for what was read last, when a connection ends.
func (x *exchange) payLast() {
	if side := x.pacing.bytes.Load(); side != nil && x.unpaid > 0 {
		side.reads.Read(time.Now(), x.toll.shard, int64(x.unpaid))
	}
	x.unpaid = 0
}

// longestReadWait bounds a sleep, so that a server that ends, or a rate that is taken away, is soon heard of.
const longestReadWait = 200 * time.Millisecond

// extend gives the client until a time for its next request, or a little when the server ends: who ends it
// shortened the deadline before this one was set.
func (x *exchange) extend(conn net.Conn, until time.Time) {
	x.deadline = until
	conn.SetDeadline(until)
	if x.ending.Load() {
		conn.SetReadDeadline(time.Now().Add(drainTime))
	}
}
