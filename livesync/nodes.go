package livesync

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"starling/wire"
)

const (
	// maxNodes bounds the table: ids are free to forge.
	maxNodes = 256
	// nodeSilence is when a silent node is dropped from the table. A node that has just started
	// and has no clients says nothing before its first beacon, by default for half an hour.
	nodeSilence = time.Hour
	// AbsentAfter is after how many beacon intervals of silence a node counts as gone by those who share something with it.
	AbsentAfter = 3
	// dialectWindow is how long a sender's type 0 packets are remembered when its mapped records are judged.
	dialectWindow = time.Minute
	// dialectPatience is how long after its first records a sender's dialect is judged: the second
	// packet of a pair comes right behind the first.
	dialectPatience = time.Second
	// addressHold is how long a node of the keyed mode is looked for where it was heard last: a tag says nothing of an address, and
	// whoever sends again what we lost must not become the node that we go to. Five STATEs.
	addressHold = 5 * time.Second
)

// node is what is known of one other node.
type node struct {
	id       wire.NodeID
	address  netip.AddrPort
	heard    time.Time
	silent   time.Duration // how long it was when it was last heard; nodeSilence: it was not in the table
	torrents uint64
	packets  uint64
	records  uint64

	spoke  time.Time // when IPv4 records were first heard
	four   time.Time // when type 0 records were last heard
	mapped time.Time // when mapped records were last heard
	empty  time.Time // when an empty type 0 packet was last heard: an opentracker of 2010
	named  bool      // the log has named its dialect

	life  life         // keyed mode only, as the next
	there time.Time    // when it was last heard from its address
	way   [2]time.Time // when it was last heard on the segment, and by the relay
}

// place returns where a node of the keyed mode is that was heard from somewhere.
func (n *node) place(now time.Time, from netip.AddrPort) netip.AddrPort {
	nearer := relayed(n.address) && !relayed(from) // on our own segment
	if from.Addr() != n.address.Addr() && within(now, n.there, addressHold) && !nearer {
		return n.address
	}
	n.there = now
	return from
}

// nodes is the table of the nodes heard. When it is full the least of them makes room: one without a key before those
// with one, then the one with the fewest packets, of those the one silent longest, so that forged ids push out each other and not the nodes
// that are really there.
type nodes struct {
	byID  map[wire.NodeID]*node
	sweep time.Time // when silent nodes are looked for next
}

func newNodes() nodes { return nodes{byID: make(map[wire.NodeID]*node)} }

// heard counts a packet and returns its sender's entry.
func (t *nodes) heard(now time.Time, id wire.NodeID, from netip.AddrPort) *node {
	if !now.Before(t.sweep) {
		t.expire(now)
	}
	n := t.byID[id]
	if n == nil {
		if len(t.byID) >= maxNodes {
			delete(t.byID, t.least().id)
		}
		n = &node{id: id, heard: now.Add(-nodeSilence)}
		t.byID[id] = n
	}
	n.address, n.heard, n.silent = from, now, now.Sub(n.heard)
	n.packets++
	return n
}

// known reports whether a node with that id was heard lately.
func (t *nodes) known(id wire.NodeID) bool { return t.byID[id] != nil }

// sorted returns the nodes heard lately, by id.
func (t *nodes) sorted(now time.Time) []*node {
	t.expire(now)
	all := make([]*node, 0, len(t.byID))
	for _, n := range t.byID {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return bytes.Compare(a.id[:], b.id[:]) })
	return all
}

func (t *nodes) expire(now time.Time) {
	t.sweep = now.Add(nodeSilence / 60)
	for id, n := range t.byID {
		if now.Sub(n.heard) >= nodeSilence {
			delete(t.byID, id)
		}
	}
}

func (t *nodes) least() *node {
	var least *node
	for _, n := range t.byID {
		if least == nil || n.less(least) {
			least = n
		}
	}
	return least
}

// less reports whether n makes room before o does.
func (n *node) less(o *node) bool {
	switch keyed, other := n.life.epoch != 0, o.life.epoch != 0; {
	case keyed != other:
		return other
	case n.packets != o.packets:
		return n.packets < o.packets
	}
	return n.heard.Before(o.heard)
}

// double reports whether the sender writes its IPv4 records as type 0 too, so that its mapped ones are copies.
func (n *node) double(now time.Time) bool { return within(now, n.four, dialectWindow) }

// speaks notes that the sender has written IPv4 records, as type 0 or in mapped form.
func (n *node) speaks(now time.Time, mapped bool) {
	if n.spoke.IsZero() {
		n.spoke = now
	}
	if mapped {
		n.mapped = now
	} else {
		n.four = now
	}
}

// dialect returns the name of what the sender speaks, empty while nothing tells.
// It is derived from what was heard of it last, so a node that is started anew in another dialect is seen.
func (n *node) dialect() string {
	latest := n.four
	if n.mapped.After(latest) {
		latest = n.mapped
	}
	four, mapped := within(latest, n.four, dialectWindow), within(latest, n.mapped, dialectWindow)
	switch {
	case !n.empty.IsZero():
		return "2010"
	case four && mapped:
		return Both.String()
	case four:
		return Seed.String()
	case mapped:
		return Modern.String()
	}
	return ""
}

// strange reports, once, that the sender has been heard long enough to say that it speaks another dialect than ours.
func (n *node) strange(now time.Time, ours Dialect) bool {
	if n.named || n.spoke.IsZero() || now.Sub(n.spoke) < dialectPatience || n.dialect() == ours.String() {
		return false
	}
	n.named = true
	return true
}

// within reports whether t is a time and lies less than d before now.
func within(now, t time.Time, d time.Duration) bool { return !t.IsZero() && now.Sub(t) < d }

// status returns what there is to see of another node.
func (n *node) status(own *Member) NodeStatus {
	s := NodeStatus{
		ID: n.id, Address: n.address, LastHeard: n.heard, Torrents: n.torrents,
		Packets: n.packets, Records: n.records, Dialect: n.dialect(), Mode: "plain",
	}
	if l := &n.life; l.epoch != 0 {
		s.Mode, s.Epoch, s.Member, s.Bye = "keyed", l.epoch, l.member, l.bye
		s.Lag, s.LagMax = l.lags.quantiles()
		s.OtherKey, s.Divergence = l.otherKey, l.diverges.status(max(own.Peers, l.member.Peers))
		s.Member.Health = l.health()
	}
	return s
}
