package pacer

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCellFillsACacheLine: two shards never write the same one.
func TestCellFillsACacheLine(t *testing.T) {
	if size := reflect.TypeFor[cell]().Size(); size != 64 {
		t.Errorf("a cell has %d bytes", size)
	}
}

// leaseRun is a concurrent run on leases: by epochs, how many tokens were spent
// that nobody saw the clock before the first for and that were spent before
// the end of the second.
type leaseRun struct {
	clock atomic.Int64 // since epoch0
	asked atomic.Int64 // how often in all
	stop  atomic.Bool
	mu    sync.Mutex
	spent map[[2]int64]int64
}

func (run *leaseRun) now() time.Time { return epoch0.Add(time.Duration(run.clock.Load())) }
func (run *leaseRun) epoch() int64   { return run.clock.Load() / int64(Epoch) }

// worker admits, gives back a part of some, and logs what it spent.
func (run *leaseRun) worker(l *Leases, shard int, r *rand.Rand, largest int64) {
	log := map[[2]int64]int64{}
	for !run.stop.Load() {
		run.asked.Add(1)
		class, n, from := r.IntN(l.classes), 1+r.Int64N(largest), run.epoch()
		if !l.Admit(run.now(), shard, class, n) {
			runtime.Gosched()
			continue
		}
		if r.IntN(4) == 0 { // the answer was smaller than thought
			back := r.Int64N(n)
			l.Charge(shard, class, -back)
			n -= back
		}
		log[[2]int64{from, run.epoch()}] += n
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	for k, n := range log {
		run.spent[k] += n
	}
}

// TestLeasesConserveConcurrently: 64 goroutines on 8 shards admit and give back
// while leases return in every epoch. The merged log keeps the rate in every
// window of whole epochs, to within the burst, what was in the leases and one
// request; and in the end every token that the tree gave was spent or returned.
func TestLeasesConserveConcurrently(t *testing.T) {
	r := seeded(t)
	const goroutines, shards, largest, epochs, rate = 64, 8, 50, 60, 1_000_000
	tree := mustTree(t, rate, WanClasses())
	l := NewLeases(tree, shards)
	run := &leaseRun{spent: map[[2]int64]int64{}}
	seed := r.Uint64()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() { run.worker(l, g, rand.New(rand.NewPCG(seed, uint64(g))), largest) })
	}
	for range epochs {
		for range 100 {
			run.clock.Add(int64(Epoch / 100))
			for next := run.asked.Load() + 20; run.asked.Load() < next; {
				runtime.Gosched()
			}
		}
		l.Reclaim(run.now())
	}
	run.stop.Store(true)
	wg.Wait()

	var sum int64
	for _, n := range run.spent {
		sum += n
	}
	l.Reclaim(run.now())
	if got := tree.nodes[0].spent; got != sum {
		t.Errorf("the tree gave %d, %d were spent", got, sum)
	}
	checkLent(t, tree)
	burst := tree.nodes[0].burst
	for from := range int64(epochs) {
		for to := from; to < epochs; to++ {
			var inside int64
			for k, n := range run.spent {
				if k[0] >= from && k[1] <= to {
					inside += n
				}
			}
			if most := rate*(to-from+1)/100 + burst + burst/2 + largest; inside > most {
				t.Fatalf("epochs %d to %d: %d spent, at most %d", from, to, inside, most)
			}
		}
	}
	if sum < rate*epochs/100*8/10 {
		t.Errorf("only %d of %d were spent", sum, rate*epochs/100)
	}
}

// TestLeaseReturnsBorrowedFirst: of a lease with own and borrowed tokens the
// borrowed ones are the first to be given back.
func TestLeaseReturnsBorrowedFirst(t *testing.T) {
	tree := mustTree(t, 100_000, WanClasses())
	l := NewLeases(tree, 1)
	jail := len(l.tree.leaves) - 1
	own := tree.leaves[jail].own.level
	if !l.Admit(epoch0, 0, jail, own) { // its own tokens
		t.Fatal("the burst is not admitted")
	}
	if !l.Admit(epoch0, 0, jail, 1) || tree.leaves[jail].borrowed == 0 { // and a lease of the others'
		t.Fatalf("nothing was borrowed: %+v", tree.Stats(epoch0))
	}
	l.Charge(0, jail, -2) // gives back the one and one of its own
	l.Reclaim(epoch0)
	if l.Reclaim(epoch0); l.cell(0, jail).grant != (Grant{}) {
		t.Errorf("an empty cell has a grant: %v", l.cell(0, jail).grant)
	}
	if n := tree.leaves[jail]; n.borrowed != 0 || n.spent != own-1 || n.own.level != 1 {
		t.Errorf("borrowed %d, spent %d, level %d", n.borrowed, n.spent, n.own.level)
	}
}

// TestLeaseDebts: what was charged without asking is paid before anything is
// admitted, also by another shard.
func TestLeaseDebts(t *testing.T) {
	tree := mustTree(t, 1000, []Class{{Name: "all", Rate: Percent(100)}})
	l := NewLeases(tree, 2)
	l.Charge(0, 0, 521)
	if l.Admit(epoch0, 0, 0, 1) || l.Admit(epoch0, 1, 0, 1) {
		t.Error("admitted in debt")
	}
	if l.Admit(epoch0.Add(500*time.Millisecond), 1, 0, 1) {
		t.Error("admitted before the debt is paid")
	}
	if !l.Admit(epoch0.Add(501*time.Millisecond), 1, 0, 1) {
		t.Error("not admitted after the debt is paid")
	}
}
