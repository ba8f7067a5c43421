package repair

import (
	"math/rand/v2"
	"slices"
	"time"

	"starling/wire"
)

const (
	// maxPeers is how many senders are listened to, as many as there is room for in the table of nodes.
	maxPeers = 256
	// keepSilent is how long packets of a silent sender are kept.
	keepSilent = 2 * bound
)

// Machine is repair's part of one node. It is not safe for concurrent use. After any call that takes something in, and after
// [Machine.Control], there may be packets in [Machine.Ready]; they come before the next one that is to be applied.
type Machine struct {
	id      wire.NodeID // ours
	ring    ring
	queue   queue
	store   store
	byID    map[wire.NodeID]*peer
	peers   []*peer   // all of byID in the order in which they came, so that nothing depends on that of a map
	ready   []*window // those that may have something to be applied
	pending []pending
	ranges  []wire.Range // scratch
	out     packet       // what was returned last to be sent again
	echo    wire.Nack    // what was asked for more than once and is asked for once more
	echoAt  time.Time    // when; zero: never
	cuts    []cut        // nodes of which something was given up
}

// cut says that something that a node sent at since or later was given up.
type cut struct {
	id    wire.NodeID
	since time.Time
}

// peer is another node.
type peer struct {
	id       wire.NodeID
	epoch    uint64
	w        *window
	heard    time.Time // the last sign of life that only itself can have given
	asked    time.Time // when somebody asked it for something for the first time since then; zero: nobody did
	promised time.Time // when somebody promised to send its packets again
	departed bool      // it said BYE
}

// New returns a machine for node id that has sent and heard nothing.
func New(id wire.NodeID, rng *rand.Rand) *Machine {
	return &Machine{id: id, store: store{rng: rng}, byID: make(map[wire.NodeID]*peer)}
}

// Rename is told that this node has another id from now on. What it sent under the old one cannot be asked for any more.
func (m *Machine) Rename(id wire.NodeID) {
	m.queue.drop(m.id, m.ring.epoch, []wire.Range{everything})
	m.id, m.ring = id, ring{}
}

// everything is the range of all numbers.
var everything = wire.Range{Last: 1<<32 - 1}

// Sent is told of a packet of ours that has just left, and keeps a copy. Sequences ascend within an epoch, and each is told
// of once, here or to [Machine.Discarded].
func (m *Machine) Sent(now time.Time, epoch uint64, seq uint32, pkt []byte) {
	m.ring.keep(now, epoch, seq, pkt)
	m.queue.sentLive(now)
}

// Discarded is told of a sequence that was used up for records that were discarded.
func (m *Machine) Discarded(now time.Time, epoch uint64, seq uint32) { m.ring.use(now, epoch, seq) }

// Open is told that a node was proven to be in an epoch, of which next is the first packet that is wanted; none of those was
// sent before since. What is missing of an older epoch is given up. Nothing happens when the epoch is open already. When there
// are too many nodes the one that was silent longest is forgotten.
func (m *Machine) Open(now time.Time, id wire.NodeID, epoch uint64, next uint32, since time.Time) {
	p := m.byID[id]
	var counts Counts
	switch {
	case p == nil:
		if len(m.peers) >= maxPeers {
			m.Forget(slices.MinFunc(m.peers, func(a, b *peer) int { return a.heard.Compare(b.heard) }).id)
		}
		p = new(peer)
		m.byID[id] = p
		m.peers = append(m.peers, p)
	case p.epoch == epoch:
		return
	default:
		m.close(p)
		counts = p.w.Counts
	}
	*p = peer{id: id, epoch: epoch, w: newWindow(since, &m.store, next), heard: now}
	p.w.Counts = counts
}

// Forget is told that a node is not listened to any more.
func (m *Machine) Forget(id wire.NodeID) {
	if p := m.byID[id]; p != nil {
		m.close(p)
		delete(m.byID, id)
		m.peers = slices.DeleteFunc(m.peers, func(o *peer) bool { return o == p })
	}
}

// close gives up what is missing of a node. Its window stays until what it held was applied.
func (m *Machine) close(p *peer) {
	m.cancel(p, everything)
	p.w.abandon()
	p.w.closed = true
	m.settle(p)
}

// Counts returns what became of the packets of a node.
func (m *Machine) Counts(id wire.NodeID) Counts {
	if p := m.byID[id]; p != nil {
		return p.w.Counts
	}
	return Counts{}
}

// Next returns the sequence below which everything of a node was applied or given up.
func (m *Machine) Next(id wire.NodeID) uint32 {
	if p := m.byID[id]; p != nil {
		return p.w.next
	}
	return 0
}

// InStep returns the same and when all was here last that the node had sent.
func (m *Machine) InStep(id wire.NodeID) (next uint32, at time.Time) {
	p := m.byID[id]
	switch {
	case p == nil:
		return 0, at
	case len(p.w.gaps) > 0:
		return p.w.next, p.w.gaps[0].after
	}
	return p.w.next, p.w.raised
}

// Dropped returns how many packets were to be sent again and found no room to wait: they will be asked for again.
func (m *Machine) Dropped() uint64 { return m.queue.dropped }

// of returns a node that is in an epoch, nil when it is not.
func (m *Machine) of(id wire.NodeID, epoch uint64) *peer {
	if p := m.byID[id]; p != nil && p.epoch == epoch {
		return p
	}
	return nil
}

// settle sees to it that what a node's window has given back or given up is found.
func (m *Machine) settle(p *peer) {
	w := p.w
	if w.cut {
		w.cut = false
		i := slices.IndexFunc(m.cuts, func(c cut) bool { return c.id == p.id })
		switch {
		case i < 0:
			m.cuts = append(m.cuts, cut{p.id, w.since})
		case w.since.Before(m.cuts[i].since):
			m.cuts[i].since = w.since
		}
	}
	if !w.waiting && (w.held > 0 || w.closed) {
		w.waiting = true
		m.ready = append(m.ready, w)
	}
}

// Waits reports whether there may be something in Ready or Lost.
func (m *Machine) Waits() bool { return len(m.ready) > 0 || len(m.cuts) > 0 }

// Ready returns the next packet that was held and is to be applied now, and how long ago it arrived; nil when there is none. It is
// valid until the next call.
func (m *Machine) Ready(now time.Time) (pkt []byte, ago time.Duration) {
	for len(m.ready) > 0 {
		w := m.ready[0]
		if p := w.ready(); p != nil {
			return p.bytes(), time.Duration(m.store.clock(now) - p.at)
		}
		w.waiting = false
		m.ready = slices.Delete(m.ready, 0, 1)
		if w.closed {
			w.release()
		}
	}
	return nil, 0
}

// Lost returns a node of which something was given up since it was returned last, and when the earliest of that was sent at the
// earliest. It is to be called until there is none.
func (m *Machine) Lost() (id wire.NodeID, since time.Time, lost bool) {
	n := len(m.cuts)
	if n == 0 {
		return id, since, false
	}
	c := m.cuts[n-1]
	m.cuts = m.cuts[:n-1]
	return c.id, c.since, true
}

// Control appends the next control packet that is due to b, without its trailer, and says of which kind it is. There is none
// when nothing was appended.
func (m *Machine) Control(now time.Time, b []byte) ([]byte, wire.Kind) {
	if g, ok := m.ring.answer(now); ok {
		return g.Append(b, m.id), wire.KindGone
	}
	if pr, ok := m.promise(now); ok {
		return pr.Append(b, m.id), wire.KindPromise
	}
	for _, p := range m.peers {
		if p.w.tail < p.w.next && now.Sub(p.heard) >= keepSilent && p.w.held == 0 {
			p.w.release()
		}
		ranges, origin, repeats := p.w.poll(now, m.ranges[:0])
		m.ranges = ranges
		m.settle(p)
		if len(ranges) == 0 {
			continue
		}
		n := wire.Nack{Target: p.id, Epoch: p.epoch, Origin: origin && !p.silent(now), Ranges: ranges}
		p.wasAsked(now)
		if repeats {
			again := append(m.echo.Ranges[:0], ranges...)
			m.echo, m.echoAt = n, now.Add(echo)
			m.echo.Ranges = again
		}
		return n.Append(b, m.id), wire.KindNack
	}
	if !m.echoAt.IsZero() && !now.Before(m.echoAt) {
		m.echoAt = time.Time{}
		return m.echo.Append(b, m.id), wire.KindNack
	}
	return b, wire.KindEmpty
}

// Resend returns the next packet that is to be sent again now, nil when there is none. It is valid until the next call.
func (m *Machine) Resend(now time.Time) []byte {
	for {
		k, ok := m.queue.take(now)
		if !ok {
			return nil
		}
		if pkt := m.find(now, k); pkt != nil {
			m.out.n = copy(m.out.b[:], pkt)
			return m.out.bytes()
		}
		m.queue.tokens++ // it fell out of the ring while it waited
	}
}

// find returns a packet that is to be sent again, nil when it is not here any more.
func (m *Machine) find(now time.Time, k key) []byte {
	if k.id == m.id {
		s := m.ring.find(k.epoch, k.seq)
		if s == nil || s.pkt == nil {
			return nil
		}
		s.repeated = now
		return s.pkt.bytes()
	}
	if p := m.of(k.id, k.epoch); p != nil {
		return p.w.kept(now, k.seq)
	}
	return nil
}

// ControlDue returns when Control has to be called again, the zero time for not before something is heard.
func (m *Machine) ControlDue() (due time.Time) {
	if len(m.ring.gone.Ranges) > 0 {
		due = m.ring.due
	}
	due = earlier(due, m.echoAt)
	for i := range m.pending {
		due = earlier(due, m.pending[i].at)
	}
	for _, p := range m.peers {
		due = earlier(due, p.w.due)
	}
	return due
}

// ResendDue returns when Resend has to be called again, the zero time when nothing is to be sent again.
func (m *Machine) ResendDue() time.Time { return m.queue.due() }

// earlier returns the earlier of two times that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
