package pacer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestGateUnderOverload: 200 clients ask for four times the rate for 20 s, one
// of them for half of everything. All that is asked has one outcome, in time;
// what is admitted is the rate; the 199 share it evenly.
func TestGateUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds, clients, size = 1_000_000, 20, 200, 500
		tree, err := NewTree("wan", rate, 0, WanClasses(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		g := NewGate(tree, 4, 5000)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := g.run(ctx); err != nil {
				t.Error(err)
			}
		})
		var mu sync.Mutex // guards what follows
		got := make([]int64, clients)
		outcomes := map[Outcome]int{}
		var longest time.Duration
		regular := 1
		ask := func(client int) {
			w := NewWaiter()
			for ctx.Err() == nil {
				start := time.Now()
				o := g.Wait(start, w, client, regular, clientNumber(client), size)
				mu.Lock()
				outcomes[o]++
				if o == Admitted {
					got[client] += size
				}
				longest = max(longest, time.Since(start))
				mu.Unlock()
				<-time.After(time.Millisecond)
			}
		}
		for client := range clients {
			for range 10 {
				wg.Go(func() { ask(client) })
			}
		}
		for range 2000 {
			wg.Go(func() { ask(0) })
		}
		<-time.After(seconds * time.Second)
		cancel()
		wg.Wait()

		var sum int64
		for _, n := range got {
			sum += n
		}
		if part := float64(sum) / (rate * seconds); part < 0.98 || part > 1.02 {
			t.Errorf("admitted %.4f of the rate", part)
		}
		if j := jain(got[1:]); j < 0.98 {
			t.Errorf("Jain of the 199: %.4f", j)
		}
		if outcomes[Closed] == 0 || outcomes[Late] == 0 {
			t.Errorf("outcomes %v", outcomes)
		}
		if most := announceWait + Epoch; longest > most {
			t.Errorf("one waited %v", longest)
		}
	})
}

// TestGateLadder walks through the ways in: on the lease, refused for UDP,
// queued behind others, pushed out, late, closed.
func TestGateLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		tree, err := NewTree("wan", 100, 0, []Class{{Name: "all", Rate: Percent(100), Wait: time.Second, Scheduler: FIFO}}, now)
		if err != nil {
			t.Fatal(err)
		}
		g := NewGate(tree, 2, 2)
		for g.Try(now, 0, 0, 1) {
		}
		results := make(chan Outcome, 9)
		wait := func(client int) {
			go func() { results <- g.Wait(time.Now(), NewWaiter(), client, 0, clientNumber(client), 1) }()
			synctest.Wait()
		}
		expect := func(what string, want Outcome) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-results:
				if got != want {
					t.Fatalf("%s: %v, want %v", what, got, want)
				}
			default:
				t.Fatalf("%s: no outcome, want %v", what, want)
			}
		}
		wait(1)
		wait(1)
		wait(2)
		expect("the queue is full: the oldest of client 1", Full)
		<-time.After(Epoch)
		if g.Try(time.Now(), 0, 0, 1) {
			t.Fatal("UDP went before those who wait")
		}
		g.Tick(time.Now())
		expect("a token came", Admitted)
		g.Charge(1, 0, 1000)
		<-time.After(time.Second)
		g.Tick(time.Now())
		expect("in debt until the deadline", Late)
		wait(3)
		g.Close()
		expect("closed while waiting", Closed)
		wait(4)
		expect("closed before", Closed)
		if w := g.Stats(time.Now()).Waited[0]; w.Queued != 4 || w.Dropped != 1 || w.Served != 1 || w.Expired != 1 || w.Waiting != 0 {
			t.Errorf("%+v", w)
		}
	})
}

// TestGateQueueGoesFirst: once a request waits, leases that other shards still
// hold do not let newer ones go before it.
func TestGateQueueGoesFirst(t *testing.T) {
	tree := mustTree(t, 1000, []Class{{Name: "all", Rate: Percent(100), Wait: time.Second}})
	g := NewGate(tree, 2, 10)
	if !g.Try(epoch0, 1, 0, 1) || g.leases.cell(1, 0).left.Load() == 0 {
		t.Fatal("no lease")
	}
	for g.Try(epoch0, 0, 0, 1) {
	}
	w := NewWaiter()
	if o, queued := g.enqueue(epoch0, w, g.leases.cell(0, 0), 0, Client{}, 1); !queued {
		t.Fatalf("%v", o)
	}
	if g.Try(epoch0, 1, 0, 1) || g.Available(epoch0, 0) != 0 {
		t.Error("one came later and went before")
	}
	g.Tick(epoch0) // the lease that returned is for it
	if len(w.outcome) != 1 || <-w.outcome != Admitted {
		t.Error("it is not admitted")
	}
}

// TestGateTune changes rates, schedulers and the root's rate while requests run
// and wait: all have one outcome, and what is spent is what the tree gave.
func TestGateTune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, err := NewTree("wan", 10_000, 0, WanClasses(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		g := NewGate(tree, 2, 500)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := g.run(ctx); err != nil {
				t.Error(err)
			}
		})
		var mu sync.Mutex // guards spent
		var spent int64
		for client := range 300 {
			wg.Go(func() {
				for w := NewWaiter(); ctx.Err() == nil; {
					if g.Wait(time.Now(), w, client, client%5, clientNumber(client%30), 10) == Admitted {
						mu.Lock()
						spent += 10
						mu.Unlock()
					}
					<-time.After(time.Millisecond)
				}
			})
		}
		r := seeded(t)
		for range 200 {
			<-time.After(20 * time.Millisecond)
			classes := WanClasses()
			for i := range classes {
				classes[i].Scheduler = Discipline(r.IntN(3))
				classes[i].Priority = r.IntN(3)
				classes[i].Wait = time.Duration(1+r.IntN(2000)) * time.Millisecond
			}
			if err := g.Tune(time.Now(), classes); err != nil {
				t.Fatal(err)
			}
			if err := g.Resize(time.Now(), 5000+r.Int64N(10_000)); err != nil {
				t.Fatal(err)
			}
			classes[0].Rate = Percent(90)
			if err := g.Tune(time.Now(), classes); err == nil {
				t.Fatal("a wrong change is taken")
			}
			g.Available(time.Now(), r.IntN(5))
		}
		cancel()
		wg.Wait()
		s := g.Stats(time.Now())
		if s.Classes[0].Spent != spent {
			t.Errorf("the tree gave %d, %d were spent", s.Classes[0].Spent, spent)
		}
		for class, w := range s.Waited {
			if w.Served+w.Expired+w.Dropped > w.Queued || w.Waiting != 0 {
				t.Errorf("%s: %+v", s.Names[class], w)
			}
		}
	})
}

// TestGateAdmitsWithoutAllocating on its fast path.
func TestGateAdmitsWithoutAllocating(t *testing.T) {
	tree := mustTree(t, 1e12, WanClasses())
	g, w := NewGate(tree, 1, 10), NewWaiter()
	if n := testing.AllocsPerRun(10_000, func() {
		if g.Wait(epoch0, w, 0, 1, Client{}, 500) != Admitted || !g.Try(epoch0, 0, 1, 300) {
			t.Fatal("not admitted")
		}
		g.Charge(0, 1, -20)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGateTryWhole: all or nothing, from a full tree down to an empty one, and
// never a debt, where Try goes into one.
func TestGateTryWhole(t *testing.T) {
	const n = 320
	tree := mustTree(t, 100_000, WanClasses()) // a burst of 2001
	g := NewGate(tree, 2, 10)
	taken := int64(0)
	for shard := 0; g.TryWhole(epoch0, shard, 1, n); shard++ {
		taken += n
	}
	g.Tick(epoch0)
	if left := tree.Available(epoch0, 1); taken == 0 || left < 0 || left >= n || tree.Stats(epoch0)[0].Level < 0 {
		t.Errorf("%d taken, %d left, root at %d", taken, left, tree.Stats(epoch0)[0].Level)
	}
	g.Try(epoch0, 0, 1, n)
	if left := tree.Available(epoch0, 1); left > 0 {
		t.Errorf("Try without enough left %d", left)
	}
}
