package pacer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Class is one class of a Tree as it is configured.
type Class struct {
	Name   string
	Parent string // a class listed before; none: the root

	// Rate is assured. A percentage is of the parent's rate; those of one
	// parent's children may sum up to its own and no further.
	Rate Amount
	// Ceil is the most, with what others lend. A percentage is of the parent's
	// ceiling. None: the rate, so that the class never borrows.
	Ceil Amount
	// Burst is how many tokens it may gather while it is idle. 0: 20 ms of its
	// rate. More makes a class answer bursts at once and take them from the
	// others' borrowing.
	Burst int64
	// Priority orders who borrows first, the smallest number. It has no say
	// over assured tokens.
	Priority int
	// Wait is how long a request may stand in the queue, Scheduler in what order
	// they are served.
	Wait      time.Duration
	Scheduler Discipline
	// Match says which requests are of this class: all that fit any of these.
	Match []Match
}

// The deadlines of the queues. A client of HTTP gives up after some ten
// seconds, and a late answer has cost all that a timely one does.
const (
	announceWait = 2 * time.Second
	scrapeWait   = time.Second
	bulkWait     = 10 * time.Second
)

// WanClasses are the classes of the answers to clients, for a tree of their own.
func WanClasses() []Class {
	return []Class{
		{Name: "event", Rate: Percent(30), Ceil: Percent(100), Priority: 0, Wait: announceWait,
			Match: []Match{{Kinds: []Kind{Started, Completed, Stopped}}}},
		{Name: "regular", Rate: Percent(35), Ceil: Percent(100), Priority: 1, Wait: announceWait,
			Match: []Match{{Kinds: []Kind{Regular}}}},
		{Name: "scrape", Rate: Percent(10), Ceil: Percent(50), Priority: 2, Wait: scrapeWait,
			Match: []Match{{Kinds: []Kind{Scrape}}}},
		{Name: "bulk", Rate: Percent(5), Ceil: Percent(30), Priority: 3, Wait: bulkWait,
			Match: []Match{{Kinds: []Kind{Bulk}}}},
		{Name: "jail", Rate: Percent(2), Ceil: Percent(5), Priority: 4, Wait: announceWait},
	}
}

// LanClasses are the classes of the livesync sender, for a tree of their own.
// Nothing of them stands in a queue here: the sender has its own.
func LanClasses() []Class {
	return []Class{
		{Name: "control", Rate: Percent(2), Ceil: Percent(5), Priority: 0},
		{Name: "live", Rate: Percent(12), Ceil: Percent(60), Priority: 1},
		{Name: "repair", Rate: Percent(4), Ceil: Percent(30), Priority: 2},
		{Name: "tell", Rate: Percent(2), Ceil: Percent(30), Priority: 3},
	}
}

// OneRoot are the classes of answers and those of the livesync sender under
// one root: four fifths are assured to the clients and one to livesync, and
// either may borrow all of the other's. The classes of answers keep their
// numbers.
func OneRoot(answers []Class) []Class {
	both := []Class{{Name: "wan", Rate: Percent(80), Ceil: Percent(100)}}
	for _, c := range answers {
		if c.Parent == "" {
			c.Parent = "wan"
		}
		both = append(both, c)
	}
	both = append(both, Class{Name: "lan", Rate: Percent(20), Ceil: Percent(100)})
	for _, c := range LanClasses() {
		c.Parent = "lan"
		both = append(both, c)
	}
	return both
}

// shape is a class, or the root, with its numbers worked out.
type shape struct {
	Class
	parent      int // -1: it is the root
	depth       int // of the root 0
	rate, ceil  int64
	burst       int64
	usual       int64 // what the children's bursts come to where nothing is said
	hasChildren bool
}

// shapes works out a tree and finds what is wrong in it. The root comes first
// and parents stand before their children.
//
// When shrink is set, amounts that do not fit are made smaller in proportion
// instead of being refused: a share of the uplink that has become less must
// hold whatever the file says in absolute numbers.
func shapes(name string, rate, burst int64, classes []Class, shrink bool) ([]shape, error) {
	if rate <= 0 || rate > maxDebt {
		return nil, fmt.Errorf("%s: a rate of %d a second: it must be from 1 to %d", name, rate, maxDebt)
	}
	all := []shape{{Class: Class{Name: name, Burst: burst}, parent: -1, rate: rate, ceil: rate}}
	for _, c := range classes {
		s, err := newShape(all, c, shrink)
		if err != nil {
			return nil, err
		}
		all[s.parent].hasChildren = true
		all = append(all, s)
	}
	for i := range all {
		if err := checkRates(all, i, shrink); err != nil {
			return nil, err
		}
	}
	for i := len(all) - 1; i >= 0; i-- { // children before parents: theirs is in the parent's
		if err := checkBursts(all, i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// newShape works out one class below those there are.
func newShape(all []shape, c Class, shrink bool) (shape, error) {
	if c.Name == "" {
		return shape{}, fmt.Errorf("class number %d has no name", len(all))
	}
	find := func(name string) int {
		return slices.IndexFunc(all, func(s shape) bool { return s.Name == name })
	}
	if find(c.Name) >= 0 {
		return shape{}, fmt.Errorf("class %q: there are two of that name", c.Name)
	}
	s := shape{Class: c}
	if c.Parent != "" {
		if s.parent = find(c.Parent); s.parent < 0 {
			return shape{}, fmt.Errorf("class %q: its parent %q is not listed before it", c.Name, c.Parent)
		}
	}
	parent := all[s.parent]
	if s.depth = parent.depth + 1; s.depth >= maxDepth {
		return shape{}, fmt.Errorf("class %q: %d levels under the root, at most %d", c.Name, s.depth, maxDepth-1)
	}
	if c.Rate.tokens > maxDebt || c.Ceil.tokens > maxDebt || c.Burst > maxDebt {
		return shape{}, fmt.Errorf("class %q: an amount above %d", c.Name, maxDebt)
	}
	if s.rate = c.Rate.of(parent.rate); shrink {
		s.rate = max(s.rate, 1)
	}
	if s.rate <= 0 {
		return shape{}, fmt.Errorf("class %q: a rate of %d a second: it must be above zero", c.Name, s.rate)
	}
	if s.ceil = s.rate; c.Ceil != (Amount{}) {
		s.ceil = c.Ceil.of(parent.ceil)
	}
	if shrink {
		s.ceil = min(max(s.ceil, 1), parent.ceil)
		s.rate = min(s.rate, s.ceil)
	}
	if s.ceil < s.rate {
		return shape{}, fmt.Errorf("class %q: its ceiling of %d is below its rate of %d", c.Name, s.ceil, s.rate)
	}
	if s.ceil > parent.ceil {
		return shape{}, fmt.Errorf("class %q: its ceiling of %d is above %d, that of %q", c.Name, s.ceil, parent.ceil, parent.Name)
	}
	return s, nil
}

// checkRates holds the children of one class against its rate.
func checkRates(all []shape, parent int, shrink bool) error {
	var sum int64
	var list []string
	for _, s := range all {
		if s.depth > 0 && s.parent == parent {
			sum = addUp(sum, s.rate)
			list = append(list, fmt.Sprintf("%s %d", s.Name, s.rate))
		}
	}
	if sum <= all[parent].rate {
		return nil
	}
	if !shrink {
		return fmt.Errorf("the rates under %q sum up to %d, and it has %d: %s",
			all[parent].Name, sum, all[parent].rate, strings.Join(list, ", "))
	}
	for i := range all {
		if s := &all[i]; s.depth > 0 && s.parent == parent {
			s.rate = max(mulDiv(s.rate, all[parent].rate, sum), 1)
		}
	}
	return nil
}

// addUp adds two numbers not below zero; a sum that does not fit is the largest
// there is.
func addUp(a, b int64) int64 { return a + min(b, math.MaxInt64-a) }

// checkBursts settles the burst of a class and holds its children's against
// it: together they must not be able to send more at once than it may. Where
// nothing is said the burst is 20 ms of the rate, or what that makes for the
// children, whose parts may be rounded up.
func checkBursts(all []shape, parent int) error {
	p := &all[parent]
	var sum, usual int64
	var list []string
	for _, s := range all {
		if s.depth > 0 && s.parent == parent {
			sum = addUp(sum, s.burst)
			usual = addUp(usual, min(s.burst, max(BurstOf(s.rate), s.usual)))
			list = append(list, fmt.Sprintf("%s %d", s.Name, s.burst))
		}
	}
	if p.Burst < 0 {
		return fmt.Errorf("%q: a burst of %d", p.Name, p.Burst)
	}
	if p.burst = p.Burst; p.burst == 0 {
		p.burst = max(BurstOf(p.rate), usual)
	}
	p.usual = usual
	if sum > p.burst {
		return fmt.Errorf("the bursts under %q sum up to %d, and it has %d: %s",
			p.Name, sum, p.burst, strings.Join(list, ", "))
	}
	return nil
}
