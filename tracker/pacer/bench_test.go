package pacer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// cpu returns how much processor time the process had. On a machine that others
// use, too, it says more than the wall clock.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ratio is called before a benchmark's loop, and what it returns after it: that
// reports processor time per operation, and how many uncontended atomic
// additions that is, measured in the same run.
func ratio(b *testing.B) (report func()) {
	start := cpu()
	return func() {
		b.StopTimer()
		perOp := float64(cpu()-start) / float64(b.N)
		const n = 10_000_000
		var word atomic.Int64
		best := time.Duration(1 << 62)
		for range 3 {
			start := cpu()
			for range n {
				word.Add(1)
			}
			best = min(best, cpu()-start)
		}
		b.ReportMetric(perOp, "cpu-ns/op")
		b.ReportMetric(perOp/(float64(best)/n), "x_add")
	}
}

// parallel runs an operation in goroutines on so many procs.
func parallel(b *testing.B, procs, goroutines int, op func(shard int)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	var shard atomic.Int64
	b.SetParallelism(goroutines / procs)
	b.ReportAllocs()
	report := ratio(b)
	b.RunParallel(func(pb *testing.PB) {
		me := int(shard.Add(1))
		for pb.Next() {
			op(me)
		}
	})
	report()
}

// widths are how the fast path is measured.
var widths = []struct{ procs, goroutines int }{{1, 1}, {2, 2}, {2, 64}}

// benchGate returns a gate whose rate is never reached, ticked as Run does.
func benchGate(b *testing.B, rate int64) *Gate {
	tree, err := NewTree("wan", rate, 0, WanClasses(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	g := NewGate(tree, 64, 1000)
	ctx := b.Context()
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	return g
}

// BenchmarkAdmitted is all that an admitted announce pays: its class is found,
// its tokens are taken with what the answer is thought to have, and settled when
// the answer is there. Its regular refresh is never refused.
func BenchmarkAdmitted(b *testing.B) {
	for _, width := range widths {
		b.Run(fmt.Sprintf("%dprocs-%dgoroutines", width.procs, width.goroutines), func(b *testing.B) {
			g := benchGate(b, 1<<50)
			classes, err := NewClassifier(g.leases.tree)
			if err != nil {
				b.Fatal(err)
			}
			client, now := netip.MustParseAddr("192.0.2.1"), time.Now()
			var refused atomic.Int64
			parallel(b, width.procs, width.goroutines, func(shard int) {
				r := Request{Kind: Regular, Client: client}
				class := classes.Classify(&r)
				if !g.Try(now, shard, class, 500) {
					refused.Add(1)
				}
				g.Charge(shard, class, 37)
			})
			if refused.Load() > 0 {
				b.Errorf("%d refused", refused.Load())
			}
		})
	}
}

// BenchmarkTry is the lease alone.
func BenchmarkTry(b *testing.B) {
	for _, width := range widths {
		b.Run(fmt.Sprintf("%dprocs-%dgoroutines", width.procs, width.goroutines), func(b *testing.B) {
			g, now := benchGate(b, 1<<50), time.Now()
			parallel(b, width.procs, width.goroutines, func(shard int) { g.Try(now, shard, 1, 1) })
		})
	}
}

// BenchmarkTryOverloaded asks for far more than the rate: every refusal takes
// the lock.
func BenchmarkTryOverloaded(b *testing.B) {
	g, now := benchGate(b, 10_000), time.Now()
	parallel(b, 2, 64, func(shard int) { g.Try(now, shard, 1, 500) })
}

// BenchmarkNoRate is what a server without a rate pays, beside nothing at all.
func BenchmarkNoRate(b *testing.B) {
	var sum int
	work := func(i int) int { return i*31 + i>>3 }
	b.Run("without", func(b *testing.B) {
		for i := range b.N {
			sum += work(i)
		}
	})
	gates := make([]*Gate, 4) // no rate: nil
	b.Run("with", func(b *testing.B) {
		for i := range b.N {
			if g := gates[i&3]; g != nil {
				g.Try(time.Time{}, 0, 1, 1)
			}
			sum += work(i)
		}
	})
	_ = sum
}

// BenchmarkTree is one lease and its return, under no lock.
func BenchmarkTree(b *testing.B) {
	for _, tick := range []time.Duration{0, time.Microsecond} {
		b.Run(fmt.Sprintf("clock+%v", tick), func(b *testing.B) {
			tree := mustTree(b, 1<<50, WanClasses())
			now := epoch0
			report := ratio(b)
			for b.Loop() {
				now = now.Add(tick)
				tree.Return(now, 1, tree.Lease(now, 1, 500, 20_000))
			}
			report()
		})
	}
}

// BenchmarkBucket takes from a bucket at a time that moves on.
func BenchmarkBucket(b *testing.B) {
	bucket, now := NewBucket(1<<40, 1<<40, epoch0), epoch0
	report := ratio(b)
	for b.Loop() {
		now = now.Add(time.Microsecond)
		bucket.Take(now, 500)
	}
	report()
}

// BenchmarkBook books in an empty calendar and in one that is full for an hour
// and a half.
func BenchmarkBook(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		c := NewCalendar(1<<28, epoch0)
		report := ratio(b)
		for b.Loop() {
			c.Book(epoch0, crowdBase, horizon, 1<<40, 1<<50)
		}
		report()
	})
	b.Run("full", func(b *testing.B) {
		c := NewCalendar(100, epoch0)
		r := rand.New(rand.NewPCG(1, 2))
		for range 540 * 800 {
			c.Book(epoch0, crowdBase, horizon, 0, r.Uint64())
		}
		report := ratio(b)
		for b.Loop() {
			c.Book(epoch0, crowdBase, horizon, 1<<40, r.Uint64())
		}
		report()
	})
}

// BenchmarkQueue pushes and pops with a thousand requests of a hundred clients
// in the queue, and when it is full.
func BenchmarkQueue(b *testing.B) {
	for _, limit := range []int{2000, 1000} {
		b.Run(fmt.Sprintf("full=%v", limit == 1000), func(b *testing.B) {
			q := NewQueue[int](DRR, time.Hour, limit)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range 1000 {
				q.Push(epoch0, clientNumber(r.IntN(100)), 1, i)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, full := q.Push(epoch0, clientNumber(r.IntN(100)), 1, 0); !full {
					q.Pop()
				}
			}
		})
	}
}

// BenchmarkDivide is one epoch for a thousand connections.
func BenchmarkDivide(b *testing.B) {
	for _, mode := range []Sharing{Fair, Ring} {
		b.Run(mode.String(), func(b *testing.B) {
			s := NewShare(mode, 1e6, 100)
			flows := make([]Flow, 1000)
			b.ReportAllocs()
			for b.Loop() {
				for i := range flows {
					s.Add(&flows[i], int64(i))
				}
				s.Divide(200_000, func(_ *Flow, n int64) int64 { return n })
			}
		})
	}
}

// BenchmarkShare works out the shares of a cluster of 20.
func BenchmarkShare(b *testing.B) {
	members := map[int]Member{}
	for i := range 20 {
		members[i] = Member{Capacity: uint64(i)}
	}
	for b.Loop() {
		Shares(1e9, members)
	}
}
