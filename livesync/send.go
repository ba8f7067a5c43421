package livesync

import (
	"context"
	"time"

	"starling/wire"
)

// outbox is what the sender keeps between two packets. Only the sender touches it, under the node's lock.
type outbox struct {
	batch   batch
	taken   [wire.MaxRecords4]wire.Record
	control [wire.BeaconSize]byte
	tell    [wire.HeaderSize + wire.MaxTells*wire.TellSize]byte
	lanes   [lanes]waiting
	mark    uint64 // the queue's position when the tell that waits was made
	behind  bool   // records put before mark may still be in the queue
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
			wait = earliest(check, n.Due(now)).Sub(now)
		}
		timer.Reset(wait)
	}
}

// sendSome sends what is full or due. It returns the time when it was done, whether there may be more, and
// whether a packet could not be sent, after which it sends no more.
func (n *Node) sendSome(conn Conn) (now time.Time, more, failed bool) {
	for range burst {
		now = time.Now()
		pkt := n.Next(now)
		if pkt == nil {
			return now, false, false
		}
		if !n.send(conn, pkt) {
			return now, true, true
		}
	}
	return now, true, false
}

// sendLast sends what is left to be said at the end.
func (n *Node) sendLast(conn Conn) {
	now := time.Now()
	n.End(now)
	for pkt := n.Next(now); pkt != nil; pkt = n.Next(now) {
		n.send(conn, pkt)
	}
}

// nextLast returns the next packet of the last records, nil when all have left.
func (n *Node) nextLast(now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.fillLive(now) {
		return nil
	}
	return n.leave(LiveLane)
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
// offered by then leaves before it does. While the budget makes records wait, so does the tell behind them, and nothing
// is taken out of the queue, which gives up its oldest records when it is full. Beacons and inquiries wait for nobody.
func (n *Node) next(now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &n.outbox
	for {
		live := n.fillLive(now)
		if live {
			if pkt := n.pay(now, LiveLane); pkt != nil {
				return pkt
			}
		}
		if n.fillControl(now) {
			if pkt := n.pay(now, ControlLane); pkt != nil {
				return pkt
			}
		}
		switch {
		case live:
			return nil
		case o.lanes[TellLane].pkt != nil:
			return n.pay(now, TellLane)
		case !n.fillTell(now):
			return nil
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

// fillLive puts a packet of records that is full, due, or made to leave because what was offered before the mark is to
// go into its lane, unless one waits there, and reports whether one does now. The caller holds n.mu.
func (n *Node) fillLive(now time.Time) bool {
	o := &n.outbox
	w := &o.lanes[LiveLane]
	if w.pkt != nil {
		return true
	}
	n.drain(now)
	if o.behind && n.queue.passed(o.mark) {
		o.batch.leave()
		o.behind = false
	}
	w.pkt, w.records = o.batch.next(now, n.ident.id)
	return w.pkt != nil
}

// fillControl does the same for a beacon or an inquiry.
func (n *Node) fillControl(now time.Time) bool {
	w := &n.outbox.lanes[ControlLane]
	if w.pkt == nil {
		w.pkt, w.kind = n.scrape.nextControl(now, n.ident.id, n.outbox.control[:0])
	}
	return w.pkt != nil
}

// fillTell makes the next tell, if one is due, and makes everything offered until now leave before it. The caller holds n.mu.
func (n *Node) fillTell(now time.Time) bool {
	o := &n.outbox
	w := &o.lanes[TellLane]
	w.pkt, w.kind = n.scrape.nextTell(now, n.ident.id, o.tell[:0]), wire.KindTell
	if w.pkt != nil {
		o.mark, o.behind = n.queue.mark(), true
	}
	return w.pkt != nil
}

// due returns when next has to be called again, the zero time for not before something is offered or heard.
func (n *Node) due(now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &n.outbox
	control := o.lanes[ControlLane].at
	if o.lanes[ControlLane].pkt == nil {
		control = n.scrape.controlDue()
	}
	if w := &o.lanes[LiveLane]; w.pkt != nil {
		return earliest(w.at, control)
	}
	if !n.queue.sleep(o.batch.four.n == 0, o.batch.six.n == 0, o.batch.room()) {
		return now
	}
	tell := o.lanes[TellLane].at
	if o.lanes[TellLane].pkt == nil {
		tell = n.scrape.tellDue()
	}
	return earliest(o.batch.due(), control, tell)
}
