package livesync

import (
	"context"
	"time"

	"starling/wire"
)

// outbox is what the sender keeps between two packets. Only the sender touches it, under the node's lock.
type outbox struct {
	batch  batch
	taken  [wire.MaxRecords4]wire.Record
	packet [wire.HeaderSize + wire.MaxTells*wire.TellSize]byte
	held   []byte    // a beacon, inquiry or tell that leaves when the live records before it have left
	kind   wire.Kind // of held
	mark   uint64    // the queue's position when held was made
	behind bool      // records put before mark may still be in the queue
}

func newOutbox(cfg *Config) outbox { return outbox{batch: newBatch(cfg.Dialect, cfg.Flush)} }

// speak sends until ctx ends, in which case it returns nil, or the membership does, which ended or the interface tells.
func (n *Node) speak(ctx context.Context, conn Conn, ended <-chan error) error {
	check := time.Now().Add(watchInterval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			n.sendLast(conn)
			return nil
		case err := <-ended:
			return err
		case <-n.wake:
		case <-timer.C:
		}
		now, more, failed := n.sendSome(conn)
		if failed || !now.Before(check) {
			if err := conn.Check(); err != nil {
				return err
			}
			check = now.Add(watchInterval)
		}
		wait := time.Duration(0)
		if !more {
			wait = earliest(check, n.due(now)).Sub(now)
		}
		timer.Reset(wait)
	}
}

// sendSome sends what is full or due. It returns the time when it was done, whether there may be more, and
// whether a packet could not be sent, after which it sends no more.
func (n *Node) sendSome(conn Conn) (now time.Time, more, failed bool) {
	for range burst {
		now = time.Now()
		pkt := n.next(now)
		if pkt == nil {
			return now, false, false
		}
		if !n.send(conn, pkt) {
			return now, true, true
		}
	}
	return now, true, false
}

// sendLast sends the records that were offered before the end.
func (n *Node) sendLast(conn Conn) {
	n.mu.Lock()
	n.outbox.held, n.outbox.mark, n.outbox.behind = nil, n.queue.mark(), true
	n.mu.Unlock()
	for {
		n.mu.Lock()
		pkt := n.nextLive(time.Now())
		n.mu.Unlock()
		if pkt == nil {
			return
		}
		n.send(conn, pkt)
	}
}

// send sends a packet, or counts that it could not be sent.
func (n *Node) send(conn Conn, pkt []byte) bool {
	err := conn.Send(pkt)
	if err != nil {
		n.mu.Lock()
		n.dropped.Send++
		n.mu.Unlock()
		n.log.Debug().Err(err).Msg("a packet was not sent")
	}
	return err == nil
}

// next returns a packet to be sent now, nil when there is none. It is valid until the next call.
//
// Live records go first. A tell is a copy of what the store counted when it was made; the
// completions in it that wait in the queue would count twice if they came after it, so everything that was
// offered by then leaves before it does.
func (n *Node) next(now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &n.outbox
	for {
		if pkt := n.nextLive(now); pkt != nil {
			return pkt
		}
		if o.held != nil {
			pkt := o.held
			o.held = nil
			n.countSent(o.kind)
			return pkt
		}
		pkt, kind, ok := n.scrape.next(now, n.ident.id, o.packet[:0])
		if !ok {
			return nil
		}
		o.held, o.kind = pkt, kind
		if kind == wire.KindTell {
			o.mark, o.behind = n.queue.mark(), true
		}
	}
}

// drain moves offered records into the batch until it has no room or the queue is empty. The caller holds n.mu.
func (n *Node) drain(now time.Time) {
	o := &n.outbox
	for room := o.batch.room(); room > 0; room = o.batch.room() {
		k := n.queue.take(o.taken[:room])
		if k == 0 {
			return
		}
		for i := range k {
			o.batch.add(now, &o.taken[i])
		}
	}
}

// nextLive returns a packet of records that is full, due, or made to leave because what was offered before the mark
// is to go; nil when there is none. The caller holds n.mu.
func (n *Node) nextLive(now time.Time) []byte {
	o := &n.outbox
	n.drain(now)
	if o.behind && n.queue.passed(o.mark) {
		o.batch.leave()
		o.behind = false
	}
	pkt, records := o.batch.next(now, n.ident.id)
	if pkt != nil {
		n.sent.Packets++
		n.sent.Records += uint64(records)
	}
	return pkt
}

// countSent counts a packet that carries no records. The caller holds n.mu.
func (n *Node) countSent(kind wire.Kind) {
	n.sent.Packets++
	switch kind {
	case wire.KindBeacon:
		n.sent.Beacons++
	case wire.KindInquire:
		n.sent.Inquiries++
	case wire.KindTell:
		n.sent.Tells++
	}
}

// due returns when next has to be called again, the zero time for not before something is offered or heard.
func (n *Node) due(now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := &n.outbox.batch
	if !n.queue.sleep(b.four.n == 0, b.six.n == 0, b.room()) {
		return now
	}
	return earliest(b.due(), n.scrape.due())
}
