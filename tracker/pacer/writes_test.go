package pacer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWritesUnderOverload: 200 connections have four times the rate to write,
// one of them half of it in large pieces, one never takes anything, and some
// push back. The rate is kept in every window of two seconds and used, and all
// that take what they get get the same.
func TestWritesUnderOverload(t *testing.T) {
	for _, mode := range []Sharing{Fair, Ring, Auto} {
		synctest.Test(t, func(t *testing.T) {
			const rate, seconds, conns = 1_000_000, 20, 200
			start := time.Now()
			w := NewWrites(mode, rate, 1460, start)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := w.run(ctx, func(Sharing) {}); err != nil {
					t.Error(err)
				}
			})
			var mu sync.Mutex // guards what follows
			var log []spent
			written := make([]int64, conns)
			write := func(conn int, answer int64) {
				c := w.NewWriter()
				for left := answer; ; {
					granted, _ := c.Ask(time.Now(), left)
					switch {
					case granted == 0:
						return
					case granted > left:
						t.Errorf("granted %d of %d", granted, left)
					case conn == conns-1: // its client does not read
						<-ctx.Done()
						return
					}
					if conn%10 == 1 && granted > 1 { // TCP takes half
						c.Unwritten(time.Now(), granted/2)
						granted -= granted / 2
					}
					mu.Lock()
					log = append(log, spent{time.Since(start), granted})
					written[conn] += granted
					mu.Unlock()
					if left -= granted; left == 0 {
						left = answer
					}
				}
			}
			for conn := range conns {
				answer := int64(600)
				if conn == 0 {
					answer = 2 * rate
				}
				wg.Go(func() { write(conn, answer) })
			}
			<-time.After(seconds * time.Second)
			cancel()
			wg.Wait()
			checkTwoSeconds(t, mode, log, rate, seconds)
			var even []int64
			for conn, n := range written[1 : conns-1] {
				if (conn+1)%10 != 1 {
					even = append(even, n)
				}
			}
			if j := jain(even); j < 0.98 {
				t.Errorf("%v: Jain %.4f, from %d to %d", mode, j, slices.Min(even), slices.Max(even))
			}
		})
	}
}

// checkTwoSeconds fails when any two seconds of a log, from the first on, hold
// less or more than the rate, by more than two percent and an epoch at the ends.
func checkTwoSeconds(t *testing.T, mode Sharing, log []spent, rate, seconds int64) {
	t.Helper()
	slack := float64(rate) * 2 * (0.02 + ringEpochMin.Seconds()/2)
	sums := make([]int64, seconds*100+1) // written up to the end of each 10 ms
	for _, s := range log {
		sums[min(int((s.at+9_999_999)/(10*time.Millisecond)), len(sums)-1)] += s.n
	}
	for i := range sums[1:] {
		sums[i+1] += sums[i]
	}
	worst := 0.0
	for from := 100; from+200 < len(sums); from++ {
		if off := float64(sums[from+200] - sums[from] - 2*rate); max(off, -off) > max(worst, -worst) {
			worst = off
		}
	}
	t.Logf("%v: the worst two seconds are %+.2f %% off", mode, worst/float64(2*rate)*100)
	if max(worst, -worst) > slack {
		t.Errorf("%v: two seconds are %.0f bytes off, allowed are %.0f", mode, worst, slack)
	}
}

// TestWritesAtOnce: while nobody waits and there are tokens nobody waits.
func TestWritesAtOnce(t *testing.T) {
	w := NewWrites(Auto, 10_000, 100, epoch0)
	c, d := w.NewWriter(), w.NewWriter()
	if got, _ := c.Ask(epoch0, 50); got != 50 {
		t.Errorf("50 of a full bucket: %d", got)
	}
	if got, _ := c.Ask(epoch0, 1000); got != 151 {
		t.Errorf("the rest: %d", got)
	}
	c.Unwritten(epoch0, 1)
	if got, _ := d.Ask(epoch0, 1000); got != 100 {
		t.Errorf("with one token a quantum: %d", got)
	}
	if _, ok := d.try(epoch0, 1); ok {
		t.Error("granted in debt")
	}
	w.Charge(epoch0, 100)
	w.Tick(epoch0.Add(19*time.Millisecond), false)
	if d.granted != 0 {
		t.Error("granted before the debt was paid")
	}
	w.SetRate(epoch0.Add(19*time.Millisecond), 100_000)
	w.Tick(epoch0.Add(30*time.Millisecond), false)
	if d.granted != 1 {
		t.Errorf("granted %d of 1", d.granted)
	}
	w.Close()
	if got, _ := c.Ask(epoch0, 10); got != 0 {
		t.Errorf("closed, and %d granted", got)
	}
}

// TestWritesTwoGrants: an epoch that grants after the connection was woken and
// before it looked is not taken for the end at its next write.
func TestWritesTwoGrants(t *testing.T) {
	w := NewWrites(Fair, 10_000, 100, epoch0)
	c := w.NewWriter()
	w.Charge(epoch0, 1000)
	if _, ok := c.try(epoch0, 5000); ok {
		t.Fatal("granted in debt")
	}
	w.Tick(epoch0.Add(100*time.Millisecond), false)
	<-c.ready
	w.Tick(epoch0.Add(110*time.Millisecond), false)
	if got := c.collect(); got != 301 {
		t.Errorf("granted %d of 301", got)
	}
	if len(c.ready) != 0 || c.flow.Pending() != 0 {
		t.Errorf("woken again with nothing granted, %d pending", c.flow.Pending())
	}
}

// TestWritesCountConcurrently: 64 goroutines ask, give back and are granted from pockets while ticks take back what is in them. In the
// end every byte is counted once, and no more than the rate and a burst were granted.
func TestWritesCountConcurrently(t *testing.T) {
	const rate, goroutines, largest = 1_000_000, 64, 300
	const epochs = 99 // whoever read the clock before all of them is not yet taken for one whose clock was set back
	r := seeded(t)
	w := NewWrites(Auto, rate, 100, epoch0)
	var clock, sum atomic.Int64
	var wg sync.WaitGroup
	seed := r.Uint64()
	for g := range goroutines {
		wg.Go(func() {
			c, r := w.NewWriter(), rand.New(rand.NewPCG(seed, uint64(g)))
			for {
				n := 1 + r.Int64N(largest)
				granted, _ := c.Ask(epoch0.Add(time.Duration(clock.Load())), n)
				if granted == 0 {
					return
				}
				back := int64(0)
				if r.IntN(4) == 0 {
					back = r.Int64N(granted + 1)
					c.Unwritten(epoch0.Add(time.Duration(clock.Load())), back)
				}
				sum.Add(granted - back)
				runtime.Gosched()
			}
		})
	}
	now := epoch0
	for range epochs {
		for waiting := 0; waiting < goroutines/2; _, waiting = w.Present() { // the others go on while this ticks
			runtime.Gosched()
		}
		now = now.Add(Epoch)
		clock.Store(int64(now.Sub(epoch0)))
		w.Tick(now, false)
	}
	w.Close()
	wg.Wait()
	w.Tick(now, false)
	if got := w.Written(); got != sum.Load() {
		t.Errorf("%d written, %d counted", sum.Load(), got)
	}
	if most := int64(rate*epochs/100 + goroutines*largest); sum.Load() > most+BurstOf(rate) || sum.Load() < rate*epochs/100/4 {
		t.Errorf("%d bytes, at most %d", sum.Load(), most)
	}
}

// TestWritesLateGrant: what was granted and is written two seconds later counts for the two seconds from then on.
func TestWritesLateGrant(t *testing.T) {
	w := NewWrites(Fair, 10_000, 100, epoch0)
	c := w.NewWriter()
	w.Charge(epoch0, 1000)
	if _, ok := c.try(epoch0, 5000); ok {
		t.Fatal("granted in debt")
	}
	at := func(d time.Duration) int64 { return w.recent.room(epoch0.Add(d)) }
	w.Tick(epoch0.Add(100*time.Millisecond), false)
	n := c.collect()
	full := w.recent.most
	if got := at(2050 * time.Millisecond); got != full-n {
		t.Errorf("room %d before it is written, want %d", got, full-n)
	}
	for range 2 { // the second time changes nothing
		c.Late(epoch0.Add(2050*time.Millisecond), n)
	}
	if got := at(4000 * time.Millisecond); got != full-n {
		t.Errorf("room %d for two seconds after it was, want %d", got, full-n)
	}
	c.Late(epoch0.Add(4500*time.Millisecond), n) // longer ago than the window goes
	if got := at(6 * time.Second); got != full-n {
		t.Errorf("room %d, want %d", got, full-n)
	}
}
