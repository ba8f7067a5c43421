package pacer

import (
	"fmt"
	"time"
)

// maxDepth is how many levels a tree has, root included: root, wan or lan,
// class, and one more for who wants it.
const maxDepth = 4

// Tree divides a rate among classes as HTB does: each has a rate that it can
// count on and a ceiling up to which it may borrow what others leave.
//
// A class has two buckets. Its own is filled at its rate: the tokens in it are
// a claim, which nobody else can borrow. The other is filled at its ceiling and
// pays for everything that the class and those below it send. An inner class's
// own bucket pays for what those below it send on their claims, and what it
// holds beyond their claims it lends.
//
// So the root's level is never much below the sum of all claims: whoever has
// waited for its rate gets it at once, whoever borrows, and in every window
// no more than the root's rate, its burst and one request goes out.
//
// A Tree has no lock: its holder guards it. A class is named by its number in
// Classes.
type Tree struct {
	config []Class
	full   int64   // the rate it was built with
	nodes  []*node // the root first, parents before children
	leaves []*node
	now    time.Time // up to when all buckets are filled
	asking []bool    // by the number of a class: it was refused by Await, and is to ask again
	asked  time.Time // when that changed
}

// node is a class at work.
type node struct {
	shape
	path      []*node // itself, its parent, and so on to the root
	children  []*node
	own, ceil Bucket

	ownHold, ceilHold hold
	wanted            int64 // a second at most by requests that wait, as of the last drain

	actual                Rates
	spent, borrowed, lent int64 // since the start
}

// Grant says where tokens came from: [0] were the class's own, [1] its parent
// lent, and so on.
type Grant [maxDepth]int64

// Total returns how many tokens a grant has.
func (g Grant) Total() (n int64) {
	for _, v := range g {
		n += v
	}
	return n
}

// unspent returns what is to be given back when n of the tokens were not used:
// first what was borrowed, from farthest away. More than were granted are
// counted as own ones.
func (g Grant) unspent(n int64) (back Grant) {
	for d := maxDepth - 1; d > 0; d-- {
		back[d] = min(n, g[d])
		n -= back[d]
	}
	back[0] = n
	return back
}

// NewTree builds a tree of a rate in tokens a second, with all buckets full.
// burst 0: 20 ms of the rate. It refuses a wrong tree with the numbers that do
// not fit.
func NewTree(name string, rate, burst int64, classes []Class, now time.Time) (*Tree, error) {
	all, err := shapes(name, rate, burst, classes, false)
	if err != nil {
		return nil, err
	}
	t := &Tree{config: classes, full: rate, now: now}
	for _, s := range all {
		n := &node{shape: s}
		n.path = []*node{n}
		if s.parent >= 0 {
			parent := t.nodes[s.parent]
			n.path = append(n.path, parent.path...)
			parent.children = append(parent.children, n)
		}
		n.own = NewBucket(s.rate, s.burst, now)
		n.ceil = NewBucket(s.ceil, s.ceilBurst(), now)
		n.ownHold.shared, n.ceilHold.shared = s.hasChildren, s.hasChildren
		t.nodes = append(t.nodes, n)
		if s.parent >= 0 && !s.hasChildren {
			t.leaves = append(t.leaves, n)
		}
	}
	if len(t.leaves) == 0 {
		return nil, fmt.Errorf("%s: it has no classes", name)
	}
	return t, nil
}

// ceilBurst is the burst of the bucket for the ceiling. The root's has to be
// its own: there is nothing to borrow above it.
func (s shape) ceilBurst() int64 {
	if s.parent < 0 {
		return s.burst
	}
	return max(BurstOf(s.ceil), s.burst)
}

// Classes returns the names of the classes that requests can be of, those
// without others below them, in the order of their numbers.
func (t *Tree) Classes() []string {
	names := make([]string, len(t.leaves))
	for i, n := range t.leaves {
		names[i] = n.Name
	}
	return names
}

// Resize gives the root another rate and works everything out again from
// scratch. Absolute amounts that no longer fit shrink in proportion.
func (t *Tree) Resize(now time.Time, rate int64) error {
	all, err := shapes(t.nodes[0].Name, rate, t.nodes[0].Burst, t.config, true)
	if err != nil {
		return err
	}
	t.tune(now, all)
	return nil
}

// Tune changes rates, ceilings, bursts, priorities and waits while the tree
// works; debts and levels stay. The classes must be the same ones in the same
// order, and fit the rate that the tree was built with; a wrong tree or another
// one leaves all as it was.
func (t *Tree) Tune(now time.Time, classes []Class) error {
	root := t.nodes[0]
	all, err := shapes(root.Name, t.full, root.Burst, classes, false)
	if err != nil {
		return err
	}
	if len(all) != len(t.nodes) {
		return fmt.Errorf("%d classes, and %d are running: a restart is needed", len(all)-1, len(t.nodes)-1)
	}
	for i, n := range t.nodes {
		if all[i].Name != n.Name || all[i].parent != n.shape.parent {
			return fmt.Errorf("class %q stands where %q is running: a restart is needed", all[i].Name, n.Name)
		}
	}
	t.config = classes
	return t.Resize(now, root.rate)
}

func (t *Tree) tune(now time.Time, all []shape) {
	for i, n := range t.nodes {
		n.shape = all[i]
		n.own.SetRate(now, n.rate, n.burst)
		n.ceil.SetRate(now, n.shape.ceil, n.ceilBurst())
	}
}

// advance fills all buckets up to now: a class's room depends on the claims of
// all others. Callers who pass a coarse clock pay for it once per tick.
func (t *Tree) advance(now time.Time) {
	if now.Equal(t.now) {
		return
	}
	t.now = now
	for _, n := range t.nodes {
		n.own.refill(now)
		n.ceil.refill(now)
	}
}

// claims returns how many of a node's tokens those below it can count on. The
// begun token of each is not counted: it may be lent, and is made up for by what
// comes next.
func (n *node) claims() (sum int64) {
	for _, c := range n.children {
		sum += max(c.own.level, 0)
	}
	return sum
}

// room returns how many tokens a class can have from d steps up its path, as
// of the last advance: none unless every ceiling on the path has room. A
// borrower leaves alone what is claimed; what a lender lends is part of its own
// claim on those above it.
func (n *node) room(d int) int64 {
	lender := n.path[d]
	room := lender.own.level - lender.claims()
	for i, a := range n.path {
		free := a.ceil.level
		if d > 0 {
			free -= a.claims()
		}
		if d > 0 && i > d {
			free += max(n.path[i-1].own.level, 0)
		}
		room = min(room, free)
	}
	return room
}

// lender returns the nearest node from which a class can have tokens, in steps
// up its path, from the given step on; -1: there is none.
func (n *node) lender(from int) int {
	for d := from; d < len(n.path); d++ {
		if n.room(d) > 0 {
			return d
		}
	}
	return -1
}

// pay books n tokens from d steps up; below zero they come back, and what is
// beyond a burst is gone.
func (t *Tree) pay(c *node, d int, n int64) {
	for i, a := range c.path {
		a.ceil.refund(-n)
		if i >= d {
			a.own.refund(-n)
		}
		a.spent += n
		a.actual.Add(t.now, n)
	}
	if d > 0 {
		c.borrowed += n
		c.path[d].lent += n
	}
}

// Take admits one request of n tokens if there is at least one, own or lent;
// the rest becomes the lender's debt. Else it returns how long it is at most
// until the class's own rate allows one; there may be something to borrow
// before.
func (t *Tree) Take(now time.Time, class int, n int64) (g Grant, wait time.Duration) {
	t.advance(now)
	c := t.leaves[class]
	d := c.lender(0)
	if d < 0 {
		return g, c.wait()
	}
	t.pay(c, d, n)
	g[d] = n
	return g, 0
}

// TakeOwn admits a request of n tokens if the class has one of its own,
// whatever debts those above it have: Charge made them, for what could not be
// refused. It is for work that must go on beside that, at its assured rate.
func (t *Tree) TakeOwn(now time.Time, class int, n int64) bool {
	t.advance(now)
	c := t.leaves[class]
	if c.own.level <= 0 || c.ceil.level <= 0 {
		return false
	}
	t.pay(c, 0, n)
	return true
}

// Lease takes up to want tokens ahead of use, the class's own first, without
// debt. If there are some but fewer than need, they are made up to need by a
// debt of the last lender: one request is admitted as by Take.
func (t *Tree) Lease(now time.Time, class int, need, want int64) (g Grant) {
	t.advance(now)
	c := t.leaves[class]
	last, rest := -1, want
	for d := c.lender(0); d >= 0 && rest > 0; d = c.lender(d + 1) {
		n := min(rest, c.room(d))
		t.pay(c, d, n)
		g[d] += n
		rest -= n
		last = d
	}
	if short := need - (want - rest); last >= 0 && short > 0 {
		t.pay(c, last, short)
		g[last] += short
	}
	return g
}

// Return gives back what of a lease was not used.
func (t *Tree) Return(now time.Time, class int, g Grant) {
	t.advance(now)
	for d, n := range g {
		if n != 0 {
			t.pay(t.leaves[class], d, -n)
		}
	}
}

// Charge books n tokens that are spent already, asked or not: a UDP answer, or
// what an answer was larger than thought. The debt of each bucket ends at one
// second of its rate, so that a flood of what cannot be refused does not
// silence the rest for longer.
func (t *Tree) Charge(now time.Time, class int, n int64) {
	t.advance(now)
	c := t.leaves[class]
	t.pay(c, 0, n)
	for _, a := range c.path {
		a.own.level = max(a.own.level, -a.rate)
		a.ceil.level = max(a.ceil.level, -a.shape.ceil)
	}
}

// Available returns how many tokens a class can have now, own and lent.
func (t *Tree) Available(now time.Time, class int) (n int64) {
	t.advance(now)
	c := t.leaves[class]
	most := c.ceil.level
	for d := range c.path {
		n += max(c.room(d), 0)
		most = min(most, c.path[d].ceil.level)
	}
	return max(min(n, most), 0)
}

// wait returns how long it takes until the class's own rate and all ceilings
// on its path have a token.
func (n *node) wait() time.Duration {
	wait := n.own.waitFor(1)
	for _, a := range n.path {
		wait = max(wait, a.ceil.waitFor(1))
	}
	return wait
}
