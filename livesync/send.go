package livesync

import (
	"context"
	"slices"
	"time"

	"starling/wire"
)

// outbox is what the sender keeps between two packets. Only the sender touches it, under the node's lock.
type outbox struct {
	batch   batch
	control line // packets that have not asked the budget yet, as those below
	scratch [wire.MaxUnfragmented]byte
	editing [wire.MaxUnfragmented]byte // what waits in the control lane, of package edits
	tell    [wire.MaxPacket]byte
	lanes   [lanes]waiting
	need    need      // what the link needs per packet
	backlog uint64    // the records put before waited for the interface: they leave no faster than the link needs
	grantAt time.Time // while the interface is away and a packet's worth was given up: when the next may be
}

func newOutbox(cfg *Config) outbox {
	fit := plainLimits
	if len(cfg.Keys) > 0 {
		fit = keyedLimits
	}
	return outbox{batch: newBatch(cfg.Dialect, cfg.Flush, fit)}
}

// speak sends until ctx ends, in which case it returns nil, or the membership does, which ended or the interface tells.
func (n *Node) speak(ctx context.Context, conn batchConn, ended <-chan error) error {
	check := time.Now().Add(watchInterval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	n.sendUnsent(conn)
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

// sendSome sends what is full or due, in one burst. It returns the time when that was over, whether there may be more, and
// whether a packet could not be sent.
func (n *Node) sendSome(conn batchConn) (now time.Time, more, failed bool) {
	now = time.Now()
	pkts := n.collect(now)
	if len(pkts) == 0 {
		return now, false, false
	}
	failed = !n.send(conn, pkts)
	n.relay(pkts)
	took := time.Since(now)
	if !failed {
		n.mu.Lock()
		n.outbox.need.sent(now, len(pkts), took)
		n.mu.Unlock()
	}
	return now.Add(took), len(pkts) == burst, failed
}

// collect returns what is to be sent now, a burst at most. It is valid until the next call.
func (n *Node) collect(now time.Time) [][]byte {
	pkts := n.pkts[:0]
	for len(pkts) < burst {
		pkt := n.Next(now)
		if pkt == nil {
			break
		}
		i := len(pkts)
		pkts = pkts[:i+1]
		pkts[i] = append(pkts[i][:0], pkt...)
	}
	return pkts
}

// sendUnsent sends the records that were under way when the last membership ended.
func (n *Node) sendUnsent(conn batchConn) {
	pkts := n.unsent
	n.unsent = nil
	n.send(conn, pkts)
}

// sendLast sends what is left to be said at the end, and stays until the farewell is over.
func (n *Node) sendLast(conn batchConn) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	now := time.Now()
	for n.End(now); ; now = time.Now() {
		for pkts := n.collect(now); len(pkts) > 0; pkts = n.collect(now) {
			n.send(conn, pkts)
			n.relay(pkts)
		}
		due := n.Due(now)
		if due.IsZero() {
			return
		}
		timer.Reset(due.Sub(now))
		select {
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// nextLast returns the next packet of the last records, nil when all have left.
func (n *Node) nextLast(now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fillLive(now) {
		return n.leave(now, LiveLane)
	}
	return n.nextFarewell(now)
}

// send sends packets, and counts those that could not be sent, unless that is so because the membership is over: then what
// has records is kept for the next one. It reports whether all were sent.
func (n *Node) send(conn batchConn, pkts [][]byte) bool {
	all := true
	for len(pkts) > 0 {
		sent, err := conn.SendBatch(pkts)
		pkts = pkts[sent:]
		if err == nil {
			continue
		}
		all = false
		if conn.Check() != nil {
			n.unsent = slices.DeleteFunc(pkts, func(b []byte) bool {
				p, err := wire.ParsePacket(b)
				return err != nil || p.Kind != wire.KindLive4 && p.Kind != wire.KindLive6
			})
			break
		}
		n.mu.Lock()
		n.dropped.Send++
		n.mu.Unlock()
		n.log.Debug().Err(err).Msg("a packet was not sent")
		pkts = pkts[1:]
	}
	return all
}

// next returns a packet to be sent now, nil when there is none. It is valid until the next call.
//
// The lanes are looked at in their order, and none waits for another's tokens, but for one: a tell is a copy of what the
// store counted when it was made; the completions in it that wait in the queue would count twice if they came after it, so
// everything that was offered by then leaves before it does. While the budget makes records wait, so does the tell behind
// them: it is its producer that waits, since the next tell is not made before. Nothing but a full packet is taken out of the
// queue meanwhile. Of tells one leaves at a time, so that a record waits for one at most.
func (n *Node) next(now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.catch != nil {
		n.catch.tick(now)
	}
	if n.trouble != "" {
		n.giveUp(now)
		return nil
	}
	for {
		if n.fillControl(now) {
			if pkt := n.pay(now, ControlLane); pkt != nil {
				return pkt
			}
		}
		live := n.fillLive(now)
		if live {
			if pkt := n.pay(now, LiveLane); pkt != nil {
				return pkt
			}
		}
		if n.fillRepair(now) {
			if pkt := n.pay(now, RepairLane); pkt != nil {
				return pkt
			}
		}
		switch {
		case live:
			return nil
		case n.outbox.lanes[TellLane].pkt != nil:
			return n.pay(now, TellLane)
		case !n.fillTell(now):
			return nil
		}
	}
}

// fillControl puts the packet at the front of the control line to the front of its lane, unless one is there already, and
// reports whether one is now. The caller holds n.mu, as for the others.
func (n *Node) fillControl(now time.Time) bool {
	o := &n.outbox
	if k := n.keyed; k != nil && k.state.due(now, n.rng) {
		n.say(wire.KindState, wire.NodeID{}, n.appendState(now, o.scratch[:0]))
	}
	for {
		pkt, kind, about := n.scrape.nextControl(now, n.ident.id, o.scratch[:0])
		if pkt == nil {
			break
		}
		n.say(kind, about, pkt)
	}
	w := &o.lanes[ControlLane]
	if w.pkt == nil {
		w.pkt, w.kind = o.control.take()
	}
	if w.pkt == nil {
		n.fillAsking(now)
	}
	if w.pkt == nil {
		n.fillEdits(now)
	}
	return w.pkt != nil
}

// fillLive does the same for a packet of records that is full, due, or made to leave. What was given up before comes before it.
func (n *Node) fillLive(now time.Time) bool {
	o := &n.outbox
	w := &o.lanes[LiveLane]
	if w.pkt != nil {
		return true
	}
	n.reportGap()
	if now.Before(w.at) {
		return true
	}
	w.at = time.Time{}
	w.pkt, w.records = o.batch.next(now, n.ident.id)
	return w.pkt != nil
}

// reportGap tells whoever wants to know of the records that were given up since it was called last.
func (n *Node) reportGap() {
	records, since := n.queue.takeGap()
	if n.gap == nil {
		return
	}
	for ; records > 0; records -= n.queue.full[0] {
		n.gap(since)
	}
}

// fillTell makes the next tell, if one is due, and makes everything offered until now leave before it.
func (n *Node) fillTell(now time.Time) bool {
	o := &n.outbox
	w := &o.lanes[TellLane]
	w.pkt, w.kind = n.scrape.nextTell(now, n.ident.id, o.tell[:0]), wire.KindTell
	if w.pkt != nil {
		o.batch.leave()
	}
	return w.pkt != nil
}

// giveUp lets a full queue give up a packet's worth, while the interface is away, no faster than the link needed for
// one. The caller holds n.mu.
func (n *Node) giveUp(now time.Time) {
	n.reportGap()
	o := &n.outbox
	switch {
	case n.queue.granted():
		o.grantAt = time.Time{}
	case o.grantAt.IsZero():
		o.grantAt = now.Add(o.need.packet())
	case !now.Before(o.grantAt):
		o.grantAt = time.Time{}
		n.queue.allow()
	}
}

// due returns when next has to be called again, the zero time for not before something is offered or heard.
func (n *Node) due(now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &n.outbox
	switch {
	case n.ending:
		return n.farewellDue(now)
	case n.trouble != "":
		return o.grantAt
	}
	first := n.scrape.controlDue()
	if n.keyed != nil {
		first = earliest(first, n.keyed.state.at)
	}
	for _, lane := range [...]Lane{ControlLane, RepairLane} {
		first = earliest(first, o.lanes[lane].at)
	}
	first = earliest(first, n.mendDue(), n.catchDue(now), n.editsDue())
	if len(o.control.messages) > 0 && o.lanes[ControlLane].pkt == nil {
		return now
	}
	if w := &o.lanes[LiveLane]; !w.at.IsZero() {
		return earliest(first, w.at)
	}
	if !o.batch.sleep() {
		return now
	}
	tell := o.lanes[TellLane].at
	if o.lanes[TellLane].pkt == nil {
		tell = n.scrape.tellDue()
	}
	return earliest(first, o.batch.due[0], o.batch.due[1], tell)
}
