package pacer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// mustTree builds a tree whose classes are right.
func mustTree(t testing.TB, rate int64, classes []Class) *Tree {
	t.Helper()
	tree, err := NewTree("root", rate, 0, classes, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// randomClasses makes up a valid tree of two or three levels.
func randomClasses(r *rand.Rand) (classes []Class) {
	left := 100.0
	for _, name := range []string{"a", "b", "c", "d"}[:2+r.IntN(3)] {
		rate := 1 + r.Float64()*left*0.6
		left -= rate
		classes = append(classes, Class{
			Name: name, Rate: Percent(rate), Ceil: Percent(rate + r.Float64()*(100-rate)),
			Priority: r.IntN(3), Wait: time.Hour,
		})
	}
	for _, c := range classes[:r.IntN(2)] {
		for i, part := range []float64{30, 70} {
			classes = append(classes, Class{
				Name: c.Name + string(rune('1'+i)), Parent: c.Name, Rate: Percent(part), Ceil: Percent(part + r.Float64()*(100-part)),
				Priority: r.IntN(3), Wait: time.Hour,
			})
		}
	}
	return classes
}

// TestSeed003Provisioning: VIP 5..20 %, Upload 5..10 %, Backend 1..10 and Jail
// 1..5 of a root of 100, asking 3, 7, 0 and 2 a second. All are served, and
// the overrates are 0, 2, 0 and 1.
func TestSeed003Provisioning(t *testing.T) {
	tree := mustTree(t, 100, []Class{
		{Name: "VIP", Rate: Percent(5), Ceil: Percent(20)},
		{Name: "Upload", Rate: Percent(5), Ceil: Percent(10)},
		{Name: "Backend", Rate: Tokens(1), Ceil: Tokens(10)},
		{Name: "Jail", Rate: Tokens(1), Ceil: Tokens(5)},
	})
	now := epoch0
	for range 10 * 1000 {
		for class, perSecond := range []int64{3, 7, 0, 2} {
			if ms := now.Sub(epoch0).Milliseconds(); perSecond > 0 && ms%1000%(1000/perSecond) == 0 && ms%1000/(1000/perSecond) < perSecond {
				if _, wait := tree.Take(now, class, 1); wait != 0 {
					t.Fatalf("after %v class %d waits %v", now.Sub(epoch0), class, wait)
				}
			}
		}
		now = now.Add(time.Millisecond)
	}
	stats := tree.Stats(now)
	for i, want := range []struct {
		name             string
		actual, overrate int64
	}{{"root", 12, 0}, {"VIP", 3, 0}, {"Upload", 7, 2}, {"Backend", 0, 0}, {"Jail", 2, 1}} {
		if s := stats[i]; s.Name != want.name || s.Actual != want.actual || s.Overrate != want.overrate {
			t.Errorf("%s: actual %d, overrate %d; want %+v", s.Name, s.Actual, s.Overrate, want)
		}
	}
	if got := stats[1].Ceil; got != 20 {
		t.Errorf("VIP's ceiling is %d", got)
	}
}

// TestTreeConserves: whatever is asked of whatever tree, in every window the
// root and every class stay below rate x time, burst and one request; lent is
// borrowed; and the claims are there for those who have them.
func TestTreeConserves(t *testing.T) {
	r := seeded(t)
	for range 40 {
		rate := 10_000 + r.Int64N(1e7)
		tree := mustTree(t, rate, randomClasses(r))
		largest := 1 + r.Int64N(BurstOf(rate))
		logs := make([][]spent, len(tree.leaves)+1)
		at := time.Duration(0)
		for range 3000 {
			at += time.Duration(r.ExpFloat64() * float64(largest) / float64(rate) * 0.3e9)
			class, n := r.IntN(len(tree.leaves)), 1+r.Int64N(largest)
			now := epoch0.Add(at)
			switch r.IntN(4) {
			case 0: // a lease, some of which returns
				g := tree.Lease(now, class, n, n+r.Int64N(3*n))
				if g.Total() == 0 {
					continue
				}
				back := r.Int64N(g.Total() + 1)
				tree.Return(now, class, g.unspent(back))
				n = g.Total() - back
			default:
				if _, wait := tree.Take(now, class, n); wait != 0 {
					continue
				}
			}
			logs[class] = append(logs[class], spent{at, n})
			logs[len(tree.leaves)] = append(logs[len(tree.leaves)], spent{at, n})
		}
		checkWindows(t, "root", logs[len(tree.leaves)], rate, tree.nodes[0].burst+largest)
		for i, n := range tree.leaves {
			checkWindows(t, n.Name, logs[i], n.shape.ceil, n.ceilBurst()+largest)
		}
		checkLent(t, tree)
	}
}

// checkLent compares what was lent with what was borrowed, and what a class
// spent with what those below it did.
func checkLent(t *testing.T, tree *Tree) {
	t.Helper()
	var lent, borrowed int64
	for _, n := range tree.nodes {
		if n.borrowed < 0 || n.lent < 0 || n.spent < n.borrowed && len(n.children) == 0 {
			t.Fatalf("%s borrowed %d, lent %d and spent %d", n.Name, n.borrowed, n.lent, n.spent)
		}
		lent += n.lent
		borrowed += n.borrowed
		var below int64
		for _, c := range n.children {
			below += c.spent
		}
		if len(n.children) > 0 && below != n.spent {
			t.Fatalf("%s spent %d, those below it %d", n.Name, n.spent, below)
		}
	}
	if lent != borrowed {
		t.Fatalf("lent %d, borrowed %d", lent, borrowed)
	}
}

// TestClaimsAreCovered: with requests of one token, which make no debts, every
// inner class holds at every moment what those below it can count on, in both
// of its buckets, but for the begun token of each; and whoever borrows keeps
// its own.
func TestClaimsAreCovered(t *testing.T) {
	r := seeded(t)
	for range 60 {
		tree := mustTree(t, 10_000+r.Int64N(1e7), randomClasses(r))
		now := epoch0
		greedy := r.IntN(len(tree.leaves))
		for range 2000 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(2*time.Millisecond)))
			class := greedy
			if r.IntN(4) == 0 {
				class = r.IntN(len(tree.leaves))
			}
			own := tree.leaves[class].own
			own.refill(now)
			g := tree.Lease(now, class, 1, 1+r.Int64N(1<<uint(r.IntN(20))))
			if left := tree.leaves[class].own.level; left != own.level-g[0] {
				t.Fatalf("%d of its own and %d in all were taken, and of %d are left %d", g[0], g.Total(), own.level, left)
			}
			if r.IntN(3) == 0 {
				tree.Return(now, class, g.unspent(r.Int64N(g.Total()+1)))
			}
			for _, n := range tree.nodes {
				claims := n.claims() - int64(len(n.children))
				if claims > 0 && min(n.own.level, n.ceil.level) < claims {
					t.Fatalf("%s holds %d and %d, %d are claimed", n.Name, n.own.level, n.ceil.level, claims)
				}
			}
		}
		checkLent(t, tree)
	}
}

// TestIdleOwnerGetsItsRateBack: one class has borrowed everything for a second;
// the moment the owner comes it has its burst, and from then on its rate.
func TestIdleOwnerGetsItsRateBack(t *testing.T) {
	tree := mustTree(t, 100_000, []Class{
		{Name: "owner", Rate: Percent(60), Ceil: Percent(100), Priority: 9},
		{Name: "greedy", Rate: Percent(10), Ceil: Percent(100), Priority: 0},
	})
	const size = 100
	var got int64
	for ms := range 2000 {
		now := epoch0.Add(time.Duration(ms) * time.Millisecond)
		for g, wait := tree.Take(now, 1, size); wait == 0; g, wait = tree.Take(now, 1, size) {
			_ = g
		}
		if ms < 1000 {
			continue
		}
		for {
			if _, wait := tree.Take(now, 0, size); wait != 0 {
				break
			}
			got += size
		}
		want := 60 * int64(ms-1000)
		if got < want {
			t.Fatalf("%d ms after it came the owner had %d of %d", ms-1000, got, want)
		}
	}
	checkLent(t, tree)
}

// TestChargeIsBounded: what cannot be refused may silence a tree for a second
// and no longer.
func TestChargeIsBounded(t *testing.T) {
	tree := mustTree(t, 1000, WanClasses())
	for range 100 {
		tree.Charge(epoch0, 1, 1000)
	}
	if _, wait := tree.Take(epoch0, 0, 1); wait < 900*time.Millisecond {
		t.Errorf("after a flood the next waits %v", wait)
	}
	if _, wait := tree.Take(epoch0.Add(1001*time.Millisecond), 0, 1); wait != 0 {
		t.Errorf("a second later it waits %v", wait)
	}
}

// TestResize: the shares follow the root's rate, absolute amounts shrink when
// they must, and come back.
func TestResize(t *testing.T) {
	tree := mustTree(t, 1000, []Class{
		{Name: "part", Rate: Percent(50), Ceil: Percent(100)},
		{Name: "fixed", Rate: Tokens(400), Ceil: Tokens(500)},
	})
	for _, c := range []struct{ root, part, fixed, ceil int64 }{
		{2000, 1000, 400, 500}, {800, 400, 400, 500}, {400, 133, 266, 400}, {100, 33, 66, 100}, {1000, 500, 400, 500},
	} {
		if err := tree.Resize(epoch0, c.root); err != nil {
			t.Fatal(err)
		}
		stats := tree.Stats(epoch0)
		if stats[1].Rate != c.part || stats[2].Rate != c.fixed || stats[2].Ceil != c.ceil {
			t.Errorf("at %d: %d, %d with a ceiling of %d; want %+v", c.root, stats[1].Rate, stats[2].Rate, stats[2].Ceil, c)
		}
	}
	if tree.Resize(epoch0, 0) == nil || tree.Stats(epoch0)[0].Rate != 1000 {
		t.Error("a root without rate is taken")
	}
}

// TestTune: a right change is taken, a wrong one leaves everything as it was.
func TestTune(t *testing.T) {
	tree := mustTree(t, 1000, WanClasses())
	changed := WanClasses()
	changed[0].Rate, changed[1].Priority = Percent(40), 7
	if err := tree.Tune(epoch0, changed); err != nil || tree.leaves[0].rate != 400 || tree.leaves[1].Priority != 7 {
		t.Fatalf("%v, rate %d", err, tree.leaves[0].rate)
	}
	wrong := WanClasses()
	wrong[0].Rate = Percent(60)
	renamed := WanClasses()
	renamed[2].Name = "other"
	moved := WanClasses()
	moved[4].Parent = "bulk"
	for _, classes := range [][]Class{wrong, renamed, moved, WanClasses()[:3], nil} {
		if err := tree.Tune(epoch0, classes); err == nil || tree.leaves[0].rate != 400 {
			t.Errorf("a wrong change: %v, rate %d", err, tree.leaves[0].rate)
		}
	}
}

// TestUnspentReturnsBorrowedFirst and from farthest away.
func TestUnspentReturnsBorrowedFirst(t *testing.T) {
	g := Grant{10, 5, 2}
	for n, want := range map[int64]Grant{0: {}, 1: {0, 0, 1}, 4: {0, 2, 2}, 9: {2, 5, 2}, 17: {10, 5, 2}, 20: {13, 5, 2}} {
		if got := g.unspent(n); got != want {
			t.Errorf("%d unspent: %v, want %v", n, got, want)
		}
	}
}

// TestLenderBelowTheRoot: a class three levels deep borrows what its parent has beyond the claims of its other children, and
// from the root, up to its ceiling, although all of the root's rate is claimed by those who are idle.
func TestLenderBelowTheRoot(t *testing.T) {
	const rate = 1_000_000
	now := time.Unix(1_800_000_000, 0)
	tree, err := NewTree("all", rate, 0, OneRoot(WanClasses()), now)
	if err != nil {
		t.Fatal(err)
	}
	live := slices.Index(tree.Classes(), "live")
	var sent int64
	for range 5000 {
		now = now.Add(2 * time.Millisecond)
		for {
			if _, wait := tree.Take(now, live, 1464); wait > 0 {
				break
			}
			sent += 1464
		}
	}
	if most := int64(10 * rate * 60 / 100); sent < most*98/100 || sent > most*102/100 {
		t.Errorf("sent %d bytes within 10 s, want the ceiling, %d", sent, most)
	}
}
