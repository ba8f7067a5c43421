package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"starling/wire"
)

const (
	// window is how many announces one socket has in flight at most.
	window = 16
	// connectEvery is how old a connection id may grow (BEP 15).
	connectEvery = time.Minute
	// connectSlot is the slot a connect request has instead of an announce's.
	connectSlot = window
)

// A slot is one announce in flight.
type slot struct {
	transaction uint32 // 0: the slot is free
	peer        int
	sent        time.Time
}

// udpWorker announces over one connected socket, up to [window] announces at a time. A transaction id
// is a number that grows, with the slot's number in its last byte.
type udpWorker struct {
	*worker
	conn      net.Conn
	id        uint64 // connection id
	connected time.Time
	slots     []slot
	connect   slot
	sequence  uint32
	urlData   []byte // BEP 41 options
	out       []byte
	in        [4096]byte
}

func newUDPWorker(w *worker, inFlight int) *udpWorker {
	return &udpWorker{
		worker:  w,
		slots:   make([]slot, inFlight),
		urlData: wire.AppendURLDataOptions(nil, w.cfg.Target.RequestURI()),
	}
}

func (w *udpWorker) loop() {
	for !w.stop.Load() && !w.dial() {
		w.pause()
	}
	if w.conn == nil {
		return
	}
	defer w.conn.Close()
	for {
		now := time.Now()
		busy := w.sweep(now)
		if w.stop.Load() && !busy {
			return
		}
		// Deadlines are kept by the sweep; reading stops often enough for it, and no deadline is set per packet.
		w.conn.SetReadDeadline(now.Add(w.cfg.Timeout / 4))
		w.exchange(now.Add(w.cfg.Timeout / 4))
	}
}

func (w *udpWorker) dial() bool {
	conn, err := net.DialTimeout("udp", w.remote.String(), w.cfg.Timeout)
	if err != nil {
		w.tally.fail(failConnect, err.Error())
		return false
	}
	id, err := connectUDP(conn, w.cfg.Timeout)
	if local, perr := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil && (perr != nil || local.Addr().Unmap().WithZone("") != w.pop.local.Addr()) {
		err = fmt.Errorf("from another address: %v", conn.LocalAddr())
	}
	if err != nil {
		w.tally.fail(failConnect, err.Error())
		conn.Close()
		return false
	}
	w.conn, w.id, w.connected = conn, id, time.Now()
	return true
}

// sweep gives up what was not answered in time, fills free slots, and asks for a new connection id when the old one is due
// or silence says that it may not be known any more. It reports whether anything is in flight.
func (w *udpWorker) sweep(now time.Time) (busy bool) {
	due := now.Sub(w.connected) > connectEvery
	for i := range w.slots {
		s := &w.slots[i]
		if s.transaction != 0 && now.Sub(s.sent) > w.cfg.Timeout {
			s.transaction = 0
			w.tally.fail(failTimeout, "")
			due = true
		}
		if s.transaction == 0 {
			w.send(i, now)
		}
		busy = busy || s.transaction != 0
	}
	if due && now.Sub(w.connect.sent) > w.cfg.Timeout {
		w.sequence++
		w.connect = slot{transaction: w.sequence<<8 | connectSlot, sent: now}
		h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: w.connect.transaction}
		w.conn.Write(h.Append(w.out[:0]))
	}
	return busy
}

// send announces a peer in a free slot, unless the run is over.
func (w *udpWorker) send(i int, now time.Time) {
	if w.stop.Load() {
		return
	}
	k := w.rng.IntN(w.pop.peers)
	w.sequence++
	h := wire.UDPHeader{ConnectionID: w.id, Action: wire.ActionAnnounce, TransactionID: w.sequence<<8 | uint32(i)}
	a := wire.UDPAnnounce{
		InfoHash: w.pop.hash(k), PeerID: peerID(k), Left: w.pop.left(k), Event: w.pop.announce(k),
		NumWant: numWant, Port: w.pop.port(k), Options: w.urlData,
	}
	w.out = a.Append(h.Append(w.out[:0]))
	if _, err := w.conn.Write(w.out); err != nil {
		w.tally.fail(failClosed, err.Error())
		return
	}
	w.slots[i] = slot{transaction: h.TransactionID, peer: k, sent: now}
}

// exchange reads answers, and announces again for each, until the time given or nothing more comes.
func (w *udpWorker) exchange(until time.Time) {
	for {
		n, err := w.conn.Read(w.in[:])
		if err != nil {
			// Somebody told us that nobody listens there.
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				w.tally.fail(failClosed, err.Error())
				w.pause()
			}
			return
		}
		now := time.Now()
		if i, ok := w.receive(w.in[:n], now); ok {
			w.send(i, now)
		}
		if now.After(until) || w.stop.Load() {
			return
		}
	}
}

// receive judges a packet and returns the slot it has freed. One that belongs to no slot is an answer that comes after its time, and no concern.
func (w *udpWorker) receive(b []byte, now time.Time) (i int, ok bool) {
	if len(b) < 8 {
		return 0, false
	}
	transaction := binary.BigEndian.Uint32(b[4:])
	if transaction == w.connect.transaction {
		if r, err := wire.ParseUDPReply(b); err == nil && r.Action == wire.ActionConnect {
			w.id, w.connected = r.ConnectionID, now
		}
		return 0, false
	}
	i = int(transaction & 0xff)
	if i >= len(w.slots) || w.slots[i].transaction != transaction {
		return 0, false
	}
	s := w.slots[i]
	w.slots[i].transaction = 0
	r, err := wire.ParseUDPReply(b)
	switch {
	case err != nil:
		w.tally.fail(failMalformed, err.Error())
	case r.Action == wire.ActionError:
		w.tally.fail(failRefused, string(r.Body))
	case r.Action != wire.ActionAnnounce:
		w.tally.fail(failMalformed, "an action that was not asked for")
	default:
		w.judgeUDP(s.peer, &r, now.Sub(s.sent))
	}
	return i, true
}

func (w *udpWorker) judgeUDP(k int, r *wire.UDPReply, took time.Duration) {
	a := answer{interval: uint64(r.Interval), seeders: uint64(r.Seeders), leechers: uint64(r.Leechers)}
	size := wire.Compact6
	if w.pop.local.Is4() {
		size = wire.Compact4
		a.peers4 = r.Body
	} else {
		a.peers6 = r.Body
	}
	if len(r.Body)%size != 0 {
		w.tally.fail(failMalformed, "half a peer")
		return
	}
	w.judge(k, &a, took)
}

// connectUDP gets a connection id, asking four times in the time given.
func connectUDP(conn net.Conn, timeout time.Duration) (uint64, error) {
	const tries = 4
	h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: uint32(time.Now().UnixNano())}
	buf := make([]byte, 4096)
	for range tries {
		if _, err := conn.Write(h.Append(nil)); err != nil {
			return 0, err
		}
		conn.SetReadDeadline(time.Now().Add(timeout / tries))
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return 0, err
			}
			if r, err := wire.ParseUDPReply(buf[:n]); err == nil && r.Action == wire.ActionConnect && r.TransactionID == h.TransactionID {
				return r.ConnectionID, nil
			}
		}
	}
	return 0, fmt.Errorf("no connection id in %v", timeout)
}
