package catchup

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"starling/wire"
)

// Waits of a machine.
const (
	// patience is how long a node that has just started waits for the first that could be asked: five STATEs.
	patience = 5 * time.Second
	// lookAround is how long it looks for a better one while all that it hears are catching up themselves.
	lookAround = 3 * time.Second
	// company is how long it waits for others to be heard once one is: what is asked for after all are heard is complete.
	company = 300 * time.Millisecond
	// stall is how long a stream may stand still, and an answer may take.
	stall = 10 * time.Second
	// firstRest and lastRest bound how long a node is left alone that could not be caught up from.
	firstRest = 2 * time.Second
	lastRest  = 20 * time.Second
	// hearsay is how long a node that serves already notes what comes before it asks: by then the other node has heard, or had
	// repaired, what this one knew before. What is older in the stream must not undo it.
	hearsay = 2 * time.Second
	// forgotten is when a node that says nothing is not asked any more.
	forgotten = 5 * time.Second
	// remembered is for how long it is known again when it is heard again.
	remembered = time.Hour
	// maxAttempts is how often a node that is heard is asked before others are for what all may know, and ownAttempts before they are
	// for what only it may know: some two minutes, while it may be heard and not hear.
	maxAttempts = 3
	ownAttempts = 8
)

// Other is what a node of which we know that it lives says of itself.
type Other struct {
	Want    // whom to ask: ID, Epoch and Addr; a port of 0 says that it cannot be asked
	Uptime  time.Duration
	Health  wire.Health
	Peers   uint64
	First   uint32 // the first packet of records of this epoch that we can have heard: what is below it has passed us by
	heard   time.Time
	failed  int
	rest    time.Time // it is left alone until then
	refused bool      // it failed at least once since the start
	silent  bool      // it is not asked: it was not heard lately, or has ended
}

// lack is something to be caught up with.
type lack struct {
	from     wire.NodeID // who knows it for sure; zero: everybody may
	since    time.Time   // zero: everything
	all      bool        // see [Want]
	prune    bool        // see [Want]
	noted    time.Time   // when we learned of it
	attempts int
	after    time.Time // it is not asked for before
	again    bool      // whoever was asked lacked it itself just then
	start    bool      // of what there was before we started
	given    bool      // it is asked of anybody too, while who knows it for sure is silent
}

// Machine decides when to catch up, from whom and since when. It is told what happens and returns what to do:
//
//	state      event                                does                         then
//	waiting    a healthy node was heard 0.3 s ago   fetch from the best          fetching
//	           all heard are catching up, 3 s over  fetch from the best          fetching
//	           nobody was heard for 5 s             -                            ready, idle
//	idle       something lacks                      fetch from who knows it      fetching
//	fetching   end of the stream                    what it brought lacks not    ready, idle
//	           error, or nothing for 10 s           leave that node alone        resting
//	resting    another node can be asked            fetch from it                fetching
//	           2 s .. 20 s over                     fetch from the same          fetching
//	           nobody is left                       -                            ready, resting
//
//	lacks      when                                              since                   from
//	start      the program started                               the snapshot, or all    anybody
//	doubt      it was caught up with from one that was catching  as at the start         anybody
//	           up itself, and somebody is healthy now
//	lost       repair gave up, or the sender has it no more      as repair says          the sender, or anybody
//	met        a node is heard of which we lack what it told     when all was known that  the node
//	           before, as did who told us all at the start       it had told
//	again      whoever told us lacked something just then        as it says              as before, later
//	given      who knew it fell silent, or could not be asked    as it was               anybody, and the node when it is heard again
//	anew       a node is heard in another epoch than before      when it was heard last  the node
//
// What there was before the start comes from one node, which may lack what others told just then, as may our snapshot: so both say how far they
// know each of the others (see [Known]). Until that stream has come nobody is asked for what was told before we heard it; then it is looked, node
// by node, whether the first packet that we heard of follows on what is known.
//
// A node that falls silent and is heard again in the same epoch lacks us nothing: repair finds what was told meanwhile. One that was
// started anew may have told, before, what nobody heard, and have saved it.
//
// Ready stays: a node that serves is not taken out of service because it lacks something. Of nodes the healthy come before those that catch up
// themselves, then the one with the most peers counts.
type Machine struct {
	started  time.Time
	whole    time.Duration // after which a node knows all without having caught up: everybody has announced since
	others   map[wire.NodeID]*Other
	known    map[wire.NodeID]secondHand // of nodes that we have not heard
	lacks    []lack
	going    *Want // the stream that comes
	goes     int   // which lack it is for
	begun    time.Time
	moved    time.Time // when something came last
	first    time.Time // when the first stream was asked for
	met      time.Time // when the last new node was heard
	doubt    *lack     // what was brought since the start by a node that was catching up itself
	ready    bool
	complete bool
}

// NewMachine returns the machine of a node that starts now and knows what there was at since, or with all only a part of it; zero: nothing.
// Timeout is the peer timeout.
func NewMachine(now, since time.Time, all bool, timeout time.Duration) *Machine {
	return &Machine{
		started: now, whole: timeout, others: make(map[wire.NodeID]*Other), known: make(map[wire.NodeID]secondHand),
		lacks: []lack{{since: since, all: all, prune: true, start: true}},
	}
}

// Heard is told of each STATE of a node that is known to live.
func (m *Machine) Heard(now time.Time, o Other) {
	was := m.others[o.ID]
	if was == nil || was.Epoch != o.Epoch {
		m.meet(now, &o, was)
		was = new(Other)
	}
	if m.doubt != nil && was.Health == wire.CatchingUp && o.Health == wire.Healthy {
		m.add(*m.doubt)
		m.doubt = nil
	}
	o.heard, o.failed, o.rest, o.refused = now, was.failed, was.rest, was.refused
	m.others[o.ID] = &o
}

// meet is told of a node that we have not heard in this epoch: until now what it told was not believed. Was is what we knew of it in
// an earlier one, if anything.
func (m *Machine) meet(now time.Time, o, was *Other) {
	m.met = now
	switch {
	case m.starts():
		return // it is asked, or somebody who hears it, for all: see Ended
	case was != nil:
		m.add(lack{from: o.ID, since: was.heard.Add(-margin), noted: now})
	default:
		m.compare(now, o)
	}
}

// starts reports whether what there was before the start is still to come.
func (m *Machine) starts() bool {
	return slices.ContainsFunc(m.lacks, func(l lack) bool { return l.start })
}

// Gone is told that a node has ended.
func (m *Machine) Gone(id wire.NodeID) {
	if o := m.others[id]; o != nil {
		o.silent = true
	}
}

// Lost is told that what a node told since then did not come and will not.
func (m *Machine) Lost(now time.Time, id wire.NodeID, since time.Time) {
	m.add(lack{from: id, since: since, prune: true, noted: now})
}

// add joins what is lacked with what is lacked already: of one node everything since the first time.
func (m *Machine) add(l lack) {
	for i := range m.lacks {
		if was := &m.lacks[i]; was.from == l.from && !(m.going != nil && m.goes == i) {
			was.noted, was.given, was.start, was.after = l.noted, false, was.start || l.start, l.after
			was.again = was.again && l.again
			if !was.since.IsZero() && l.since.Before(was.since) {
				was.since, was.prune, was.all = l.since, l.prune, l.all || was.all
			}
			return
		}
	}
	if len(m.lacks) < maxLacks {
		m.lacks = append(m.lacks, l)
		return
	}
	last := &m.lacks[len(m.lacks)-1]
	*last = lack{since: last.since} // of anybody, then
	if l.since.Before(last.since) {
		last.since = l.since
	}
}

// maxLacks bounds what is kept in mind: more nodes than that are not heard.
const maxLacks = 256

// Next returns the stream that is to be asked for now, nil when there is none. It is told of by Began, Moved and Ended.
func (m *Machine) Next(now time.Time) *Want {
	m.forget(now)
	if m.going != nil || now.Before(m.listenUntil(now)) {
		return nil
	}
	for i := range m.lacks {
		l := &m.lacks[i]
		o := m.choose(now, l)
		if o == nil {
			continue
		}
		w := o.Want
		w.Since, w.All, w.Prune, w.After = m.since(l, o), l.all, l.prune, now
		if w.Since.IsZero() { // who came here since the start may have stopped elsewhere since then
			w.Since, w.All, w.Prune = m.started, true, false
		}
		if m.ready {
			w.After = now.Add(hearsay)
		}
		m.going, m.goes, m.begun, m.moved = &w, i, now, w.After
		if m.first.IsZero() {
			m.first = now
		}
		return m.going
	}
	m.settle()
	return nil
}

// listenUntil returns until when a node that has just started only listens.
func (m *Machine) listenUntil(now time.Time) time.Time {
	if m.ready || !m.first.IsZero() {
		return time.Time{}
	}
	best := m.choose(now, &m.lacks[0])
	switch {
	case best == nil && len(m.askable()) > 0: // all failed
		return time.Time{}
	case best == nil:
		return m.started.Add(patience)
	case best.Health != wire.Healthy:
		return m.started.Add(lookAround)
	}
	return earlier(m.met.Add(company), m.started.Add(patience))
}

// settle makes the node ready when nobody is left who could be asked for what it lacks since its start.
func (m *Machine) settle() {
	if m.ready {
		return
	}
	for _, o := range m.askable() {
		if !o.refused {
			return
		}
	}
	m.ready = true
}

// askable returns the nodes that can be caught up from.
func (m *Machine) askable() (all []*Other) {
	for _, o := range m.others {
		if !o.silent && o.Addr.Port() != 0 && o.Health != wire.Draining {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *Other) int {
		return cmp.Or(cmp.Compare(health(a), health(b)), cmp.Compare(b.Peers, a.Peers), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return all
}

// health orders nodes by what they say of themselves: any health that is not known here is good.
func health(o *Other) int {
	if o.Health == wire.CatchingUp {
		return 1
	}
	return 0
}

// choose returns whom to ask for what is lacked, nil for nobody now: somebody healthy who was there all the time since, and so knows who
// stopped, before anybody else.
func (m *Machine) choose(now time.Time, l *lack) *Other {
	var first *Other
	if now.Before(l.after) {
		return nil
	}
	for _, o := range m.askable() {
		if l.from != (wire.NodeID{}) && l.from != o.ID || now.Before(o.rest) {
			continue
		}
		if first == nil {
			first = o
		}
		if o.Health == wire.Healthy && (l.since.IsZero() || o.Uptime >= o.heard.Sub(l.since)) {
			return o
		}
	}
	return first
}

// forget leaves out nodes that fell silent; what only they knew is asked of anybody, unless it was just they who told us of it, and
// once more of them if they are heard again: while they were not heard by us, they may not have been by anybody.
func (m *Machine) forget(now time.Time) {
	for id, o := range m.others {
		o.silent = o.silent || now.Sub(o.heard) >= forgotten
		if now.Sub(o.heard) >= remembered {
			delete(m.others, id)
		}
	}
	for id, k := range m.known {
		if now.Sub(k.until) >= remembered {
			delete(m.known, id)
		}
	}
	for i := 0; i < len(m.lacks); i++ {
		l := m.lacks[i]
		if l.from == (wire.NodeID{}) || m.going != nil && m.goes == i {
			continue
		}
		known := m.there(l.from)
		switch {
		case known && l.attempts < ownAttempts:
			m.lacks[i].given = false
		case !known && now.Sub(l.noted) < forgotten:
		case !known && m.others[l.from] != nil && l.given:
		case !known && m.others[l.from] != nil && len(m.lacks) < maxLacks:
			m.lacks[i].given, m.lacks[i].attempts = true, 0
			m.add(lack{since: l.since, all: l.all, prune: l.prune, noted: l.noted})
		default:
			m.remove(i)
			i--
			if !l.given {
				m.add(lack{since: l.since, all: l.all, prune: l.prune, noted: l.noted})
			}
		}
	}
}

// there reports whether a node was heard lately.
func (m *Machine) there(id wire.NodeID) bool {
	o := m.others[id]
	return o != nil && !o.silent
}

// remove takes a lack out of the list.
func (m *Machine) remove(i int) {
	m.lacks = slices.Delete(m.lacks, i, i+1)
	if m.goes > i {
		m.goes--
	}
}

// Moved is told that a piece of the stream came.
func (m *Machine) Moved(now time.Time) { m.moved = now }

// Stalled reports whether the stream that comes stands still: it is to be given up, and Ended told.
func (m *Machine) Stalled(now time.Time) bool {
	return m.going != nil && now.Sub(m.moved) >= stall
}

// Ended is told that the stream is over: it came whole, with that header and what its teller knew of other nodes, or did not.
func (m *Machine) Ended(now time.Time, h *Header, known []Known, err error) {
	if m.going == nil {
		return
	}
	l, from, want := &m.lacks[m.goes], m.others[m.going.ID], m.going
	start := !m.ready && l.from == wire.NodeID{}
	i := m.goes
	m.going = nil
	if err != nil {
		l.attempts++
		if from != nil {
			from.rest = now.Add(min(firstRest<<min(from.failed, 10), lastRest))
			from.failed++
			from.refused = true
		}
		return
	}
	if from != nil {
		from.failed = 0
		if start && from.Health == wire.CatchingUp {
			m.doubt = &lack{since: l.since, all: l.all, prune: l.prune, start: true}
		}
	}
	was := *l
	m.remove(i)
	m.ready = m.ready || start
	m.again(now, want, &was, known)
	if was.start {
		m.learn(want.After, was.since, known)
		m.compareAll(now, want.ID)
	}
	if h.Complete && (start || h.Within == 0) {
		m.complete = true
	}
}

// again has what a stream was to bring asked for once more when its teller lacked something itself just then, as it says.
func (m *Machine) again(now time.Time, w *Want, l *lack, known []Known) {
	i := slices.IndexFunc(known, func(k Known) bool { return k.ID == wire.NodeID{} })
	if i < 0 || l.start && m.doubt != nil || l.attempts >= maxAttempts {
		return
	}
	again := lack{from: l.from, since: w.After.Add(-known[i].Age - margin), noted: now, again: true, attempts: l.attempts + 1, after: now.Add(firstRest << l.attempts)}
	if !l.since.IsZero() && again.since.Before(l.since) {
		again.since = l.since
	}
	m.add(again)
}

// Behind reports whether the node still lacks what there was before its start although others have it: it serves, since they
// could not be asked, and is the last to be caught up from.
func (m *Machine) Behind() bool {
	lacks := slices.ContainsFunc(m.lacks, func(l lack) bool { return l.from == wire.NodeID{} && l.since.IsZero() })
	return lacks && slices.ContainsFunc(m.askable(), func(o *Other) bool { return health(o) == 0 })
}

// Due returns when Next has to be called again, the zero time for not before something is heard.
func (m *Machine) Due(now time.Time) time.Time {
	m.forget(now)
	if m.going != nil {
		if at := m.moved.Add(stall); at.After(now) {
			return at
		}
		return time.Time{} // it is stalled, and up to whoever carries it
	}
	var due time.Time
	if until := m.listenUntil(now); now.Before(until) {
		due = until
	}
	for i := range m.lacks {
		l := &m.lacks[i]
		if now.Before(l.after) {
			due = earlier(due, l.after)
		}
		if l.from != (wire.NodeID{}) && m.others[l.from] == nil {
			due = earlier(due, l.noted.Add(forgotten))
		}
	}
	if len(m.lacks) > 0 {
		for _, o := range m.askable() {
			if now.Before(o.rest) {
				due = earlier(due, o.rest)
			}
		}
	}
	return due
}

// Ready reports whether the node has caught up since its start, or nobody could help it.
func (m *Machine) Ready() bool { return m.ready }

// Complete reports whether the node knows all that the cluster knows.
func (m *Machine) Complete(now time.Time) bool {
	return m.ready && (m.complete || now.Sub(m.started) >= m.whole)
}

// OutOfStep returns how long ago the node was in step with the cluster last, 0 when it is, or lacks only what is known to be one
// node's: that is among what it [Machine.Knows].
func (m *Machine) OutOfStep(now time.Time) (behind time.Duration) {
	for i := range m.lacks {
		if l := &m.lacks[i]; l.from == (wire.NodeID{}) {
			behind = max(behind, m.ago(now, l.since))
		}
	}
	return behind
}

// mostBehind is longer ago than any stop that is still known.
const mostBehind = 24 * time.Hour

// Going returns the stream that comes, nil when none does.
func (m *Machine) Going() *Want { return m.going }

// Lacks returns how many streams are still to be asked for, of nodes that are heard.
func (m *Machine) Lacks() (n int) {
	for i := range m.lacks {
		if !m.lacks[i].given {
			n++
		}
	}
	return n
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
