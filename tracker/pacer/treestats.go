package pacer

import "time"

// ClassStats is what there is to see of a class. Tokens are bytes or requests,
// as the tree's rate has it.
type ClassStats struct {
	Name, Parent string
	Depth        int // of the root 0
	Priority     int
	Rate, Ceil   int64 // tokens a second
	Actual       int64 // in the last whole second, leases in hand included
	Overrate     int64 // how far Actual is above Rate
	Level        int64 // of its own bucket: below zero a debt
	Spent        int64 // since the start, with all below it
	Borrowed     int64 // of that: not its own
	Lent         int64 // to those below it
}

// overrate is seed 003's figure.
func overrate(actual, rate int64) int64 { return max(0, actual-rate) }

// Stats returns all classes, the root first, parents before children.
func (t *Tree) Stats(now time.Time) []ClassStats {
	t.advance(now)
	stats := make([]ClassStats, len(t.nodes))
	for i, n := range t.nodes {
		actual := n.actual.Last(now)
		stats[i] = ClassStats{
			Name: n.Name, Depth: n.depth, Priority: n.Priority,
			Rate: n.rate, Ceil: n.shape.ceil,
			Actual: actual, Overrate: overrate(actual, n.rate), Level: n.own.level,
			Spent: n.spent, Borrowed: n.borrowed, Lent: n.lent,
		}
		if len(n.path) > 1 {
			stats[i].Parent = n.path[1].Name
		}
	}
	return stats
}

// AppendSeconds appends what a class spent in each of the last 60 seconds.
func (t *Tree) AppendSeconds(now time.Time, class int, dst []int64) []int64 {
	return t.leaves[class].actual.AppendSeconds(now, dst)
}
