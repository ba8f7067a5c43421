package livesync

import (
	"fmt"
	"net/netip"
	"time"

	"starling/livesync/repair"
	"starling/wire"
)

// Status is what a node knows of itself and of the others, at one moment.
type Status struct {
	ID        wire.NodeID
	Group     netip.AddrPort
	Interface string         // the interface joined on; while there is none, what was asked for
	Address   netip.AddrPort // where our packets come from; not valid while not joined
	Mode      string         // "plain", "keyed", or "off"
	Epoch     uint64         // keyed mode only, as the next
	Self      Member         // what our latest STATE said of us
	State     string         // "off", "down", or scrape sync's: "idle", "collect", "asked", "receiving", "telling", "waiting"
	Trouble   string         // why the group is not joined, empty when it is
	Conflict  string         // another node has our id and ours is fixed: who; empty otherwise
	Withheld  string         // why tells are withheld, empty when they are not
	Sent      Traffic
	Received  Traffic
	Dropped   Dropped
	Discarded Discarded
	CatchUp   CatchUpStatus
	Nodes     []NodeStatus // sorted by id
}

// Traffic counts what went one way since the start.
type Traffic struct {
	Packets   uint64 // of every kind
	Records   uint64 // peers; one written in two dialects counts once
	Beacons   uint64
	Inquiries uint64
	Tells     uint64 // packets of tells
}

// Dropped counts what was thrown away since the start, by reason: received packets, where nothing else is said.
type Dropped struct {
	OwnID   uint64 // our own, or another's with our id
	Source  uint64 // from an address that is not listened to
	Short   uint64 // shorter than its type needs, or not of the one length its type has
	Long    uint64 // longer than any node sends
	Type    uint64 // of an unknown type
	Group   uint64 // sent to another group
	Address uint64 // records whose address no client can have
	Double  uint64 // records that their sender also sent in the other dialect
	Queue   uint64 // records of ours that were given up in a full queue; by what they said in [Discarded]
	Kernel  uint64 // packets for which the system had no room
	Send    uint64 // packets of ours that the system refused to send
	Better  uint64 // tell entries we knew better, beyond what is collected

	// Keyed mode only.
	Auth      uint64 // the tag is wrong
	Replay    uint64 // it was seen before, or its sender has said something else since
	Late      uint64 // records that had been given up, or of an epoch that is over
	Duplicate uint64 // records that were here before: sent again for others, or replayed
	Twice     uint64 // packets that came by the segment and by the relay: the second
	Refused   uint64 // records behind a gap for which there was no room: they are asked for again
	Unproven  uint64 // of a node that has not shown yet that it lives: it did not return our challenge
	Plain     uint64 // without a tag, from a node that should have one
}

// NodeStatus is what is known of another node.
type NodeStatus struct {
	ID        wire.NodeID
	Address   netip.AddrPort
	LastHeard time.Time
	Torrents  uint64 // from its last beacon
	Packets   uint64
	Records   uint64
	Dialect   string // "seed", "modern", "both", "2010", or empty while nothing tells
	Mode      string // "plain", "keyed"

	// Keyed mode only: what it says of itself.
	Epoch         uint64
	Member        Member
	Lag           time.Duration // from its sending to our applying, median of the last minute, as far as both clocks agree
	LagMax        time.Duration // the longest of the last minute
	Bye           bool          // it has ended
	OtherKey      bool          // it signs with another key than this node, and cannot be compared
	Divergence    Divergence
	repair.Counts // what became of its packets, beside those that were simply applied
}

// Status returns what the node knows of itself and the others.
func (n *Node) Status() Status { return n.status(time.Now()) }

func (n *Node) status(now time.Time) Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Status{
		ID:        n.ident.id,
		Group:     n.cfg.Group,
		Interface: n.cfg.Interface,
		Mode:      "plain",
		State:     n.scrape.state(now),
		Trouble:   n.trouble,
		Sent:      n.sent,
		Received:  n.received,
		Dropped:   n.dropped,
		CatchUp:   n.catchUpStatus(now),
	}
	live := n.queue.discarded()
	live.Control = n.discarded.Control
	if n.keyed != nil {
		s.Mode, s.Epoch, s.Self = "keyed", n.keyed.sealer.Epoch(), n.keyed.member
		live.Repair = n.keyed.mending.Dropped()
	}
	s.Discarded = live
	s.Dropped.Queue, s.Dropped.Better = live.records(), n.scrape.better.lost
	switch {
	case n.cfg.Interface == "":
		s.Mode, s.State, s.Trouble = "off", "off", ""
	case n.trouble != "":
		s.State = "down"
	default:
		s.Interface, s.Address = n.link.Name, n.link.Local
	}
	if with := n.ident.conflict(now); with.IsValid() {
		s.Conflict = fmt.Sprintf("%s has our fixed id %s too", with, n.ident.id)
	}
	if n.scrape.withheld(now) {
		s.Withheld = fmt.Sprintf("an opentracker of 2010 was heard from %s within the last hour", n.scrape.legacyAddress)
	}
	for _, o := range n.nodes.sorted(now) {
		st := o.status(&s.Self)
		if n.keyed != nil {
			st.Counts = n.keyed.mending.Counts(o.id)
		}
		s.Nodes = append(s.Nodes, st)
	}
	return s
}
