package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"starling/livesync"
	"starling/tracker/pacer"
)

// laneBudget is the rate of what livesync sends, divided among its lanes.
type laneBudget struct {
	mu      sync.Mutex // guards tree
	tree    *pacer.Tree
	classes []string // by their numbers; each is named after its lane
}

// lanePause bounds how long a packet waits before it asks again: there may be something to borrow before its class has
// tokens of its own.
const lanePause = pacer.Epoch / 5

// newLaneBudget returns the budget that --livesync-rate asks for, nil when it does not. The error names what asks for too little.
func newLaneBudget(cfg *config, now time.Time) (*laneBudget, error) {
	if cfg.livesyncRate == 0 {
		return nil, nil
	}
	tree, err := pacer.NewTree("livesync", cfg.livesyncRate, 0, pacer.LanClasses(), now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.where("livesync-rate"), err)
	}
	return &laneBudget{tree: tree, classes: tree.Classes()}, nil
}

// ask is livesync's budget.
func (b *laneBudget) ask(now time.Time, lane livesync.Lane, bytes int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.tree.Await(now, slices.Index(b.classes, lane.String()), int64(bytes))
	return min(wait, lanePause)
}

// stats returns the figures of now.
func (b *laneBudget) stats(now time.Time) []pacer.ClassStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tree.Stats(now)
}

// syncBudget is what livesync asks before a packet leaves, for this node's own tracker and those on demand together; nil:
// it does not ask.
func (n *node) syncBudget() func(now time.Time, lane livesync.Lane, bytes int) time.Duration {
	switch {
	case n.lanes != nil:
		return n.lanes.ask
	case n.cfg.oneRoot:
		return func(now time.Time, lane livesync.Lane, bytes int) time.Duration {
			return n.steering.pacing.Sync(now, lane.String(), bytes)
		}
	}
	return nil
}

// tellDebt is what is owed for tells that were asked for: of this node's own tracker and those on demand together.
type tellDebt struct {
	mu   sync.Mutex // guards debt
	debt *pacer.Debt
	ceil func(now time.Time) int64 // bytes a second that tells may have; 0: unlimited
}

// newTellDebt returns the debt of a node whose livesync has a rate, of its own or under one root; nil when it has none.
func (n *node) newTellDebt(now time.Time) *tellDebt {
	d := &tellDebt{ceil: func(time.Time) int64 { return lanCeil(n.cfg.livesyncRate, livesync.TellLane) }}
	switch {
	case n.lanes != nil:
	case n.cfg.oneRoot:
		d.ceil = func(now time.Time) int64 { return lanCeil(n.steering.state(now).rate, livesync.TellLane) }
	default:
		return nil
	}
	d.debt = pacer.NewDebt(d.ceil(now), now)
	return d
}

// lanCeil returns how many bytes a second a lane may have at most of a rate, which in one root livesync may borrow all of.
func lanCeil(rate int64, lane livesync.Lane) int64 {
	tree, err := pacer.NewTree("livesync", max(rate, 1), 0, pacer.LanClasses(), time.Time{})
	if err != nil {
		return min(rate, 1) // too small to be divided
	}
	for _, c := range tree.Stats(time.Time{}) {
		if c.Name == lane.String() {
			return min(c.Ceil, rate)
		}
	}
	return 0
}

// owe is livesync's Owe: it charges a tell when the earlier ones are paid off.
func (d *tellDebt) owe(now time.Time, bytes int64) (wait time.Duration) {
	ceil := d.ceil(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if ceil == 0 { // unlimited, and so is what was charged before
		d.debt = pacer.NewDebt(0, now)
		return 0
	}
	d.debt.SetRate(now, ceil)
	if wait = d.debt.Wait(now); wait == 0 {
		d.debt.Charge(now, bytes)
	}
	return wait
}

// settle is livesync's Settle.
func (d *tellDebt) settle(now time.Time, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.debt.Charge(now, bytes)
}
