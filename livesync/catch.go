package livesync

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starling/livesync/catchup"
	"starling/wire"
)

// CatchUp is what a node of the keyed mode needs to catch up with others, and to let others catch up with it. See package catchup.
type CatchUp struct {
	catchup.Store
	// Since is up to when the store knows all, or with Part a part, from a snapshot. Zero: it knows nothing.
	Since time.Time
	Part  bool
	// Memory is what it knew beside it, of which the ages are true at Recalled.
	Memory   catchup.Memory
	Recalled time.Time
	// Timeout is the store's peer timeout.
	Timeout time.Duration
}

// leastUptime is how long a node has been running at least when we hear of it: clocks and epochs are not exact.
const leastUptime = 10 * time.Second

// unknownUptime is how long a node is taken to have been running whose clock shows a time before its start: longer than peers live.
const unknownUptime = 24 * time.Hour

// catching is a node's part in catching up. It is made when the node is, and never in plain mode.
//
// The node's lock guards the machine. The journal and the learner have locks of their own, because [Node.Offer] is called under
// locks of the store.
type catching struct {
	CatchUp
	journal *catchup.Journal                // of stops
	returns *catchup.Journal                // of all else
	learner atomic.Pointer[catchup.Learner] // of the stream that comes
	early   earlyCompletions
	tls     *tls.Config
	wanted  chan struct{} // the machine may want something

	machine *catchup.Machine // nil: the node has not started
	port    uint16           // where others can ask
	runs    bool             // Run asks; else whoever drives the node does
	status  CatchUpStatus
}

// CatchUpStatus is how a node stands with catching up.
type CatchUpStatus struct {
	Ready    bool // it has caught up since its start, or there was nobody to ask
	Complete bool // it knows all that the cluster knows
	Running  bool // a stream comes; those below are of that, or of the last one
	From     wire.NodeID
	Torrents uint64
	Peers    uint64
	Expected uint64 // peers that the other node has, of which it may send a part only
	Took     time.Duration

	Streams uint64 // that came to their end
	Failed  uint64 // that did not
	Waiting int    // streams that are still to be asked for
}

func newCatching(cfg *Config) (*catching, error) {
	config, err := catchup.TLS(cfg.Keys)
	c := &catching{CatchUp: *cfg.CatchUp, journal: catchup.NewJournal(time.Time{}), returns: catchup.NewReturns(time.Time{}), tls: config, wanted: make(chan struct{}, 1)}
	c.Learned = c.journal.Learn
	return c, err
}

// start begins to listen for nodes. What is remembered from before is told to whoever asks. The caller holds n.mu.
func (c *catching) start(now time.Time) {
	c.journal.Begin(now)
	c.journal.Learn(now, now.Sub(c.Recalled), c.Memory.Stops)
	c.returns.Begin(now)
	c.machine = catchup.NewMachine(now, c.Since, c.Part, c.Timeout)
	c.machine.Recall(c.Recalled, c.Memory.Known)
	c.Memory = catchup.Memory{}
}

// blur is how much longer ago than it says a peer of an excerpt may have been told or seen, with room: stores count in ticks. Stops
// that long before the cut matter to it, too.
func (c *catching) blur() time.Duration { return c.Timeout / 15 }

// poke wakes whoever asks.
func (c *catching) poke() {
	select {
	case c.wanted <- struct{}{}:
	default:
	}
}

// earlyCompletions are those since the start, until a stream has brought what was counted before, or nobody could tell it.
type earlyCompletions struct {
	over atomic.Bool
	mu   sync.Mutex // guards the rest
	rs   []wire.Record
}

// mostEarly bounds how many are kept in mind; of more a few are not counted.
const mostEarly = 1 << 16

// add notes those of the records that are completions.
func (e *earlyCompletions) add(rs ...wire.Record) {
	if e.over.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range rs {
		if f := rs[i].Flags; f.Completion() && f&wire.Stopped == 0 && len(e.rs) < mostEarly {
			e.rs = append(e.rs, rs[i])
		}
	}
}

// all returns them.
func (e *earlyCompletions) all() []wire.Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rs[:len(e.rs):len(e.rs)]
}

// end forgets them.
func (e *earlyCompletions) end() {
	e.over.Store(true)
	e.mu.Lock()
	e.rs = nil
	e.mu.Unlock()
}

// offered is told of what this node tells. It does not block for long.
func (c *catching) offered(r *wire.Record) {
	if l := c.learner.Load(); l != nil {
		l.Note(*r)
	}
	c.early.add(*r)
	if r.Flags&wire.Stopped != 0 {
		c.journal.Add(r.InfoHash, r.Peer)
	} else {
		c.returns.Add(r.InfoHash, r.Peer)
	}
}

// tick tells the journals the time, which [catching.offered] does not know: at each STATE that is heard, and when the sender looks for something to send.
func (c *catching) tick(now time.Time) {
	c.journal.Tick(now)
	c.returns.Tick(now)
}

// heard is told of what other nodes tell, and how long ago it arrived if it was held for long, before it is applied.
func (c *catching) heard(now time.Time, ago time.Duration, rs []wire.Record) {
	c.tick(now)
	if l := c.learner.Load(); l != nil {
		l.Note(rs...)
	}
	c.early.add(rs...)
	c.journal.AddAll(rs, true, ago)
	c.returns.AddAll(rs, false, ago)
}

// describe changes what the node says of itself while it has not caught up. The caller holds n.mu.
func (c *catching) describe(m *Member) {
	m.CatchUpPort = c.port
	if m.Health == wire.Healthy && (c.machine == nil || !c.machine.Ready() || c.machine.Behind()) {
		m.Health = wire.CatchingUp
	}
}

// heedOther is told of the STATE of a believed node. The caller holds n.mu.
func (n *Node) heedOther(now time.Time, sender *node, st *wire.State) {
	c := n.catch
	if c == nil || c.machine == nil {
		return
	}
	c.tick(now)
	c.machine.Heard(now, catchup.Other{
		Want:   catchup.Want{ID: sender.id, Epoch: sender.life.epoch, Addr: netip.AddrPortFrom(sender.address.Addr(), st.CatchUpPort)},
		Uptime: uptime(st.Sent, sender.life.epoch), Health: st.Health, Peers: st.Peers, First: sender.life.first,
	})
	c.poke()
}

// uptime returns how long a node has been running that sent a STATE at a time by its clock. Its epoch is when it started, unless the clock
// was set back, then or since.
func uptime(sent int64, epoch uint64) time.Duration {
	if up := time.Duration(sent - int64(epoch)); up >= 0 {
		return max(up, leastUptime)
	}
	return unknownUptime
}

// Knows is told, before the node runs, up to when the store knows all, or a part, and what it knew beside; see [CatchUp].
func (n *Node) Knows(now, since time.Time, part bool, m catchup.Memory) {
	if c := n.catch; c != nil {
		c.Since, c.Part, c.Memory, c.Recalled = since, part, m, now
	}
}

// Remembers returns what the node knows beside its store, for its snapshot.
func (n *Node) Remembers(now time.Time) catchup.Memory {
	if n.catch == nil {
		return catchup.Memory{}
	}
	return catchup.Memory{Stops: n.catch.journal.Since(now, time.Time{}), Known: n.knowsOthers(now)}
}

// knowsOthers returns how far the node knows what others told: of what it says so, all was applied.
func (n *Node) knowsOthers(now time.Time) []catchup.Known {
	n.order.Lock()
	defer n.order.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	if c.machine == nil {
		return c.Memory.Known
	}
	return c.machine.Knows(now, n.knows(now))
}

// SetCatchUpPort is told at which port other nodes may ask this one; 0: at none.
func (n *Node) SetCatchUpPort(port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.catch != nil {
		n.catch.port = port
	}
}

// fellBehind is told that something that a node told at since or later did not arrive and will not be sent again. The caller holds n.mu.
func (n *Node) fellBehind(now time.Time, id wire.NodeID, since time.Time) {
	if c := n.catch; c != nil && c.machine != nil {
		c.machine.Lost(now, id, since)
		c.poke()
		n.poke()
	}
}

// left is told that a node has ended. The caller holds n.mu.
func (n *Node) left(id wire.NodeID) {
	if c := n.catch; c != nil && c.machine != nil {
		c.machine.Gone(id)
	}
}

// catchDue returns when [Node.Fetch] has to be called again, for whoever drives the node. The caller holds n.mu.
func (n *Node) catchDue(now time.Time) time.Time {
	if c := n.catch; c != nil && c.machine != nil && !c.runs {
		return c.machine.Due(now)
	}
	return time.Time{}
}

// Fetch returns the stream that is to be asked for now, and the bytes to ask with; nil when there is none. Its bytes are for
// [Node.Fetched], as many at a time as [Node.FetchSize] says, and its end for [Node.FetchOver].
func (n *Node) Fetch(now time.Time) (want *catchup.Want, request []byte) {
	want, request, l := n.beginFetch(now)
	if want != nil { // there may be a million, for which nobody else waits
		c, since := n.catch, want.Since.Add(-n.catch.blur())
		l.Believe(now, c.journal.Since(now, since), c.returns.Since(now, since))
	}
	return want, request
}

// beginFetch chooses the stream, and makes who takes it in.
func (n *Node) beginFetch(now time.Time) (want *catchup.Want, request []byte, l *catchup.Learner) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	if c == nil || c.machine == nil {
		return nil, nil, nil
	}
	ready := c.machine.Ready()
	want = c.machine.Next(now)
	if !ready && c.machine.Ready() {
		c.early.end()
		n.log.Info().Msg("there is no other node to catch up from")
	}
	if want == nil {
		return nil, nil, nil
	}
	c.status.Running, c.status.From, c.status.Torrents, c.status.Peers, c.status.Expected, c.status.Took = true, want.ID, 0, 0, 0, 0
	l = catchup.NewLearner(now, c.Store, *want)
	l.Early(c.early.all())
	c.learner.Store(l)
	r := want.Request(want.After, n.ident.id, n.keyed.sealer.Epoch())
	n.log.Debug().Stringer("node", want.ID).Stringer("address", want.Addr).Dur("within_ms", r.Within).Msg("catching up: asks a node")
	return want, r.Append(nil), l
}

// FetchSize returns how many bytes of the stream that comes are to be given to Fetched next, 0 when it came to its end.
func (n *Node) FetchSize() int {
	if l := n.learner(); l != nil {
		return l.Size()
	}
	return 0
}

// Fetched takes in the next bytes of the stream that comes. After an error the stream is to be ended.
func (n *Node) Fetched(now time.Time, b []byte) error {
	l := n.learner()
	if l == nil {
		return nil
	}
	err := l.Take(now, b) // may take some time, and applies records
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	c.machine.Moved(now)
	p := l.Progress()
	c.status.Torrents, c.status.Peers, c.status.Expected = p.Torrents, p.Peers, p.Header.Peers
	return err
}

// FetchStalled reports whether the stream that comes has stood still for so long that it is to be ended.
func (n *Node) FetchStalled(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.catch != nil && n.catch.machine != nil && n.catch.machine.Stalled(now)
}

// FetchOver is told that the stream is over: with an error, or, if it came to its end, without.
func (n *Node) FetchOver(now time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	if c == nil || c.machine == nil || c.machine.Going() == nil {
		return
	}
	want := *c.machine.Going()
	l := c.learner.Load()
	c.learner.Store(nil)
	if err == nil && !l.Ended() {
		err = catchup.ErrCounts
	}
	p := l.Progress()
	known := slices.DeleteFunc(p.Known, func(k catchup.Known) bool { return k.ID == n.ident.id })
	c.machine.Ended(now, &p.Header, known, err)
	c.status.Running, c.status.Took = false, now.Sub(l.Asked())
	if err != nil {
		c.status.Failed++
		n.log.Warn().Stringer("node", want.ID).Stringer("address", want.Addr).Err(err).Uint64("peers", p.Peers).Msg("catching up was cut short")
	} else {
		c.status.Streams++
		n.log.Info().Stringer("node", want.ID).Uint64("torrents", p.Torrents).Uint64("peers", p.Peers).Uint64("stops", p.Stops).
			Int("forgotten", p.Gone).Dur("ms", c.status.Took).Msg("caught up with another node")
	}
	if c.machine.Ready() {
		c.early.end()
		n.keyed.state.hurry(now, n.rng) // the others may ask us from now on
	}
	c.poke()
	n.poke()
}

func (n *Node) learner() *catchup.Learner {
	if n.catch == nil {
		return nil
	}
	return n.catch.learner.Load()
}

// Answer returns the stream that another node asks for, block by block.
func (n *Node) Answer(now time.Time, r catchup.Request) (*catchup.Teller, error) {
	c := n.catch
	complete, known, ok := n.answers(now, &r)
	if !ok {
		return nil, catchup.ErrTarget
	}
	h := catchup.Header{ID: r.Target, Epoch: r.TargetEpoch, Within: r.Within, Complete: complete}
	var leavers []wire.Leaver
	if r.Within != 0 { // there may be a million, for which nobody else waits
		leavers = c.journal.Since(now, now.Add(-r.Within-c.blur()))
		if r.All || r.Within > c.journal.Reach(now) {
			h.Within = 0 // of all stops before that, what is there now tells
		}
	}
	h.Torrents, h.Peers = c.Count()
	return catchup.NewTeller(now, h, catchup.Memory{Stops: leavers, Known: known}, c.Walk(h.Within)), nil
}

// answers reports whether it is this node that is asked, whether it knows all that the cluster knows, and how far it knows what others told: of what
// it says so all was applied.
func (n *Node) answers(now time.Time, r *catchup.Request) (complete bool, known []catchup.Known, ok bool) {
	n.order.Lock()
	defer n.order.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	if c == nil || c.machine == nil || r.Target != n.ident.id || !n.keyed.mine(r.TargetEpoch) {
		return false, nil, false
	}
	known = c.machine.Knows(now, n.knows(now))
	if k, wants := c.machine.Wants(now); wants {
		known = append(known, k)
	}
	return c.machine.Complete(now), known, true
}

// CaughtUp reports whether the node may be sent clients: it has caught up since its start, or there was nobody to ask. A
// node that does not catch up always may.
func (n *Node) CaughtUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.catch
	return c == nil || c.machine != nil && c.machine.Ready()
}

// OutOfStep returns how long ago the node was in step with the others last, as far as it can tell, and 0 when it is: what is told
// from now on is then all that its store will lack.
func (n *Node) OutOfStep(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch c := n.catch; {
	case c == nil:
		return 0
	case c.machine == nil: // it has not begun
		return catchup.NewMachine(now, c.Since, c.Part, c.Timeout).OutOfStep(now)
	default:
		return c.machine.OutOfStep(now)
	}
}

// catchUpStatus returns how it stands. The caller holds n.mu.
func (n *Node) catchUpStatus(now time.Time) CatchUpStatus {
	c := n.catch
	if c == nil || c.machine == nil {
		return CatchUpStatus{Ready: c == nil}
	}
	s := c.status
	s.Ready, s.Complete, s.Waiting = c.machine.Ready(), c.machine.Complete(now), c.machine.Lacks()
	if l := c.learner.Load(); l != nil {
		s.Took = now.Sub(l.Asked())
		s.Waiting-- // it comes
	}
	return s
}
