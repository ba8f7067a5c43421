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
	_, wait := b.tree.Take(now, slices.Index(b.classes, lane.String()), int64(bytes))
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
