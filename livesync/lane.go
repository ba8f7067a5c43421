package livesync

import (
	"time"

	"starling/wire"
)

// Lane is what a packet of ours is for. Each lane has a rate of its own, so that none waits for another's tokens.
type Lane uint8

// The lanes, in the order in which they are looked at.
const (
	ControlLane Lane = iota // beacons, inquiries, and what keyed nodes say of themselves and of packets
	LiveLane                // records
	RepairLane              // packets sent again
	TellLane                // tells
	lanes
)

var laneNames = [lanes]string{ControlLane: "control", LiveLane: "live", RepairLane: "repair", TellLane: "tell"}

// String returns the name, which is also that of the lane's class.
func (l Lane) String() string { return laneNames[l] }

// How many packets wait in the lanes that have a line of packets.
const (
	maxControl = 64
)

// waiting is the packet at the front of a lane that has not left yet: it is paid for, or asks again when it may be.
type waiting struct {
	pkt     []byte // nil: none
	kind    wire.Kind
	records int
	at      time.Time // when it asks again; zero: at once
}

// line is a bounded line of packets. Its zero value is empty. Buffers are made as they are needed, and used again.
type line struct{ messages []message }

type message struct {
	kind  wire.Kind
	about wire.NodeID
	pkt   []byte
}

// put adds a copy of a packet unless that many wait already.
func (l *line) put(most int, kind wire.Kind, about wire.NodeID, pkt []byte) bool {
	n := len(l.messages)
	if n == most {
		return false
	}
	if n == cap(l.messages) {
		l.messages = append(l.messages, message{})
	} else {
		l.messages = l.messages[:n+1]
	}
	m := &l.messages[n]
	m.kind, m.about, m.pkt = kind, about, append(m.pkt[:0], pkt...)
	return true
}

// renew writes a packet over one of the same kind about the same node, which says less by now. It reports whether there is one.
func (l *line) renew(kind wire.Kind, about wire.NodeID, pkt []byte) bool {
	for i := range l.messages {
		if m := &l.messages[i]; m.kind == kind && m.about == about {
			m.pkt = append(m.pkt[:0], pkt...)
			return true
		}
	}
	return false
}

// take takes the first packet out, which is valid until the next put; nil when there is none.
func (l *line) take() (pkt []byte, kind wire.Kind) {
	if len(l.messages) == 0 {
		return nil, 0
	}
	last := len(l.messages) - 1
	first := l.messages[0]
	copy(l.messages, l.messages[1:])
	l.messages[last] = first
	l.messages = l.messages[:last]
	return first.pkt, first.kind
}

// say puts a control packet of ours into its lane. A newer one of a kind about the same node takes the older one's
// place: its target, or none for what concerns all. The caller holds n.mu, and pokes the sender when it is not the sender.
func (n *Node) say(kind wire.Kind, about wire.NodeID, pkt []byte) {
	if l := &n.outbox.control; !l.renew(kind, about, pkt) && !l.put(maxControl, kind, about, pkt) {
		n.discarded.Control++
	}
}

// pay takes the packet of a lane out of it if the budget lets it leave now, else it returns nil. The caller holds n.mu.
func (n *Node) pay(now time.Time, lane Lane) []byte {
	w := &n.outbox.lanes[lane]
	if now.Before(w.at) {
		return nil
	}
	if n.cfg.Budget != nil {
		if wait := n.cfg.Budget(now, lane, n.ways(w.kind, len(w.pkt))); wait > 0 {
			w.at = now.Add(wait)
			return nil
		}
	}
	return n.leave(now, lane)
}

// leave takes the packet of a lane out of it and counts it. A packet of our own names the id
// that is ours now: it may have changed while the packet waited. The caller holds n.mu.
func (n *Node) leave(now time.Time, lane Lane) []byte {
	w := &n.outbox.lanes[lane]
	n.sent.Packets++
	n.sent.Records += uint64(w.records)
	switch w.kind {
	case wire.KindBeacon:
		n.sent.Beacons++
	case wire.KindInquire:
		n.sent.Inquiries++
	case wire.KindTell:
		n.sent.Tells++
	}
	pkt, kind := w.pkt, w.kind
	*w = waiting{}
	switch lane {
	case RepairLane:
		return pkt
	case LiveLane:
		w.at = n.backlogged(now)
	}
	copy(pkt, n.ident.id[:]) // the header begins with it
	return n.seal(now, pkt, kind)
}

// backlogged returns when the next packet of records may leave: while there are some that waited for the interface, after
// what the link needs, lest all of them leave in one burst; the zero time when there are none.
func (n *Node) backlogged(now time.Time) time.Time {
	o := &n.outbox
	if o.backlog == 0 {
		return time.Time{}
	}
	if !n.queue.holds(o.backlog) {
		o.backlog = 0
		return time.Time{}
	}
	return now.Add(o.need.packet())
}
