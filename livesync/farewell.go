package livesync

import (
	"time"

	"starling/wire"
)

const (
	// farewells is how often a node of the keyed mode says BYE: what it said last is known to be missing only to those who hear it.
	farewells = 3
	// farewellPause is what lies between them and follows the last. It is long enough for others to miss something, ask, and get it: where
	// there are but two nodes nobody else has what was lost.
	farewellPause = 100 * time.Millisecond
)

// farewell is how far a node has come that ends.
type farewell struct {
	said int
	at   time.Time // when the next is due, or after the last when all is over
}

// nextFarewell returns a BYE, or what is to be sent again while they are said, nil when there is neither now. The caller holds n.mu.
func (n *Node) nextFarewell(now time.Time) []byte {
	if n.keyed == nil || n.trouble != "" {
		return nil
	}
	f := &n.keyed.farewell
	switch {
	case f.said < farewells && !now.Before(f.at):
		f.said, f.at = f.said+1, now.Add(farewellPause)
		bye := wire.Bye{Next: n.keyed.sealer.Next(wire.SpaceData)}
		n.sent.Packets++
		return n.seal(now, bye.Append(n.outbox.scratch[:0], n.ident.id), wire.KindBye)
	case now.Before(f.at) && n.fillRepair(now):
		return n.leave(now, RepairLane)
	}
	return nil
}

// farewellDue returns when Next has to be called again by a node that ends, the zero time when it may go. The caller holds n.mu.
func (n *Node) farewellDue(now time.Time) time.Time {
	if n.keyed == nil || n.trouble != "" {
		return time.Time{}
	}
	f := &n.keyed.farewell
	if f.said == farewells && !now.Before(f.at) {
		return time.Time{}
	}
	return earliest(f.at, n.keyed.mending.ResendDue())
}
