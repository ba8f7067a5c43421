package cluster

import (
	"fmt"
	"strings"
	"time"

	"starling/wire"
)

// model is what the nodes should hold, from what the clients said and what the nodes' stores had to tell of it. It sees
// everything at once, so it needs no protocol.
type model struct {
	s      *Schedule
	fates  map[Client]*fate
	order  []*fate // as they came, for whoever goes through all of them
	counts map[wire.Record]*told
	spans  []span // when faults were going on

	replays bool // somebody sent again, in plain mode, what was sent before
}

// fate is all that was told of one client.
type fate struct {
	Client
	announced time.Duration // last
	tales     []tale
}

// tale is one record that a node told.
type tale struct {
	at      time.Duration
	node    int
	life    int // the node's
	flags   wire.Flags
	fragile bool // its node crashed before everybody had it
	applied uint64
}

// told counts how often a record was told and who applied it how often.
type told struct {
	times   int
	nodes   uint64
	applied [64]int
}

type span struct{ from, to time.Duration }

// slack is how long before and after a fault a record may be on its way.
const slack = time.Second

func newModel(s *Schedule) *model {
	m := &model{s: s, fates: map[Client]*fate{}, counts: map[wire.Record]*told{}}
	for _, e := range s.Events {
		if e.Kind != Announce {
			m.spans = append(m.spans, span{e.At - slack, e.end() + late + slack})
		}
		m.replays = m.replays || e.Kind == Forge && !s.Keyed
	}
	return m
}

// disturbed reports whether a fault was going on.
func (m *model) disturbed(at time.Duration) bool {
	for _, s := range m.spans {
		if at >= s.from && at < s.to {
			return true
		}
	}
	return false
}

func (m *model) fate(c Client) *fate {
	f := m.fates[c]
	if f == nil {
		f = &fate{Client: c}
		m.fates[c] = f
		m.order = append(m.order, f)
	}
	return f
}

// announced is told that a client announced and was answered.
func (m *model) announced(by *member, c Client) { m.fate(c).announced = by.now }

// told is told what a node's store had to tell the others.
func (m *model) told(by *member, r wire.Record) {
	r.Flags = outcome(r.Flags)
	f := m.fate(Client{r.InfoHash, r.Peer})
	f.tales = append(f.tales, tale{at: by.now, node: by.number, life: by.lives, flags: r.Flags, applied: 1 << by.number})
	n := m.counts[r]
	if n == nil {
		n = new(told)
		m.counts[r] = n
	}
	n.times++
	n.nodes |= 1 << by.number
}

// applied is told that a node applied a record, and checks that somebody told it.
func (m *model) applied(by *member, r wire.Record) {
	r.Flags = outcome(r.Flags)
	n := m.counts[r]
	switch {
	case n == nil:
		by.fault("applies %s of %x: %s, which nobody told", r.Peer, r.InfoHash[:8], r.Flags)
		return
	case m.s.Keyed && n.applied[by.number] == n.times:
		by.fault("applies %s of %x: %s once more than it was told", r.Peer, r.InfoHash[:8], r.Flags)
	}
	n.applied[by.number]++
	f := m.fates[Client{r.InfoHash, r.Peer}]
	for i := len(f.tales) - 1; i >= 0; i-- {
		if t := &f.tales[i]; t.flags == r.Flags && t.applied>>by.number&1 == 0 {
			t.applied |= 1 << by.number
			break
		}
	}
}

// sent is told that a node sends a packet, and checks that it tells only what it was offered itself.
func (m *model) sent(by *member, pkt []byte) {
	p, err := wire.ParsePacket(pkt)
	if err != nil {
		by.fault("sends what nobody can read: %v", err)
		return
	}
	if p.Kind != wire.KindLive4 && p.Kind != wire.KindLive6 || by.record.has(pkt, by.id) {
		return
	}
	for i := range p.Len() {
		r := p.Record(i)
		r.Flags = outcome(r.Flags)
		if n := m.counts[r]; n == nil || n.nodes>>by.number&1 == 0 {
			by.fault("sends %s of %x: %s, which it was not offered", r.Peer, r.InfoHash[:8], r.Flags)
		}
	}
}

// lost is told that a node is about to be no more: what it told and not everybody has may be lost.
func (m *model) lost(by *member) {
	var up uint64
	for _, o := range by.members {
		if o.up {
			up |= 1 << o.number
		}
	}
	for _, f := range m.order {
		for i := range f.tales {
			if t := &f.tales[i]; t.node == by.number && t.life == by.lives && t.applied&up != up {
				t.fragile = true
			}
		}
	}
}

// outcome returns of a record's flags what the others see.
func outcome(f wire.Flags) wire.Flags {
	if f&wire.Stopped != 0 {
		return wire.Stopped
	}
	return f & (wire.Seeding | wire.Complete)
}

// state is what a node may hold of a client.
type state uint8

const (
	absent state = 1 << iota
	leecher
	seeder
)

var stateNames = map[state]string{absent: "absent", leecher: "leecher", seeder: "seeder"}

func (s state) String() string {
	var names []string
	for _, one := range []state{absent, leecher, seeder} {
		if s&one != 0 {
			names = append(names, stateNames[one])
		}
	}
	return strings.Join(names, " or ")
}

func stateOf(f wire.Flags) state {
	switch {
	case f&wire.Stopped != 0:
		return absent
	case f&wire.Seeding != 0:
		return seeder
	}
	return leecher
}

// concurrent is how close together two nodes must tell of a client for either to be right, in keyed mode.
const concurrent = 5 * time.Second

// allowed returns what a node may hold of a client at the end.
func (m *model) allowed(f *fate) state {
	var s state
	var anchor *tale // the last that was not lost
	var heard uint64 // nodes whose later records are in s
	for i := len(f.tales) - 1; i >= 0; i-- {
		t := &f.tales[i]
		if anchor != nil && anchor.at-t.at >= m.window() {
			break
		}
		if heard>>t.node&1 == 0 {
			s |= stateOf(t.flags)
		}
		if !t.fragile {
			heard |= 1 << t.node
			if anchor == nil {
				anchor = t
			}
		}
	}
	if anchor == nil {
		s |= absent
	}
	return s | m.aged(f, s)
}

// window is how close together two records are concurrent. Where ages are compared they have the width of a tick.
func (m *model) window() time.Duration { return concurrent + 2*m.s.Timeout/60 }

// aged returns absent when a client may have been forgotten for its silence.
func (m *model) aged(f *fate, s state) state {
	if n := len(f.tales); n > 0 && m.s.End-f.tales[n-1].at < m.s.Timeout-m.window() {
		return 0
	}
	return absent
}

// gone reports whether a client must have been forgotten for its silence.
func (m *model) gone(f *fate) bool {
	return m.s.End-f.announced > m.s.Timeout+ticks*m.s.Timeout/60
}

// String returns the story of a client, for people.
func (f *fate) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %x:", f.Peer, f.Hash[:8])
	for _, t := range f.tales[max(0, len(f.tales)-8):] {
		fmt.Fprintf(&b, " [%s by %d: %s, had by%s", t.at, t.node, t.flags, members(t.applied))
		if t.fragile {
			b.WriteString(", fragile")
		}
		b.WriteString("]")
	}
	return b.String()
}
