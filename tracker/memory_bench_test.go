package tracker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/wire"
)

// residentBytes returns the memory of this process that is not on disk.
func residentBytes(b *testing.B) float64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

// crowd puts so many torrents of so many IPv4 peers into a tracker, in an order that looks random and takes no memory.
func crowd(t *Tracker, torrents, peers int) {
	const stride = 7_368_787 // a prime
	n := torrents * peers
	for k := range n {
		i := k * stride % n
		t.Apply(epoch, wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i), Flags: wire.Flags(i%2) * wire.Seeding})
	}
}

// BenchmarkResident reports by how much the process grew for each peer, and what is left of that when all have fallen silent. Each size wants a
// process of its own.
func BenchmarkResident(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{{1000, 1000}, {100_000, 10}, {500_000, 1}, {1, 1_000_000}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			debug.FreeOSMemory()
			before, n := residentBytes(b), float64(size.torrents*size.peers)
			t := New(Config{Seed: &[32]byte{1}}, epoch)
			crowd(t, size.torrents, size.peers)
			full := residentBytes(b)
			for range b.N {
			}
			b.ReportMetric((full-before)/n, "rss-B/peer")
			b.ReportMetric(full/n, "whole-process-B/peer")
			b.ReportMetric(float64(t.Stats().Bytes)/n, "store-B/peer")
			for i := range 3 {
				t.Expire(epoch.Add(2*DefaultPeerTimeout + time.Duration(i)*time.Minute))
			}
			debug.FreeOSMemory()
			b.ReportMetric((residentBytes(b)-before)/n, "rss-left-B/peer")
			runtime.KeepAlive(t)
		})
	}
}

// pauses returns the longest stop of the world for the collector since before.
func pauses(before *metrics.Float64Histogram) (now *metrics.Float64Histogram, longest float64) {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	now = s[0].Value.Float64Histogram()
	for i, n := range now.Counts {
		if before == nil || n > before.Counts[i] {
			longest = max(longest, now.Buckets[i])
		}
	}
	return now, longest
}

// BenchmarkTenMillion measures announces among 10 M peers while the collector runs again and again, the longest stop, and then the
// expiry of them all: how long announces meanwhile take.
func BenchmarkTenMillion(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{{10_000, 1000}, {1_000_000, 10}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			t := New(Config{Seed: &[32]byte{1}}, epoch)
			crowd(t, size.torrents, size.peers)
			rng := rand.New(rand.NewPCG(3, 4))
			buffer := make([]byte, 0, 50*wire.Compact4)
			now := epoch
			announce := func(n int) time.Duration {
				i := rng.IntN(n)
				a := Announce{InfoHash: hashOf(i % size.torrents), Peer: peer4(i), NumWant: 50}
				ans := Answer{Peers4: buffer}
				began := time.Now()
				t.Announce(now, &a, &ans)
				return time.Since(began)
			}
			runtime.GC()
			before, _ := pauses(nil)
			collected := make(chan time.Duration)
			go func() {
				began := time.Now()
				for range 10 {
					runtime.GC()
				}
				collected <- time.Since(began) / 10
			}()
			b.ResetTimer()
			for range b.N {
				announce(size.torrents * size.peers)
			}
			b.StopTimer()
			cycle := <-collected
			_, longest := pauses(before)
			b.ReportMetric(longest*1e6, "longest-stop-us")
			b.ReportMetric(float64(cycle.Milliseconds()), "cycle-ms")

			// What the machine does besides makes announces wait also when it is another store that is swept.
			other := New(Config{Seed: &[32]byte{2}}, epoch)
			crowd(other, size.torrents, size.peers)
			now = epoch.Add(2 * DefaultPeerTimeout)
			for _, swept := range []struct {
				store *Tracker
				name  string
			}{{other, "other-expires"}, {t, "expires"}} {
				var took atomic.Int64
				go func() {
					began := time.Now()
					swept.store.Expire(now)
					took.Store(int64(time.Since(began)))
				}()
				report(b, swept.name, func() bool { return took.Load() == 0 }, func() { announce(size.torrents * size.peers) })
				b.ReportMetric(time.Duration(took.Load()).Seconds(), "sweep-s-"+swept.name)
			}
		})
	}
}

// threadTime returns the processor time of this thread.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// report tells of calls that are made as long as more says so how long the longest took and how many of a million took over a millisecond.
func report(b *testing.B, when string, more func() bool, call func()) {
	calls, over, worst := 0, 0, time.Duration(0)
	for ; more(); calls++ {
		began := time.Now()
		call()
		took := time.Since(began)
		if worst = max(worst, took); took > time.Millisecond {
			over++
		}
	}
	b.ReportMetric(float64(worst.Microseconds()), "slowest-us-"+when)
	b.ReportMetric(float64(over)*1e6/float64(calls), "over-1ms/M-"+when)
}

// BenchmarkSweepPieces reports the longest times for which a sweep that forgets 10 M peers holds a lock: as long can an announce wait for it.
func BenchmarkSweepPieces(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{{1, 10_000_000}, {10_000, 1000}, {1_000_000, 10}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			t := New(Config{Seed: &[32]byte{1}, SketchKey: &[32]byte{2}}, epoch)
			crowd(t, size.torrents, size.peers)
			b.ResetTimer()
			var held []time.Duration
			runtime.LockOSThread() // processor time, lest what else the machine does counts
			defer runtime.UnlockOSThread()
			for i := range t.shards {
				s := &t.shards[i]
				s.beginSweep(2 * DefaultPeerTimeout)
				for more := true; more; {
					began := threadTime(b)
					more = s.goOn()
					held = append(held, threadTime(b)-began)
				}
			}
			for range b.N {
			}
			slices.Sort(held)
			b.ReportMetric(float64(held[len(held)-1].Microseconds()), "longest-us")
			b.ReportMetric(float64(held[len(held)*999/1000].Microseconds()), "p99.9-us")
			b.ReportMetric(float64(held[len(held)/2].Microseconds()), "median-us")
		})
	}
}
