package livesync

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/livesync/catchup"
	"starling/livesync/repair"
	"starling/wire"
)

const (
	// mendMargin is how much earlier than the packet before it a record that was lost may have been announced, beside the time for
	// which it waited for company: a STATE may have been late, and a packet waits for the budget.
	mendMargin = 3 * time.Second
	// mattersAgo is how long a packet was held at least for its records to be noted as older: a node that was cut off may hold some until
	// it is back, and what they say is then no news of after the cut.
	mattersAgo = time.Second
)

// mending gets lost packets back. The node's lock guards it.
type mending struct {
	*repair.Machine
	ranges []wire.Range               // scratch
	asking [wire.MaxUnfragmented]byte // what waits in the control lane
	ripe   bool                       // the sender has to apply what was held; only the sender touches it
}

func newMending(cfg *Config, rng *rand.Rand) *mending {
	return &mending{Machine: repair.New(cfg.ID, rng), ranges: make([]wire.Range, 0, wire.MaxRanges)}
}

// believed is told that a node was proven to live in an epoch that is new to us, and the sequence of the first packet of records that
// it had not sent when we heard of the epoch, at since. What it sent before that is not asked for, in an earlier life we may have applied it: it is caught
// up. The caller holds n.mu.
func (n *Node) believed(now time.Time, sender *node, first uint32, since time.Time) {
	sender.life.first = first
	n.keyed.mending.Open(now, sender.id, sender.life.epoch, first, since)
	n.log.Info().Stringer("node", sender.id).Stringer("address", sender.address).Uint64("epoch", sender.life.epoch).
		Msg("a node has shown that it has the cluster key and lives")
}

// mend takes in a packet b of a believed node: records are applied in the order in which they were sent, each once; and whatever came
// may have ended the wait for what is missing. The caller holds n.order.
func (n *Node) mend(now time.Time, sender *node, p *wire.Packet, from netip.AddrPort, b []byte) {
	m := n.keyed.mending
	v := repair.Held
	n.mu.Lock()
	if p.Kind == wire.KindLive4 || p.Kind == wire.KindLive6 {
		v = m.Data(now, p.From, p.Epoch, p.Seq, b)
		switch v {
		case repair.Duplicate:
			n.again(now, p.From, from, &n.dropped.Duplicate)
		case repair.Late, repair.Unknown:
			n.dropped.Late++
		case repair.Refused:
			n.dropped.Refused++
		}
		if v != repair.Apply {
			n.poke() // what is missing has a deadline
		}
	}
	waits, late := m.Waits(), sender.life.lags.late()
	n.mu.Unlock()
	if v == repair.Apply {
		n.applyLate(now, late, sender, p)
	}
	if waits {
		n.ripen(now)
	}
}

// ripen applies what was held and waits for nothing any more, and passes on what is lost. The caller holds n.order.
func (n *Node) ripen(now time.Time) {
	for {
		sender, p, ago := n.held(now)
		if sender == nil {
			return
		}
		n.applyLate(now, ago, sender, &p)
	}
}

// applyLate applies a packet that was sent so long ago. The caller holds n.order.
func (n *Node) applyLate(now time.Time, ago time.Duration, sender *node, p *wire.Packet) {
	if n.catch == nil || ago < mattersAgo {
		n.apply(now, sender, p)
		return
	}
	n.applyHeard(now)
	n.ago = ago
	n.apply(now, sender, p)
	n.applyHeard(now)
	n.ago = 0
}

// held returns the next packet that was held and is to be applied now, its sender's entry, nil when there is none, and how long ago it arrived.
func (n *Node) held(now time.Time) (*node, wire.Packet, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.keyed.mending
	n.passLost(now)
	b, ago := m.Ready(now)
	if b == nil {
		return nil, wire.Packet{}, 0
	}
	p, _ := wire.ParsePacket(b) // it was parsed before
	sender := n.nodes.byID[p.From]
	if sender == nil {
		sender = &node{id: p.From} // forgotten meanwhile
	}
	return sender, p, max(ago, sender.life.lags.late())
}

// passLost passes on what was given up. The caller holds n.mu.
func (n *Node) passLost(now time.Time) {
	m := n.keyed.mending
	for id, since, lost := m.Lost(); lost; id, since, lost = m.Lost() {
		if n.behind != nil {
			n.behind(now, id, since.Add(-mendMargin-n.cfg.Flush-n.late(id)))
		}
	}
}

// late returns how late we are with the packets of a node: what is lost was sent that much earlier than those before it came. The caller holds n.mu.
func (n *Node) late(id wire.NodeID) time.Duration {
	if o := n.nodes.byID[id]; o != nil {
		return o.life.lags.late()
	}
	return 0
}

// knows returns how far we know what the others told that we hear. The caller holds n.mu.
func (n *Node) knows(now time.Time) (all []catchup.Known) {
	n.passLost(now)
	for _, o := range n.nodes.sorted(now) {
		if o.life.epoch != 0 {
			next, at := n.keyed.mending.InStep(o.id)
			all = append(all, catchup.Known{ID: o.id, Epoch: o.life.epoch, Next: next, Age: max(now.Sub(at), 0) + n.cfg.Flush})
		}
	}
	return all
}

// heedControl deals with what a believed node says of packets. The caller holds n.mu.
func (n *Node) heedControl(now time.Time, sender *node, p *wire.Packet) {
	m := n.keyed.mending
	var err error
	switch p.Kind {
	case wire.KindNack:
		var nack wire.Nack
		if nack, err = p.Nack(m.ranges); err == nil {
			m.Nack(now, &nack)
		}
	case wire.KindGone:
		var gone wire.Gone
		if gone, err = p.Gone(m.ranges); err == nil {
			m.Gone(now, sender.id, &gone)
		}
	case wire.KindPromise:
		var promise wire.Promise
		if promise, err = p.Promise(m.ranges); err == nil {
			m.Promise(now, &promise)
		}
	case wire.KindEdits:
		err = n.heedEdits(now, sender, p)
	case wire.KindBye:
		var bye wire.Bye
		if bye, err = p.Bye(); err == nil {
			sender.life.bye = true
			n.left(sender.id)
			m.Bye(now, sender.id, p.Epoch, bye.Next)
		}
	}
	if err != nil {
		n.dropped.Short++
	}
}

// skip uses up the sequence of a packet of records that were offered at since or later and discarded, so that the
// others see a gap. The caller holds n.mu.
func (n *Node) skip(since time.Time) {
	k := n.keyed
	seq := k.sealer.Burn(wire.SpaceData)
	k.mending.Discarded(since, k.sealer.Epoch(), seq)
}

// sealed is told of a packet of records that leaves. The caller holds n.mu.
func (n *Node) sealed(now time.Time, pkt []byte) {
	k := n.keyed
	k.mending.Sent(now, k.sealer.Epoch(), k.sealer.Next(wire.SpaceData)-1, pkt)
}

// fillAsking puts a NACK, GONE or PROMISE that is due into the control lane, in which nothing waits: what is missing by the time the
// lane is free is asked for in one. The caller holds n.mu.
func (n *Node) fillAsking(now time.Time) {
	if n.keyed == nil {
		return
	}
	m, w := n.keyed.mending, &n.outbox.lanes[ControlLane]
	if b, kind := m.Control(now, m.asking[:0]); kind != wire.KindEmpty {
		w.pkt, w.kind = b, kind
	}
	m.ripe = m.ripe || m.Waits()
}

// fillRepair puts the next packet that is to be sent again into the repair lane, in which nothing waits, and reports whether there is
// one. The caller holds n.mu.
func (n *Node) fillRepair(now time.Time) bool {
	w := &n.outbox.lanes[RepairLane]
	if w.pkt == nil && n.keyed != nil {
		w.pkt = n.keyed.mending.Resend(now)
	}
	return w.pkt != nil
}

// mendDue returns when fillAsking or fillRepair has something to do. The caller holds n.mu.
func (n *Node) mendDue() (due time.Time) {
	if n.keyed == nil {
		return due
	}
	if n.outbox.lanes[ControlLane].pkt == nil {
		due = n.keyed.mending.ControlDue()
	}
	if n.outbox.lanes[RepairLane].pkt == nil {
		due = earliest(due, n.keyed.mending.ResendDue())
	}
	return due
}

// applyRipe applies what the sender has given up waiting for.
func (n *Node) applyRipe(now time.Time) {
	if n.keyed == nil || !n.keyed.mending.ripe {
		return
	}
	m := n.keyed.mending
	m.ripe = false
	n.order.Lock()
	defer n.order.Unlock()
	n.ripen(now)
	n.applyHeard(now)
}
