package pacer

import (
	"math"
	"time"
)

// Shaper puts a Queue before each class of a Tree and serves them: seed 003's
// classful scheduler.
//
//  1. Whoever has tokens of its own is served, in turns.
//  2. Then what may be borrowed goes to the first priority that wants it, and
//     in it to classes in turns that are worth their rates.
//  3. It ends when no queue's head has own tokens or a lender.
//
// Priority has no say in 1: it cannot take from anyone what is assured.
//
// A Shaper has no lock: its holder guards it.
type Shaper[T any] struct {
	tree   *Tree
	queues []*Queue[T] // by class
	turns  []int64     // by class: what is left of its turn to borrow
	at     int         // the class whose turn it is
	waited []Waited    // by class
}

// Waited counts what became of the requests of a class that had to queue.
type Waited struct {
	Queued   uint64 // entered
	Served   uint64
	Expired  uint64        // at their deadline
	Dropped  uint64        // because the queue was full
	Longest  time.Duration // that a served one waited, since the start
	Waiting  int           // now
	Schedule Discipline
}

// NewShaper returns queues of at most limit requests for the classes of a tree.
func NewShaper[T any](tree *Tree, limit int) *Shaper[T] {
	s := &Shaper[T]{tree: tree}
	for _, n := range tree.leaves {
		s.queues = append(s.queues, NewQueue[T](n.Scheduler, n.Wait, limit))
	}
	s.turns = make([]int64, len(s.queues))
	s.waited = make([]Waited, len(s.queues))
	return s
}

// Tune is Tree.Tune, and changes the waits and the schedulers of the queues.
// What stands in them stays there.
func (s *Shaper[T]) Tune(now time.Time, classes []Class) error {
	if err := s.tree.Tune(now, classes); err != nil {
		return err
	}
	for class, n := range s.tree.leaves {
		s.queues[class].SetDiscipline(n.Scheduler)
		s.queues[class].SetWait(n.Wait)
	}
	return nil
}

// Waiting says whether requests of a class stand in its queue: then a new one
// must go behind them.
func (s *Shaper[T]) Waiting(class int) bool { return s.queues[class].Len() > 0 }

// Push puts a request into the queue of its class, as Queue.Push does.
func (s *Shaper[T]) Push(now time.Time, class int, client Client, cost int64, request T) (victim T, full bool) {
	s.waited[class].Queued++
	victim, full = s.queues[class].Push(now, client, cost, request)
	if full {
		s.waited[class].Dropped++
	}
	if s.queues[class].Len() == 1 {
		s.tree.advance(now)
		s.tree.hold(now, s.Waiting)
	}
	return victim, full
}

// Expire calls late with each request whose deadline is over.
func (s *Shaper[T]) Expire(now time.Time, late func(class int, request T)) {
	for class, q := range s.queues {
		for request, ok := q.Expire(now); ok; request, ok = q.Expire(now) {
			s.waited[class].Expired++
			late(class, request)
		}
	}
}

// Drain serves what there are tokens for. What still waits then is owed all that
// comes until the next Drain, which may be late: see Tree.hold. That lets go of
// claims of those who no longer wait, and so there may be something to borrow
// again. serve must not call the Shaper.
func (s *Shaper[T]) Drain(now time.Time, serve func(class int, request T)) {
	s.tree.advance(now)
	for again := true; again; again = s.lends() {
		s.drain(now, serve)
		s.tree.hold(now, s.Waiting)
	}
}

// lends says whether some queue's head has own tokens or a lender.
func (s *Shaper[T]) lends() bool {
	for class, q := range s.queues {
		if q.Len() > 0 && s.tree.leaves[class].lender(0) >= 0 {
			return true
		}
	}
	return false
}

// drain serves until no queue's head has own tokens or a lender.
func (s *Shaper[T]) drain(now time.Time, serve func(class int, request T)) {
	for served := true; served; {
		served = false
		for class, q := range s.queues {
			if q.Len() > 0 && s.tree.leaves[class].room(0) > 0 {
				s.serve(now, class, 0, serve)
				served = true
			}
		}
	}
	for s.borrow(now, serve) {
	}
}

// serve pays for the next request of a class d steps up and hands it out.
func (s *Shaper[T]) serve(now time.Time, class, d int, serve func(int, T)) (cost int64) {
	q, w := s.queues[class], &s.waited[class]
	w.Longest = max(w.Longest, now.Sub(q.next().came))
	request, cost, _ := q.Pop()
	s.tree.pay(s.tree.leaves[class], d, cost)
	w.Served++
	serve(class, request)
	return cost
}

// borrow serves one request with borrowed tokens; false: nobody has a lender.
func (s *Shaper[T]) borrow(now time.Time, serve func(int, T)) bool {
	first, any := 0, false
	for class := range s.queues {
		if p := s.tree.leaves[class].Priority; s.lender(class) > 0 && (!any || p < first) {
			first, any = p, true
		}
	}
	if !any {
		return false
	}
	class := s.spender(first)
	if class < 0 {
		s.round(first)
		class = s.spender(first)
	}
	s.at = class
	s.turns[class] -= s.serve(now, class, s.lender(class), serve)
	if s.queues[class].Len() == 0 {
		s.turns[class] = min(s.turns[class], 0)
	}
	return true
}

// lender returns from how many steps up a class that has a request may borrow;
// 0: it has none, or no lender.
func (s *Shaper[T]) lender(class int) int {
	if s.queues[class].Len() == 0 {
		return 0
	}
	return max(s.tree.leaves[class].lender(1), 0)
}

// spender returns which class of a priority borrows next: whose turn it is, or
// the first after it that has something left of its own; -1: nobody has.
func (s *Shaper[T]) spender(priority int) int {
	for i := range s.queues {
		class := (s.at + i) % len(s.queues)
		if s.turns[class] > 0 && s.tree.leaves[class].Priority == priority && s.lender(class) > 0 {
			return class
		}
	}
	return -1
}

// round begins a new round for the borrowers of a priority: each gets its turn.
// One that took more than its turn was worth pays for it first; if all of them
// do, the rounds in which nobody is served pass in one step.
func (s *Shaper[T]) round(priority int) {
	rounds := int64(math.MaxInt64)
	for class := range s.queues {
		if s.tree.leaves[class].Priority == priority && s.lender(class) > 0 {
			rounds = min(rounds, max(-s.turns[class], 0)/s.worth(class)+1)
		}
	}
	for class := range s.queues {
		if s.tree.leaves[class].Priority == priority && s.lender(class) > 0 {
			s.turns[class] += rounds * s.worth(class)
		}
	}
}

// worth is what a turn of a class is worth.
func (s *Shaper[T]) worth(class int) int64 { return max(s.tree.leaves[class].rate/100, 1) }

// Stats returns what became of the requests of each class.
func (s *Shaper[T]) Stats() []Waited {
	stats := make([]Waited, len(s.waited))
	for class, q := range s.queues {
		stats[class] = s.waited[class]
		stats[class].Waiting, stats[class].Schedule = q.Len(), q.discipline
	}
	return stats
}
