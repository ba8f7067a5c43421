package pacer

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// leaseAnswers is how many answers a lease is for.
const leaseAnswers = 40

// Leases are the fast path in front of a Tree. Each shard of the callers (a UDP
// reader, a group of connections) has a cell for each class, in which tokens of
// the tree lie ready: a request takes its own by compare-and-swap and nobody
// waits for anybody. Only when a cell is empty is the tree's lock taken, once
// for some 40 answers. What is left in the cells returns to the tree each
// epoch, the borrowed first.
//
// A class's cells together never hold more than half of what it could have, so
// that a shard that comes late finds something.
type Leases struct {
	cells   []cell // shards x classes
	shards  int    // a power of two
	classes int

	mu   sync.Mutex // guards what follows, and the grant of each cell
	tree *Tree
}

// pocket holds tokens that were taken from a bucket ahead of use.
type pocket struct {
	left atomic.Int64 // below zero: charged, and not asked for
}

// linePocket is a pocket on a cache line of its own.
type linePocket struct {
	pocket
	_ [64 - 8]byte
}

// cell is the lease of one shard for one class, on a cache line of its own.
type cell struct {
	pocket
	grant Grant // what the tree gave since the last return; guarded by Leases.mu
	_     [64 - 8 - 8*maxDepth]byte
}

// NewLeases puts cells for so many shards, or a few more, in front of a tree, which belongs to
// the Leases from now on.
func NewLeases(tree *Tree, shards int) *Leases {
	l := &Leases{shards: 1 << bits.Len(uint(max(shards, 1)-1)), classes: len(tree.leaves), tree: tree}
	l.cells = make([]cell, l.shards*l.classes)
	return l
}

// cell returns the cell of a shard, any number, for a class.
func (l *Leases) cell(shard, class int) *cell {
	return &l.cells[(shard&(l.shards-1))*l.classes+class]
}

// spend takes n tokens if the pocket has them.
func (p *pocket) spend(n int64) bool {
	for {
		left := p.left.Load()
		if left < n {
			return false
		}
		if p.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// Admit takes n tokens for a request of a class, from the shard's lease if it
// has them. It does not look at queues: a Gate does.
func (l *Leases) Admit(now time.Time, shard, class int, n int64) bool {
	c := l.cell(shard, class)
	if c.spend(n) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewLocked(now, c, class, n)
}

// renewLocked admits a request that found too little in its cell, with a new
// lease. One that goes into debt gets just its own tokens.
func (l *Leases) renewLocked(now time.Time, c *cell, class int, n int64) bool {
	left := c.left.Swap(0)
	if left < 0 {
		l.tree.Charge(now, class, -left)
		left = 0
	}
	if left >= n { // another of this shard was here before
		c.left.Add(left - n)
		return true
	}
	need := n - left
	spare := l.tree.Available(now, class) / int64(2*l.shards)
	g := l.tree.Lease(now, class, need, max(need, min(need+(leaseAnswers-1)*n, spare)))
	got := g.Total()
	if got == 0 {
		c.left.Add(left)
		return false
	}
	for d, v := range g {
		c.grant[d] += v
	}
	c.left.Add(left + got - n)
	return true
}

// Charge books tokens on a class that are spent already: a UDP answer that was
// not admitted and is sent all the same, or what an answer was larger than the
// n it was admitted with. Below zero it gives back what was not used: the
// answer was smaller, or TCP did not take it. It takes no lock.
func (l *Leases) Charge(shard, class int, n int64) {
	l.cell(shard, class).left.Add(-n)
}

// Reclaim returns what is left in all cells to the tree. It is called each
// epoch: a class that comes back to its rate finds it there.
func (l *Leases) Reclaim(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reclaimLocked(now)
}

func (l *Leases) reclaimLocked(now time.Time) {
	for class := range l.classes {
		l.reclaimClassLocked(now, class)
	}
}

// reclaimClassLocked empties the cells of one class.
func (l *Leases) reclaimClassLocked(now time.Time, class int) {
	for shard := range l.shards {
		c := l.cell(shard, class)
		left := c.left.Swap(0)
		switch {
		case left < 0:
			l.tree.Charge(now, class, -left)
		case left > 0:
			l.tree.Return(now, class, c.grant.unspent(left))
		}
		c.grant = Grant{}
	}
}
