package livesync

import (
	"fmt"
	"time"

	"starling/wire"
)

// What "in sync" allows, peer by peer: what is under way, and peers that fell silent, which each node forgets at a
// time of its own, up to a thirtieth of the peer timeout apart.
const (
	syncPeers = 64  // that may differ in the smallest cluster
	syncShare = 200 // and one of so many peers besides
	// syncSilence is how long a node may be silent, which says what it holds every second.
	syncSilence = 10 * time.Second
	// syncRounds is of how many rounds of sums running the smallest difference counts: a burst that was on its way is not in all of them.
	syncRounds = 3
)

// divergence reckons how many peers a node and we hold differently, from the sums in its STATEs and ours of the same moments (see
// tracker.Tracker.Sketch). The squares of the differences of one sum add up to the number; a STATE has a sixteenth of the sums.
//
//	STATE        0   1   2  ... 15 | 0   1 ...
//	its sums     a0  a1  a2     a15
//	ours then    b0  b1  b2     b15
//	round        (a0-b0)^2 + ... + (a15-b15)^2 | ...    the smallest of the latest three is the answer
type divergence struct {
	squares [wire.SketchGroups]uint64
	got     uint32 // groups of this round: a bit each. One that was lost on the way comes again in the next
	latest  [syncRounds]uint64
	rounds  int
	more    int64 // how many peers it has beyond ours
}

// hear takes in the sums of a STATE, ours of this moment and how many peers both have.
func (d *divergence) hear(st *wire.State, ours [wire.SketchGroup]int32, peers uint64) {
	d.more = int64(st.Peers - peers)
	square := uint64(0)
	for i := range ours {
		diff := int64(st.Sums[i] - ours[i])
		square += uint64(diff * diff)
	}
	d.squares[st.Group] = square
	d.got |= 1 << st.Group
	if d.got != 1<<wire.SketchGroups-1 {
		return
	}
	sum := uint64(0)
	for _, square := range d.squares {
		sum += square
	}
	d.latest[d.rounds%syncRounds] = sum
	d.rounds++
	d.got = 0
}

// peers returns how many peers differ; ok is false before the first round is whole.
func (d *divergence) peers() (n uint64, ok bool) {
	if d.rounds == 0 {
		return 0, false
	}
	n = d.latest[0]
	for _, other := range d.latest[1:min(d.rounds, syncRounds)] {
		n = min(n, other)
	}
	return n, true
}

// status returns what there is to see, with how many peers the larger of both has.
func (d *divergence) status(most uint64) Divergence {
	n, ok := d.peers()
	s := Divergence{Known: ok, Peers: n, Bound: syncPeers + most/syncShare, More: d.more}
	if n > 0 {
		s.Share = min(float64(n)/float64(max(most, 1)), 1)
	}
	return s
}

// Divergence is how far a node's peers are from ours.
type Divergence struct {
	Known bool    // both were compared, which takes 16 seconds
	Peers uint64  // that one of both lacks or has in another role; an estimate, 9 % up or down
	Share float64 // the same as a share of the larger one's peers, 1 at most
	Bound uint64  // how many may differ while both are in sync
	More  int64   // how many peers it has beyond ours; what each lacks of the other does not show in it
}

// Sync is the one answer to "is my cluster in sync?".
type Sync struct {
	Known      bool
	Yes        bool
	CatchingUp bool   // not, because a node catches up, which ends by itself
	Differs    bool   // not, because the peers differ
	Why        string // not, or not known; empty when yes
}

// Sync answers whether this node and all others of the cluster hold the same peers. A node that was heard and is silent is not in
// sync, however little differed before, until it is back, says BYE, or is forgotten. What two other nodes lack of each other shows there.
func (s *Status) Sync(now time.Time) Sync {
	switch {
	case s.Mode == "off":
		return Sync{Why: "live sync is off"}
	case s.Mode != "keyed":
		return Sync{Why: "only nodes with a cluster key can tell"}
	case s.Trouble != "":
		return Sync{Known: true, Why: "this node is cut off"}
	case s.Self.Health == wire.CatchingUp:
		return Sync{Known: true, CatchingUp: true, Why: "this node is catching up"}
	}
	var unknown, yes bool
	why := "no other node with the key was heard"
	for i := range s.Nodes {
		o := &s.Nodes[i]
		if o.Mode != "keyed" || o.Bye || s.Replaced(o) {
			continue
		}
		one := o.sync(now)
		switch {
		case one.Yes:
			yes = true
		case one.Known:
			return one
		case !unknown:
			unknown, why = true, one.Why
		}
	}
	if yes && !unknown {
		return Sync{Known: true, Yes: true}
	}
	return Sync{Why: why}
}

// sync answers for one node.
func (o *NodeStatus) sync(now time.Time) Sync {
	d := &o.Divergence
	switch silent := now.Sub(o.LastHeard); {
	case silent > syncSilence:
		return Sync{Known: true, Why: fmt.Sprintf("%s at %s has been silent for %s: down or cut off", o.ID, o.Address.Addr(), silent.Truncate(time.Second))}
	case o.Member.Health == wire.CatchingUp:
		return Sync{Known: true, CatchingUp: true, Why: fmt.Sprintf("%s is catching up", o.ID)}
	case o.OtherKey:
		return Sync{Why: fmt.Sprintf("%s signs with another key than this node, as while a key is rotated", o.ID)}
	case !d.Known:
		return Sync{Why: fmt.Sprintf("%s was not compared yet", o.ID)}
	case d.Peers > d.Bound:
		return Sync{Known: true, Differs: true, Why: fmt.Sprintf("%s and this node hold %d peers differently", o.ID, d.Peers)}
	}
	return Sync{Known: true, Yes: true}
}

// Replaced reports whether a silent node was started anew under another id: there is one at its address that was heard later.
func (s *Status) Replaced(o *NodeStatus) bool {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.ID != o.ID && n.Address.Addr() == o.Address.Addr() && n.LastHeard.Sub(o.LastHeard) > syncSilence {
			return true
		}
	}
	return false
}
