package repair

import (
	"time"

	"starling/wire"
)

// Data takes in a packet of records whose tag is right, and says whether it is to be applied now.
func (m *Machine) Data(now time.Time, id wire.NodeID, epoch uint64, seq uint32, pkt []byte) Verdict {
	p := m.of(id, epoch)
	if p == nil || len(pkt) > wire.MaxUnfragmented {
		return Unknown
	}
	top := p.w.top
	v := p.w.take(now, seq, pkt)
	if p.w.top > top {
		p.lives(now)
	} else {
		m.repeated(now, p, seq, v)
	}
	if v != Apply || p.w.held > 0 {
		m.settle(p)
	}
	return v
}

// repeated notes that somebody has sent a packet again: the sender itself, unless another node has promised that, or the packet is so old
// that nobody does who has the key.
func (m *Machine) repeated(now time.Time, p *peer, seq uint32, v Verdict) {
	if v == Duplicate && p.w.kept(now, seq) == nil {
		return
	}
	if p.promised.IsZero() || now.Sub(p.promised) >= silence {
		p.asked = time.Time{}
	}
	if len(m.pending) > 0 || len(m.queue.wait) > 0 {
		m.cancel(p, wire.Range{First: seq, Last: seq})
	}
}

// State takes in what a node's STATE says: next is above all sequences of records that it has used up.
func (m *Machine) State(now time.Time, id wire.NodeID, epoch uint64, next uint32) {
	p := m.of(id, epoch)
	if p == nil {
		return
	}
	p.lives(now)
	switch {
	case next > p.w.top:
		p.w.reach(now, next)
		m.settle(p)
	case next == p.w.top: // what is lost later was sent later
		p.w.raised = now
	}
}

// Bye takes in a node's farewell. What is missing of it others may send again from now on.
func (m *Machine) Bye(now time.Time, id wire.NodeID, epoch uint64, next uint32) {
	m.State(now, id, epoch, next)
	if p := m.of(id, epoch); p != nil {
		p.departed = true
	}
}

// Nack takes in what another node misses, of us or of a third one.
func (m *Machine) Nack(now time.Time, n *wire.Nack) {
	if n.Target == m.id {
		m.ring.asked(now, n.Epoch, n.Ranges, func(seq uint32, copies int) bool {
			return m.queue.put(now, key{m.id, n.Epoch, seq}, copies)
		})
		return
	}
	p := m.of(n.Target, n.Epoch)
	if p == nil {
		return
	}
	p.w.asked(now, n.Ranges)
	if !n.Origin && p.silent(now) {
		m.standIn(now, p, n.Ranges)
	}
	p.wasAsked(now)
}

// Gone takes in what a node of us misses and cannot be sent again: it is given up.
func (m *Machine) Gone(now time.Time, id wire.NodeID, g *wire.Gone) {
	p := m.of(id, g.Epoch)
	if p == nil {
		return
	}
	p.lives(now)
	p.w.gone(now.Add(-time.Duration(g.Age)*time.Millisecond), g.Ranges)
	m.settle(p)
}

// Promise takes in what another node is about to send again for a third one, or for us, whom it did not hear.
func (m *Machine) Promise(now time.Time, pr *wire.Promise) {
	if pr.Sender == m.id {
		m.queue.drop(m.id, pr.Epoch, pr.Ranges)
		return
	}
	p := m.of(pr.Sender, pr.Epoch)
	if p == nil {
		return
	}
	p.promised = now
	p.w.promised(now, pr.Ranges)
	for _, r := range pr.Ranges {
		m.forgo(p, r)
	}
}

// lives notes a sign of life.
func (p *peer) lives(now time.Time) { p.heard, p.asked = now, time.Time{} }

// wasAsked notes that somebody wants something of a node.
func (p *peer) wasAsked(now time.Time) {
	if p.asked.IsZero() {
		p.asked = now
	}
}

// silent reports whether somebody else may answer in a node's place.
func (p *peer) silent(now time.Time) bool {
	return p.departed || now.Sub(p.heard) >= silence || !p.asked.IsZero() && now.Sub(p.asked) >= answer
}
