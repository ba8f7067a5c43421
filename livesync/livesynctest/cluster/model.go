package cluster

import (
	"fmt"
	"slices"
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

	doubles bool // a completion may count twice: packets are replayed in plain mode, or a count is learned before its record is repaired
	once    bool // nothing arrives twice or out of order in this schedule
}

// fate is all that was told of one client.
type fate struct {
	Client
	announced time.Duration // last
	seeded    time.Duration // last as a seeder
	tales     []tale
	heard     [8]state // what each node told or applied last; 0: not known
}

// tale is one record that a node told.
type tale struct {
	at      time.Duration
	node    int
	life    int // the node's
	flags   wire.Flags
	fragile bool // its node crashed before everybody had it
	applied uint64

	uncounted bool // a completion that may have been forgotten by all
	untold    bool // it announced this to a node that had it so in its snapshot
}

// told counts how often a record was told and who applied it how often, in this life and in all of them: counts outlive a node that
// comes back with its state, and one that has told them to another.
type told struct {
	times   int
	nodes   uint64
	applied [64]int
	ever    [64]int
}

type span struct{ from, to time.Duration }

// slack is how long before and after a fault a record may be on its way.
const slack = time.Second

func newModel(s *Schedule) *model {
	m := &model{s: s, fates: map[Client]*fate{}, counts: map[wire.Record]*told{}, once: true}
	m.spans = append(m.spans, span{0, 2 * slack}) // nodes get to know each other
	for _, e := range s.Events {
		if !e.mild(s.Keyed) {
			m.spans = append(m.spans, span{e.At - slack, e.end() + late + slack})
		}
		m.doubles = m.doubles || (e.Kind == Forge) != s.Keyed && e.Kind != Announce && e.Kind != Flood
		if s.Keys != 0 { // who has no key takes a packet that is sent again for a new one
			m.once, m.doubles = false, true
		}
		m.once = m.once && (s.Keyed || e.Kind != Noise && (e.Kind != Forge || e.Forgery != Replayed))
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

// announced is told that a client announced and was answered, and checks that the node told of it what the others must know:
// each stop, and a role that is not what it heard of the client last.
func (m *model) announced(by *member, c Client, e *Event) {
	f := m.fate(c)
	f.announced = by.now
	if e.state() == seeder {
		f.seeded = by.now
	}
	if len(f.tales) == 0 {
		if !e.Stopped {
			by.fault("does not tell of %s, who is new", c.Peer)
		}
		return
	}
	t := f.tales[len(f.tales)-1]
	if heard := f.heard[by.number]; heard != 0 && heard != e.state() || e.Stopped && (t.at != by.now || t.node != by.number) {
		by.fault("does not tell that %s of %x is %s now: %s", c.Peer, c.Hash[:8], e.state(), f)
	}
	// A node that begins with its snapshot, and has nobody to catch up from, knows a client as it was then, and one that has not heard what was told
	// last as it was before. When the client comes back as just that, it has nothing to tell, and is right; what others knew of the time
	// between may win until the client is told again, as one that keeps announcing is after Renew. In peace a node has heard all: then it is a fault.
	if (by.restored || t.applied>>by.number&1 == 0 && m.disturbed(by.now)) && stateOf(t.flags) != e.state() && (t.at != by.now || t.node != by.number) {
		f.tales = append(f.tales, tale{at: by.now, node: by.number, life: by.lives, flags: e.flags(), fragile: true, untold: true})
	}
}

// started is told that a node begins anew.
func (m *model) started(by *member) {
	m.changed(by)
	for _, n := range m.counts {
		n.applied[by.number] = 0
	}
}

// changed is told that nobody knows what a node holds.
func (m *model) changed(by *member) {
	for _, f := range m.order {
		f.heard[by.number] = 0
	}
}

// told is told what a node's store had to tell the others.
func (m *model) told(by *member, r wire.Record) {
	r.Flags = outcome(r.Flags)
	f := m.fate(Client{r.InfoHash, r.Peer})
	f.tales = append(f.tales, tale{at: by.now, node: by.number, life: by.lives, flags: r.Flags, applied: 1 << by.number})
	f.heard[by.number] = stateOf(r.Flags)
	n := m.counts[r]
	if n == nil {
		n = new(told)
		m.counts[r] = n
	}
	n.times++
	n.nodes |= 1 << by.number
	m.follow(by, f, len(f.tales)-1)
}

// follow looks soon whether in peace everybody applied a tale, unless its node has told something else by then. In plain mode
// nothing is late. In keyed mode a packet may need to be asked for, more than once in rare cases.
func (m *model) follow(by *member, f *fate, i int) {
	at, soon := by.now, m.s.Flush+slack/2
	if m.s.Keyed {
		soon = m.s.Flush + 2*slack // a STATE shows that the last packet is missing
	}
	by.at(at+soon, func() {
		if m.disturbed(at) || m.disturbed(by.now) || i < len(f.tales)-1 {
			return
		}
		by.stats.Peace++
		if f.tales[i].applied != 1<<m.s.Nodes-1 {
			by.stats.Late++
			by.log("LATE: %s", f)
		}
	})
}

// timely checks that few tales were late.
func (m *model) timely(c *cluster) {
	most := uint64(0)
	if m.s.Keyed {
		most = 1 + c.stats.Peace/50
	}
	if c.stats.Late > most {
		c.fault("%d of %d records told in peace were late somewhere", c.stats.Late, c.stats.Peace)
	}
}

// applied is told that a node applied a record, and checks that somebody told it.
func (m *model) applied(by *member, r wire.Record) {
	r.Flags = outcome(r.Flags)
	n := m.counts[r]
	switch {
	case n == nil:
		by.fault("applies %s of %x: %s, which nobody told", r.Peer, r.InfoHash[:8], r.Flags)
		return
	case m.once && by.lives == 1 && n.nodes == 1<<by.number:
		by.fault("applies %s of %x: %s, which only it has told", r.Peer, r.InfoHash[:8], r.Flags)
	case m.once && n.applied[by.number] == n.times:
		by.fault("applies %s of %x: %s once more than it was told", r.Peer, r.InfoHash[:8], r.Flags)
	}
	n.applied[by.number]++
	n.ever[by.number]++
	f := m.fates[Client{r.InfoHash, r.Peer}]
	f.heard[by.number] = stateOf(r.Flags)
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

// lost is told that a node is about to be no more. What only it knew, and did not save, may be lost: of the records that it told what
// not every other node has a little later, of other nodes' what no other node has by now.
func (m *model) lost(by *member, e *Event) {
	others := make([]view, 0, m.s.Nodes)
	for _, o := range by.members {
		if o.up && o != by {
			others = append(others, view{o, o.holds()})
		}
	}
	for _, f := range m.order {
		f.uncount(others)
		for i := len(f.tales) - 1; i >= 0; i-- {
			t := &f.tales[i]
			if t.fragile {
				continue
			}
			if e.State && t.at < by.saved && t.applied>>by.number&1 != 0 && (view{by, by.kept}).says(f, t) { // else an earlier life had it
				break
			}
			own := t.node == by.number && t.life == by.lives
			had := func(v view) bool { return v.has(f, t) && !f.undone(v.member, i) }
			if own && !every(others, had) || !slices.ContainsFunc(others, had) || e.State && t.forgotten(others) {
				m.perhaps(by, f, i)
				continue
			}
			break
		}
	}
}

// uncount notes which completions no other node has counted itself.
func (f *fate) uncount(others []view) {
	for i := range f.tales {
		t := &f.tales[i]
		t.uncounted = t.uncounted || t.flags.Completion() &&
			every(others, func(v view) bool { return v.began > t.at || t.applied>>v.number&1 == 0 })
	}
}

// view is what a node holds at a moment.
type view struct {
	*member
	held map[Client]state
}

// has reports whether the node has applied a tale in this life, or holds what it says.
func (v view) has(f *fate, t *tale) bool {
	return v.began <= t.at && (t.node == v.number || t.applied>>v.number&1 != 0) || v.says(f, t)
}

// says reports whether it holds what a tale says.
func (v view) says(f *fate, t *tale) bool {
	held := v.held[f.Client]
	if held == 0 {
		held = absent
	}
	return held == stateOf(t.flags)
}

// forgotten reports whether a tale is a stop that no other node has in its journal: a snapshot that is older brings the client back.
func (t *tale) forgotten(others []view) bool {
	return t.flags == wire.Stopped && every(others, func(v view) bool { return v.began > t.at })
}

func every(others []view, is func(view) bool) bool {
	return !slices.ContainsFunc(others, func(v view) bool { return !is(v) })
}

// perhaps marks a tale as one that may be lost unless, as soon as what is under way has arrived, all others have it.
func (m *model) perhaps(by *member, f *fate, i int) {
	f.tales[i].fragile = true
	if f.tales[i].flags == wire.Stopped {
		return
	}
	by.at(by.now+2*slack, func() {
		t, others := &f.tales[i], 0
		for _, o := range by.members {
			if !o.up || o == by {
				continue
			}
			if others++; !(view{o, o.holds()}).has(f, t) || f.undone(o, i) {
				return
			}
		}
		t.fragile = others == 0
	})
}

// undone reports whether a node that seems to have tale i has not heard of a stop before it, and so only has what was true before that: the
// node that told both may have kept the stop, and lost what followed.
func (f *fate) undone(by *member, i int) bool {
	return f.tales[i].applied>>by.number&1 == 0 && slices.ContainsFunc(f.tales[:i], func(t tale) bool {
		return t.flags == wire.Stopped && t.node == f.tales[i].node && t.applied>>by.number&1 == 0
	})
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

// state returns what an announce says of its client.
func (e *Event) state() state {
	switch {
	case e.Stopped:
		return absent
	case e.Seeder:
		return seeder
	}
	return leecher
}

// flags returns what a record would say of it.
func (e *Event) flags() wire.Flags {
	switch e.state() {
	case absent:
		return wire.Stopped
	case seeder:
		return wire.Seeding
	}
	return 0
}

// stateOf returns what a record says of its client.
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
func (m *model) allowed(by *member, f *fate) state {
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
	if s&leecher != 0 && f.seeded > 0 && anchor != nil && anchor.at-f.seeded < m.window()+m.s.Timeout/60 {
		s |= seeder // which it was shortly before: ages are no finer than ticks, and a stream that brought it took up to one off
	}
	return s | m.aged(by, f)
}

// window is how close together two records are concurrent. Where ages are compared they have the width of a tick.
func (m *model) window() time.Duration { return concurrent + 2*m.s.Timeout/60 }

// aged returns absent when a client may have been forgotten for its silence. How long a node was down it knows by the wall clock only: when that was
// set forward meanwhile, all in its snapshot are as much older, and so they are for a node that starts afterwards and catches up from it.
func (m *model) aged(by *member, f *fate) state {
	for i := len(f.tales) - 1; i >= 0; i-- {
		if t := &f.tales[i]; !t.untold {
			silent := m.s.End - t.at
			step := time.Duration(0)
			for _, o := range by.members {
				if t.at < o.stepped && (o == by || o.stepped <= by.began) {
					step = max(step, o.step)
				}
			}
			silent += step
			if silent < m.s.Timeout-m.window() {
				return 0
			}
			break
		}
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
		switch {
		case t.untold:
			b.WriteString(", untold")
		case t.fragile:
			b.WriteString(", fragile")
		}
		b.WriteString("]")
	}
	return b.String()
}
