package pacer

import (
	"slices"
	"time"
)

// Outcome is what became of a request at a Gate.
type Outcome uint8

const (
	// Admitted: it has its tokens.
	Admitted Outcome = iota
	// Late: its deadline passed in the queue.
	Late
	// Full: the queue was full, and its client had most in it; or there is no
	// queue for it, as for UDP, and no tokens.
	Full
	// Closed: the gate was closed while it waited.
	Closed
)

// String returns the outcome in a word.
func (o Outcome) String() string { return [...]string{"admitted", "late", "full", "closed"}[o] }

// Epoch is how often a Gate is to be ticked: half of the time in which a full
// burst comes together, so that none of the rate is lost.
const Epoch = 10 * time.Millisecond

// Gate is where the servers ask: leases first, then the queues of the classes.
//
//	Wait    HTTP: on the fast path, else in the queue until there are tokens
//	Try     UDP: on the fast path or not at all; TryWhole where less will do
//	Charge  what was spent without asking, or more or less than asked for
//
// It starts nothing: somebody calls Tick each Epoch.
type Gate struct {
	leases *Leases // its mu guards the shaper and closed, too
	shaper *Shaper[*Waiter]
	ticked time.Time
	closed bool
}

// Waiter is a request in a queue. A connection has one request at a time, and
// so one Waiter for all of them.
type Waiter struct{ outcome chan Outcome }

// NewWaiter returns a waiter for use with any gate, by one request after the
// other.
func NewWaiter() *Waiter { return &Waiter{outcome: make(chan Outcome, 1)} }

// NewGate puts leases for so many shards and queues of at most limit requests
// per class in front of a tree, which belongs to the gate from now on.
func NewGate(tree *Tree, shards, limit int) *Gate {
	return &Gate{leases: NewLeases(tree, shards), shaper: NewShaper[*Waiter](tree, limit), ticked: tree.now}
}

// Try takes n tokens without waiting; false: there are none, or others wait for
// them. For UDP, whose clients repeat what is not answered: the caller answers
// with less and charges for that.
func (g *Gate) Try(now time.Time, shard, class int, n int64) bool {
	c := g.leases.cell(shard, class)
	if c.spend(n) {
		return true
	}
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.lookLocked(now)
	return !g.shaper.Waiting(class) && g.leases.renewLocked(now, c, class, n)
}

// TryWhole is Try without the debt of one request: all n tokens are there, or
// none is taken. An answer that can be made shorter is not worth a debt.
func (g *Gate) TryWhole(now time.Time, shard, class int, n int64) bool {
	c := g.leases.cell(shard, class)
	if c.spend(n) {
		return true
	}
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.lookLocked(now)
	return !g.shaper.Waiting(class) && n <= max(c.left.Load(), 0)+g.leases.tree.Available(now, class) &&
		g.leases.renewLocked(now, c, class, n)
}

// TryOwn is Tree.TakeOwn, for those that Try refused.
func (g *Gate) TryOwn(now time.Time, class int, n int64) bool {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.lookLocked(now)
	return g.leases.tree.TakeOwn(now, class, n)
}

// Charge is Leases.Charge.
func (g *Gate) Charge(shard, class int, n int64) { g.leases.Charge(shard, class, n) }

// Wait takes n tokens, and waits for them in the queue of the class if it has
// to. Every call has exactly one outcome.
func (g *Gate) Wait(now time.Time, w *Waiter, shard, class int, client Client, n int64) Outcome {
	c := g.leases.cell(shard, class)
	if c.spend(n) {
		return Admitted
	}
	if o, queued := g.enqueue(now, w, c, class, client, n); !queued {
		return o
	}
	return <-w.outcome
}

// enqueue is the slow path of Wait: a new lease, or a place in the queue.
func (g *Gate) enqueue(now time.Time, w *Waiter, c *cell, class int, client Client, n int64) (o Outcome, queued bool) {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	if g.closed {
		return Closed, false
	}
	g.lookLocked(now)
	if !g.shaper.Waiting(class) {
		if g.leases.renewLocked(now, c, class, n) {
			return Admitted, false
		}
		// From here on whoever comes goes behind this one, on all shards.
		g.leases.reclaimClassLocked(now, class)
	}
	if victim, full := g.shaper.Push(now, class, client, n, w); full {
		victim.outcome <- Full
	}
	return 0, true
}

// Tick begins a new epoch: leases return, late requests leave, and the queues
// are served.
func (g *Gate) Tick(now time.Time) {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.tickLocked(now)
}

// lookLocked makes up for a tick that is late, by whoever comes.
func (g *Gate) lookLocked(now time.Time) {
	if now.Sub(g.ticked) > late {
		g.tickLocked(now)
	}
}

func (g *Gate) tickLocked(now time.Time) {
	if passed := now.Sub(g.ticked); passed > late {
		g.leases.tree.missed(now, passed)
	}
	g.ticked = now
	g.leases.reclaimLocked(now)
	g.shaper.Expire(now, func(_ int, w *Waiter) { w.outcome <- Late })
	g.shaper.Drain(now, func(_ int, w *Waiter) { w.outcome <- Admitted })
}

// Waiting says whether any request waits.
func (g *Gate) Waiting() bool {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	return slices.ContainsFunc(g.shaper.queues, func(q *Queue[*Waiter]) bool { return q.Len() > 0 })
}

// Close sends all who wait away; whoever comes later and would have to wait
// goes at once.
func (g *Gate) Close() {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.closed = true
	for _, q := range g.shaper.queues {
		for w, _, ok := q.Pop(); ok; w, _, ok = q.Pop() {
			w.outcome <- Closed
		}
	}
}

// Available returns how many tokens a request of a class could have now: none
// while others of its class wait for them. It is what the ladder asks for. What
// was charged to the class before counts, although nobody took it yet.
func (g *Gate) Available(now time.Time, class int) int64 {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.lookLocked(now)
	if g.shaper.Waiting(class) {
		return 0
	}
	g.leases.reclaimClassLocked(now, class)
	return g.leases.tree.Available(now, class)
}

// Tune changes the classes while requests come, run and wait, as Shaper.Tune
// does: no request is lost or served twice, and wrong classes change nothing.
func (g *Gate) Tune(now time.Time, classes []Class) error {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.leases.reclaimLocked(now)
	return g.shaper.Tune(now, classes)
}

// Resize gives the root another rate, as Tree.Resize does.
func (g *Gate) Resize(now time.Time, rate int64) error {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.leases.reclaimLocked(now)
	return g.leases.tree.Resize(now, rate)
}

// GateStats is what there is to see of a gate.
type GateStats struct {
	Classes []ClassStats // the root first, parents before children
	Waited  []Waited     // by the number of the class
	Names   []string     // of the classes, by their numbers
}

// Stats returns the figures of now.
func (g *Gate) Stats(now time.Time) GateStats {
	g.leases.mu.Lock()
	defer g.leases.mu.Unlock()
	g.leases.reclaimLocked(now)
	t := g.leases.tree
	return GateStats{Classes: t.Stats(now), Waited: g.shaper.Stats(), Names: t.Classes()}
}
