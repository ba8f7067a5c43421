package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"starling/wire"
	"starling/wire/mmsg"
)

const (
	// window is how many requests one socket has in flight at most in a closed loop.
	window = 16
	// receiveBuffer is what is asked for as receive buffer, in bytes; the system grants up to net.core.rmem_max. The 200 kB that are usual hold no more
	// than some 160 answers: whoever is not on a core for 10 ms would lose others, and blame the tracker.
	receiveBuffer = 4 << 20
	// moved is how many packets are read or sent by one system call at most.
	moved = 32
	// maxAnswer is the longest answer that is read: one with 200 peers is a third of it.
	maxAnswer = 4096
	// connectEvery is how old a connection id may grow (BEP 15).
	connectEvery = time.Minute
	// connectSlot is what a connect request has for the number of a slot.
	connectSlot = maxInFlight
)

// A slot is one request in flight.
type slot struct {
	transaction uint32 // of the request last made; the number of the slot is in its lower half
	busy        bool
	deed        deed
	at          time.Time // when it was to be made, from which its latency counts
	sent        time.Time
	packet      []byte
}

// udpWorker makes requests over one connected socket, many at a time. In a closed loop one goroutine reads the answers that are there and makes as many
// requests; in an open loop a second one makes those that are due.
type udpWorker struct {
	*worker
	conn    net.Conn
	pace    *pace
	urlData []byte // BEP 41 options
	in      *mmsg.Reader

	mu        sync.Mutex // guards all below, and what a worker has; taken once a packet, and by two goroutines only in an open loop
	id        uint64     // connection id
	connected time.Time
	slots     []slot
	free      []int // slots that are not busy
	connect   slot
	out       *mmsg.Writer
	unsent    []int // the slots whose requests wait in out
}

func newUDPWorker(w *worker, inFlight int) *udpWorker {
	u := &udpWorker{
		worker:  w,
		slots:   make([]slot, inFlight),
		urlData: wire.AppendURLDataOptions(nil, w.cfg.Target.RequestURI()),
	}
	for i := range u.slots {
		u.slots[i].transaction = uint32(i)
		u.free = append(u.free, i)
	}
	u.connect.transaction = connectSlot
	if w.phase.pace != nil {
		after := time.Duration(float64(w.number) * float64(time.Second) / w.cfg.Rate) // one worker after the other
		u.pace = newPace(w.cfg.Rate/float64(w.workers), w.phase.start.Add(after))
	}
	return u
}

func (w *udpWorker) loop() {
	defer w.flush()
	for !w.dial() {
		if w.stop.Load() {
			return
		}
	}
	defer w.conn.Close()
	if w.pace != nil {
		var sender sync.WaitGroup
		sender.Go(w.send)
		defer sender.Wait()
	}
	for {
		now := time.Now()
		if !w.sweep(now) {
			return
		}
		// Deadlines are kept by the sweep; reading stops often enough for it, and no deadline is set per packet.
		until := now.Add(min(w.cfg.Timeout/4, maxNap))
		w.conn.SetReadDeadline(until)
		w.exchange(until)
	}
}

// dial makes the socket and gets a connection id.
func (w *udpWorker) dial() bool {
	d := net.Dialer{Timeout: w.cfg.Timeout}
	if source := w.source(); source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.Dial("udp", w.remote.String())
	if err != nil {
		w.trouble(failConnect, err.Error())
		return false
	}
	id, err := connectUDP(conn, w.cfg.Timeout)
	want := w.pop.sources[w.number%len(w.pop.sources)].AddrPort().Addr()
	if local, perr := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil && (perr != nil || local.Addr().Unmap().WithZone("") != want) {
		err = fmt.Errorf("from another address: %v", conn.LocalAddr())
	}
	if err != nil {
		conn.Close()
		w.trouble(failConnect, err.Error())
		return false
	}
	udp := conn.(*net.UDPConn)
	raw, err := udp.SyscallConn()
	if err == nil {
		err = udp.SetReadBuffer(receiveBuffer)
	}
	if err != nil {
		conn.Close()
		w.trouble(failConnect, err.Error())
		return false
	}
	w.in, w.out = mmsg.NewReader(raw, min(len(w.slots), moved), maxAnswer), mmsg.NewWriter(raw, moved)
	w.conn, w.id, w.connected = conn, id, time.Now()
	return true
}

// sweep gives up what was not answered in time, makes requests in a closed loop, and asks for a new connection id when the old one is due
// or silence says that it may not be known any more. False: the run is over and nothing is in flight.
func (w *udpWorker) sweep(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	due := now.Sub(w.connected) > connectEvery
	for i := range w.slots {
		if s := &w.slots[i]; s.busy && now.Sub(s.sent) > w.cfg.Timeout {
			w.release(i)
			w.fail(&s.deed, failTimeout, "")
			due = true
		}
	}
	if due && now.Sub(w.connect.sent) > w.cfg.Timeout {
		w.connect.transaction += 1 << 16
		w.connect.sent = now
		h := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: w.connect.transaction}
		w.conn.Write(h.Append(nil))
	}
	more := w.pace != nil
	for w.pace == nil && len(w.free) > 0 {
		if more = w.add(now, now); !more {
			break
		}
	}
	w.sendAll()
	return len(w.free) < len(w.slots) || more && !w.stop.Load()
}

// release takes a slot out of use.
func (w *udpWorker) release(i int) {
	w.slots[i].busy = false
	w.free = append(w.free, i)
}

// request makes the next request ready in a free slot, of which there must be one, and returns the slot; false: there is nothing more to do.
func (w *udpWorker) request(at, now time.Time) (int, bool) {
	d, ok := w.draw(now)
	if !ok {
		return 0, false
	}
	i := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	s := &w.slots[i]
	s.transaction += 1 << 16
	s.busy, s.deed, s.at, s.sent = true, d, at, now
	h := wire.UDPHeader{ConnectionID: w.id, Action: wire.ActionAnnounce, TransactionID: s.transaction}
	if d.scrape {
		h.Action = wire.ActionScrape
		hash := w.pop.hash(d.peer)
		s.packet = append(h.Append(s.packet[:0]), hash[:]...)
		return i, true
	}
	a := wire.UDPAnnounce{
		InfoHash: w.pop.hash(d.peer), PeerID: peerID(d.peer), Left: d.left, Event: d.event,
		NumWant: int32(w.cfg.NumWant), Port: w.pop.port(d.peer), Options: w.urlData,
	}
	s.packet = a.Append(h.Append(s.packet[:0]))
	return i, true
}

// add makes the next request, which waits to be sent; false: there is nothing more to do.
func (w *udpWorker) add(at, now time.Time) bool {
	i, ok := w.request(at, now)
	if !ok {
		return false
	}
	if len(w.unsent) == moved {
		w.sendAll()
	}
	w.unsent = append(w.unsent, i)
	w.out.Add(w.slots[i].packet, nil, nil)
	return true
}

// sendAll sends the requests that wait. One that cannot be sent has failed.
func (w *udpWorker) sendAll() {
	sent := 0
	for w.out.Waiting() > 0 {
		n, err := w.out.Send()
		sent += n
		if err != nil {
			i := w.unsent[sent]
			sent++
			w.release(i)
			w.fail(&w.slots[i].deed, failClosed, err.Error())
		}
	}
	w.unsent = w.unsent[:0]
}

// send makes requests when they are due, until the run is over. While as many are in flight as may be, those that are due wait.
func (w *udpWorker) send() {
	defer exact()()
	for !w.stop.Load() {
		now := time.Now()
		if wait := w.pace.next().Sub(now); wait > 0 {
			nap(min(wait, maxNap))
			continue
		}
		if !w.sendDue(now) {
			nap(time.Millisecond)
		}
	}
}

// sendDue makes the requests that are due, and reports whether it made any.
func (w *udpWorker) sendDue(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	any := false
	for at := w.pace.next(); len(w.free) > 0 && !at.After(now) && w.add(at, now); at = w.pace.next() {
		w.pace.made++
		any = true
	}
	w.sendAll()
	return any
}

// exchange reads answers, and in a closed loop makes a request for each, until the time given or nothing more comes.
func (w *udpWorker) exchange(until time.Time) {
	for {
		n, err := w.in.Read()
		if err != nil {
			// Somebody told us that nobody listens there.
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				w.trouble(failClosed, err.Error())
			}
			return
		}
		now := time.Now()
		if !w.receiveAll(n, now) || now.After(until) {
			return
		}
	}
}

// receiveAll judges the packets that were read, and in a closed loop makes a request for each slot that they free. False: there is nothing more to do.
func (w *udpWorker) receiveAll(n int, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	more := true
	for i := range n {
		if w.receive(w.in.Bytes(i), now) && w.pace == nil {
			more = w.add(now, now) && more
		}
	}
	w.sendAll()
	return more
}

// receive judges a packet and reports whether it has freed a slot. One that belongs to no slot is an answer that comes after its time, and no concern.
func (w *udpWorker) receive(b []byte, now time.Time) (freed bool) {
	if len(b) < 8 {
		return false
	}
	transaction := binary.BigEndian.Uint32(b[4:])
	if transaction == w.connect.transaction {
		if r, err := wire.ParseUDPReply(b); err == nil && r.Action == wire.ActionConnect {
			w.id, w.connected = r.ConnectionID, now
		}
		return false
	}
	i := int(transaction & 0xffff)
	if i >= len(w.slots) || w.slots[i].transaction != transaction || !w.slots[i].busy {
		return false
	}
	s := &w.slots[i]
	w.release(i)
	r, err := wire.ParseUDPReply(b)
	asked := uint32(wire.ActionAnnounce)
	if s.deed.scrape {
		asked = wire.ActionScrape
	}
	switch {
	case err != nil:
		w.fail(&s.deed, failMalformed, err.Error())
	case r.Action == wire.ActionError:
		w.fail(&s.deed, failRefused, string(r.Body))
	case r.Action != asked:
		w.fail(&s.deed, failMalformed, "an action that was not asked for")
	case r.Action == wire.ActionScrape && len(r.Body) != wire.UDPScrapeEntrySize:
		w.fail(&s.deed, failMalformed, "not the counts of one torrent")
	case r.Action == wire.ActionScrape:
		seeders, _, leechers := r.ScrapeEntry(0)
		w.judge(&s.deed, &answer{seeders: uint64(seeders), leechers: uint64(leechers)}, now, now.Sub(s.at))
	default:
		w.judgeAnnounce(s, &r, now)
	}
	return true
}

func (w *udpWorker) judgeAnnounce(s *slot, r *wire.UDPReply, now time.Time) {
	a := answer{interval: uint64(r.Interval), seeders: uint64(r.Seeders), leechers: uint64(r.Leechers)}
	size := wire.Compact6
	if w.pop.sources[0].Is4() {
		size = wire.Compact4
		a.peers4 = r.Body
	} else {
		a.peers6 = r.Body
	}
	if len(r.Body)%size != 0 {
		w.fail(&s.deed, failMalformed, "half a peer")
		return
	}
	w.judge(&s.deed, &a, now, now.Sub(s.at))
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
