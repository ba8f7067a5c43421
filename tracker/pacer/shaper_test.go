package pacer

import (
	"slices"
	"testing"
	"time"
)

// TestDrainConservesWork: after a drain no queue's head has own tokens or a
// lender, whatever the tree and whatever waits; every request has one outcome.
func TestDrainConservesWork(t *testing.T) {
	r := seeded(t)
	for range 40 {
		rate := 10_000 + r.Int64N(1e6)
		tree := mustTree(t, rate, randomClasses(r))
		s := NewShaper[int](tree, 20+r.IntN(100))
		now, next := epoch0, 0
		outcomes := map[int]int{}
		var log []spent
		largest := 1 + r.Int64N(BurstOf(rate))
		costs := map[int]int64{}
		for range 500 {
			now = now.Add(time.Duration(r.IntN(int(20 * time.Millisecond))))
			for range r.IntN(20) {
				cost := 1 + r.Int64N(largest)
				costs[next] = cost
				if victim, full := s.Push(now, r.IntN(len(tree.leaves)), clientNumber(r.IntN(4)), cost, next); full {
					outcomes[victim]++
				}
				next++
			}
			s.Expire(now, func(_, id int) { outcomes[id]++ })
			s.Drain(now, func(_, id int) {
				outcomes[id]++
				log = append(log, spent{now.Sub(epoch0), costs[id]})
			})
			for class, q := range s.queues {
				if q.Len() > 0 && tree.leaves[class].lender(0) >= 0 {
					t.Fatalf("class %s has %d waiting and a lender", tree.leaves[class].Name, q.Len())
				}
			}
			if r.IntN(20) == 0 {
				changed := slices.Clone(tree.config)
				for i := range changed {
					changed[i].Scheduler = Discipline(r.IntN(3))
					changed[i].Priority = r.IntN(3)
				}
				if err := s.Tune(now, changed); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What comes between two drains is for those who wait: here up to 20 ms.
		checkWindows(t, "root", log, rate, tree.nodes[0].burst+largest+rate/50)
		checkLent(t, tree)
		s.Expire(now.Add(2*time.Hour), func(_, id int) { outcomes[id]++ })
		if len(outcomes) != next {
			t.Fatalf("%d of %d requests had an outcome", len(outcomes), next)
		}
		for id, n := range outcomes {
			if n != 1 {
				t.Fatalf("request %d had %d outcomes", id, n)
			}
		}
		var sum Waited
		for _, w := range s.Stats() {
			sum.Queued += w.Queued
			sum.Served += w.Served
			sum.Expired += w.Expired
			sum.Dropped += w.Dropped
		}
		if sum.Queued != uint64(next) || sum.Served+sum.Expired+sum.Dropped != sum.Queued || sum.Served != uint64(len(log)) {
			t.Fatalf("%+v of %d", sum, next)
		}
	}
}

// overload keeps every class of a tree backlogged with requests of a cost for
// some seconds and returns what each was served.
func overload(t *testing.T, tree *Tree, seconds int, cost func(class int) int64) (served []int64, stats []Waited) {
	t.Helper()
	s := NewShaper[int64](tree, 1000)
	served = make([]int64, len(tree.leaves))
	now := epoch0
	for range seconds * 100 {
		now = now.Add(Epoch)
		for class, q := range s.queues {
			for i := q.Len(); i < 200; i++ {
				c := cost(class)
				s.Push(now, class, clientNumber(i%20), c, c)
			}
		}
		s.Expire(now, func(int, int64) {})
		s.Drain(now, func(class int, n int64) { served[class] += n })
	}
	return served, s.Stats()
}

// TestAssured: all classes ask for more than there is, those of low priority
// for the largest things. Each gets at least 99 % of its assured rate, the sum
// is the root's, and what is lent goes by priority up to the ceiling.
func TestAssured(t *testing.T) {
	const seconds = 20
	for _, rate := range []int64{2000, 1_000_000, 10_000_000} {
		tree := mustTree(t, rate, WanClasses())
		served, stats := overload(t, tree, seconds, func(class int) int64 { return 1 + rate/20000*int64(1+class) })
		var sum int64
		for class, n := range tree.leaves {
			part := float64(served[class]) / float64(n.rate*seconds)
			if part < 0.99 {
				t.Errorf("at %d: class %s had %.3f of its rate", rate, n.Name, part)
			}
			if n.Name != "event" && part > 1.05 { // the first priority may borrow all
				t.Errorf("at %d: class %s had %.3f of its rate before a higher priority had enough", rate, n.Name, part)
			}
			if w := stats[class]; w.Longest > n.Wait {
				t.Errorf("class %s: one waited %v", n.Name, w.Longest)
			}
			sum += served[class]
		}
		if part := float64(sum) / float64(rate*seconds); part < 0.995 || part > 1.005 {
			t.Errorf("at %d: %.4f of the root's rate", rate, part)
		}
	}
}

// TestBorrowersShareByRate: of one priority, what is borrowed goes by the rates.
func TestBorrowersShareByRate(t *testing.T) {
	tree := mustTree(t, 1_000_000, []Class{
		{Name: "a", Rate: Percent(5), Ceil: Percent(100), Wait: time.Hour},
		{Name: "b", Rate: Percent(15), Ceil: Percent(100), Wait: time.Hour},
		{Name: "idle", Rate: Percent(60), Ceil: Percent(100), Wait: time.Hour},
		{Name: "later", Rate: Percent(1), Ceil: Percent(100), Wait: time.Hour, Priority: 1},
	})
	idle := 2
	s := NewShaper[int64](tree, 1000)
	served := make([]int64, 4)
	for i := range 2000 {
		now := epoch0.Add(time.Duration(i) * Epoch)
		for class, q := range s.queues {
			for class != idle && q.Len() < 200 {
				s.Push(now, class, clientNumber(0), int64(500+class*400), int64(500+class*400))
			}
		}
		s.Drain(now, func(class int, n int64) { served[class] += n })
	}
	if part := float64(served[1]) / float64(served[0]); part < 2.9 || part > 3.1 {
		t.Errorf("rates of 1 to 3 had 1 to %.2f", part)
	}
	if part := float64(served[3]) / (10_000 * 20); part < 0.99 || part > 1.05 {
		t.Errorf("the later priority had %.3f of its rate", part)
	}
}
