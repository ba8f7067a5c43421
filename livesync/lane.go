package livesync

import (
	"time"

	"starling/wire"
)

// Lane is what a packet of ours is for. Each lane has a rate of its own, so that none waits for another's tokens.
type Lane uint8

// The lanes, in the order in which they are looked at.
const (
	LiveLane    Lane = iota // records
	ControlLane             // beacons and inquiries
	TellLane                // tells
	lanes
)

var laneNames = [lanes]string{LiveLane: "live", ControlLane: "control", TellLane: "tell"}

// String returns the name, which is also that of the lane's class.
func (l Lane) String() string { return laneNames[l] }

// waiting is the packet of a lane that has not left yet: it is paid for, or asks again when it may be.
type waiting struct {
	pkt     []byte // nil: none
	kind    wire.Kind
	records int
	at      time.Time // when the budget is asked again; zero: at once
}

// pay takes the packet of a lane out of it if the budget lets it leave now, else it returns nil. The packet names the id
// that is ours now: it may have changed while the packet waited. The caller holds n.mu.
func (n *Node) pay(now time.Time, lane Lane) []byte {
	w := &n.outbox.lanes[lane]
	if n.cfg.Budget != nil {
		if now.Before(w.at) {
			return nil
		}
		if wait := n.cfg.Budget(now, lane, len(w.pkt)); wait > 0 {
			w.at = now.Add(wait)
			return nil
		}
	}
	return n.leave(lane)
}

// leave takes the packet of a lane out of it and counts it. The caller holds n.mu.
func (n *Node) leave(lane Lane) []byte {
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
	pkt := w.pkt
	*w = waiting{}
	copy(pkt, n.ident.id[:]) // the header begins with it
	return pkt
}
