package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/livesync"
	"starling/wire"
)

// Schedule is all that happens to a cluster. Any part of its events is a schedule as well, which is how a failing one is made smaller.
type Schedule struct {
	Seed     uint64
	Keyed    bool
	Keys     uint64 // beside nodes without a key: bits of those that have one; what must hold is what holds in plain mode
	Nodes    int
	Fixed    bool // ids are given to the nodes; else each draws one, and keeps it on disk
	Rotation int  // keyed mode: how far a new cluster key has come, 0 for not at all; see rotation
	Dialect  livesync.Dialect
	Flush    time.Duration
	Timeout  time.Duration // of peers
	Renew    time.Duration
	Clients  []Client
	Events   []Event       // in the order of their times
	Last     time.Duration // when the last fault is over, whatever events were taken out
	End      time.Duration // when the nodes are compared
}

// Client is a peer of one torrent.
type Client struct {
	Hash wire.InfoHash
	Peer wire.Peer
}

// Kind is what an event is.
type Kind uint8

// The kinds of events. All but the first are faults.
const (
	Announce Kind = iota // a client announces to a node
	Noise                // packets are lost, doubled and late
	Cut                  // some nodes do not hear some others
	Crash                // a node dies and comes back
	Leave                // a node is ended as it should be and comes back
	Pause                // a node stands still; what arrives waits in its receive buffer
	Slow                 // a node takes its time for each packet
	Unplug               // a node's interface goes down and comes back
	Flood                // many clients announce to a node at once
	Forge                // somebody on the segment sends what he should not
	Spoil                // streams of catching up are damaged, or break
)

var kindNames = [...]string{"announce", "noise", "cut", "crash", "leave", "pause", "slow", "unplug", "flood", "forge", "spoil"}

func (k Kind) String() string { return kindNames[k] }

// Event is something that happens. Which fields count depends on the kind.
type Event struct {
	At, For time.Duration
	Kind    Kind
	Node    int
	Salt    uint64 // what else is random in it

	Client       int // Announce, the first one of a Flood
	Clients      int // Flood: how many
	Seeder       bool
	Completed    bool
	Stopped      bool
	Loss, Double float64       // Noise: parts of the packets
	Delay        time.Duration // Noise: the longest; Slow: of each packet
	From, To     uint64        // Cut: bits of the nodes that are not heard, and of those that do not hear them
	State        bool          // Crash, Leave: what is kept on disk is there afterwards
	Step         time.Duration // Crash, Leave: by how much the clock is set meanwhile
	Buffer       int           // Pause, Slow: how many packets wait
	Forgery      Forgery
}

// ParseKind reads the name of a kind.
func ParseKind(name string) (Kind, error) {
	i := slices.Index(kindNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("%q is none of %s", name, strings.Join(kindNames[:], ", "))
	}
	return Kind(i), nil
}

// Without returns the schedule without the events of some kinds.
func (s *Schedule) Without(kinds []Kind) *Schedule {
	less := *s
	less.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e Event) bool { return slices.Contains(kinds, e.Kind) })
	return &less
}

// cuts reports whether a cut keeps what one node sends from another.
func (e *Event) cuts(from, to int) bool {
	return e.Kind == Cut && e.From>>from&1 != 0 && e.To>>to&1 != 0
}

// end returns when the event is over.
func (e *Event) end() time.Duration { return e.At + e.For }

// mild reports whether a fault is one that nodes must bear without a record being late: in plain mode none, in keyed mode some
// noise, and whatever forgers do.
func (e *Event) mild(keyed bool) bool {
	switch e.Kind {
	case Announce:
		return true
	case Flood:
		return e.Clients <= manyClients
	case Noise:
		return keyed && e.Loss <= mildLoss && e.Delay <= mildDelay
	case Forge, Spoil:
		return keyed
	}
	return false
}

// String returns the event as one line.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%10s  %-8s ", e.At, e.Kind)
	switch e.Kind {
	case Announce:
		fmt.Fprintf(&b, "client %d to node %d: %s", e.Client, e.Node, e.role())
	case Noise:
		fmt.Fprintf(&b, "%.0f %% lost, %.0f %% doubled, up to %s late, for %s", 100*e.Loss, 100*e.Double, e.Delay, e.For)
	case Cut:
		fmt.Fprintf(&b, "nodes%s not heard by nodes%s, for %s", members(e.From), members(e.To), e.For)
	case Crash, Leave:
		fmt.Fprintf(&b, "node %d, back after %s", e.Node, e.For)
		if e.State {
			b.WriteString(" with its state")
		}
		if e.Step != 0 {
			fmt.Fprintf(&b, ", its clock set by %s", e.Step)
		}
	case Pause:
		fmt.Fprintf(&b, "node %d for %s, %d packets wait", e.Node, e.For, e.Buffer)
	case Slow:
		fmt.Fprintf(&b, "node %d for %s, %s a packet, %d packets wait", e.Node, e.For, e.Delay, e.Buffer)
	case Unplug:
		fmt.Fprintf(&b, "node %d for %s", e.Node, e.For)
	case Flood:
		fmt.Fprintf(&b, "clients %d to %d to node %d", e.Client, e.Client+e.Clients-1, e.Node)
	case Forge:
		fmt.Fprintf(&b, "%s (%x)", e.Forgery, e.Salt)
	case Spoil:
		fmt.Fprintf(&b, "%.0f %% of the blocks, for %s", 100*e.Loss, e.For)
	}
	return b.String()
}

func (e *Event) role() string {
	switch {
	case e.Stopped:
		return "stopped"
	case e.Completed:
		return "completed"
	case e.Seeder:
		return "seeder"
	}
	return "leecher"
}

// members lists the numbers of the bits that are set.
func members(mask uint64) string {
	var b strings.Builder
	for i := range 64 {
		if mask>>i&1 != 0 {
			fmt.Fprintf(&b, " %d", i)
		}
	}
	return b.String()
}

// String returns the schedule for people.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s: %d nodes, dialect %s, flush %s, peers forgotten after %s, told again after %s\n",
		s.Seed, s.mode(), s.Nodes, s.Dialect, s.Flush, s.Timeout, s.Renew)
	if s.Keys != 0 {
		fmt.Fprintf(&b, "nodes%s have a key, the others none\n", members(s.Keys))
	}
	if s.Rotation > 0 {
		fmt.Fprintf(&b, "the cluster key is being rotated, step %d\n", s.Rotation)
	}
	for _, e := range s.Events {
		b.WriteString(e.String())
		if e.Kind == Announce {
			c := &s.Clients[e.Client]
			fmt.Fprintf(&b, "  (%s of %x)", c.Peer, c.Hash[:8])
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%10s  last fault over\n%10s  compared\n", s.Last, s.End)
	return b.String()
}

func (s *Schedule) mode() string {
	switch {
	case s.Keyed:
		return "keyed"
	case s.Keys != 0:
		return "mixed"
	}
	return "plain"
}

// hasKey reports whether a node has the cluster key.
func (s *Schedule) hasKey(node int) bool { return s.Keyed || s.Keys>>node&1 != 0 }
