package livesync

import (
	"time"

	"starling/wire"
)

// believed is told that a node was proven to live in an epoch that is new to us, and the sequence of the first packet of records that
// it had not sent when we heard of the epoch. The caller holds n.mu.
func (n *Node) believed(_ time.Time, sender *node, first uint32) {
	sender.seen.Start(first)
	n.log.Info().Stringer("node", sender.id).Stringer("address", sender.address).Uint64("epoch", sender.life.epoch).
		Msg("a node has shown that it has the cluster key and lives")
}

// mend takes in a packet of records of a believed node, and applies it unless it was applied before.
func (n *Node) mend(now time.Time, sender *node, p *wire.Packet) {
	n.mu.Lock()
	fresh := sender.seen.Fresh(p.Seq)
	if !fresh {
		n.dropped.Replay++
	}
	n.mu.Unlock()
	if fresh {
		n.apply(now, sender, p)
	}
}

// heedControl deals with what a believed node says of packets. The caller holds n.mu.
func (n *Node) heedControl(_ time.Time, sender *node, p *wire.Packet) {
	if p.Kind == wire.KindBye {
		sender.life.bye = true
	}
}

// skip uses up the sequence of a packet of records that were offered at since or later and discarded, so that the
// others see a gap. The caller holds n.mu.
func (n *Node) skip(_ time.Time) { n.keyed.sealer.Burn(wire.SpaceData) }
