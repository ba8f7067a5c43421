package pacer

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// seeded returns a source of random numbers and prints its seed should the
// test fail.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// epoch0 is when the time of the tests begins.
var epoch0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// spent is one admission of a log: when, and how much.
type spent struct {
	at time.Duration
	n  int64
}

// checkWindows fails if in any window of the log, which is in the order of
// time, more was spent than rate x length + slack. The worst window ending at
// an entry is found in one pass: the bound says that spent so far less rate x
// time never rises by more than the slack above its lowest point.
func checkWindows(t *testing.T, what string, log []spent, rate, slack int64) {
	t.Helper()
	lowest, total := math.Inf(1), 0.0
	for i, s := range log {
		lowest = min(lowest, total-float64(rate)*s.at.Seconds())
		total += float64(s.n)
		if over := total - float64(rate)*s.at.Seconds() - lowest; over > float64(slack)+1e-3 {
			t.Fatalf("%s: at entry %d, %v, a window holds %.0f more than its rate, allowed are %d", what, i, s.at, over, slack)
		}
	}
}

// TestBucketConserves: in every window no more is taken than rate x time, the
// burst and one request.
func TestBucketConserves(t *testing.T) {
	r := seeded(t)
	for range 50 {
		rate, burst, largest := 1+r.Int64N(1e7), 1+r.Int64N(1e5), 1+r.Int64N(1e5)
		b := NewBucket(rate, burst, epoch0)
		var log []spent
		at := time.Duration(0)
		for range 2000 {
			at += time.Duration(r.ExpFloat64() * float64(largest) / float64(rate) * 1e9 * r.Float64())
			if n := 1 + r.Int64N(largest); b.Take(epoch0.Add(at), n) == 0 {
				log = append(log, spent{at, n})
			}
		}
		checkWindows(t, "bucket", log, rate, burst+largest)
	}
}

// TestBucketAnyPartition: however an interval is cut, the level at its end is
// the one that exact arithmetic gives.
func TestBucketAnyPartition(t *testing.T) {
	r := seeded(t)
	for range 300 {
		rate, burst := r.Int64N(1<<uint(1+r.IntN(40))), 1+r.Int64N(1<<uint(1+r.IntN(40)))
		whole := time.Duration(r.Int64N(1 << uint(1+r.IntN(45))))
		debt := r.Int64N(2 * burst)

		once := NewBucket(rate, burst, epoch0)
		once.Charge(epoch0, debt)
		cut := once
		for at := time.Duration(0); at < whole; at += 1 + time.Duration(r.Int64N(int64(whole)/20+1)) {
			cut.Level(epoch0.Add(at))
		}
		once.Level(epoch0.Add(whole))
		cut.Level(epoch0.Add(whole))
		if cut != once {
			t.Fatalf("rate %d burst %d for %v: cut %+v, in one step %+v", rate, burst, whole, cut, once)
		}

		parts := new(big.Int).Mul(big.NewInt(rate), big.NewInt(int64(whole)))
		parts.Add(parts, new(big.Int).Mul(big.NewInt(burst-debt), big.NewInt(1e9)))
		if full := new(big.Int).Mul(big.NewInt(burst), big.NewInt(1e9)); parts.Cmp(full) > 0 {
			parts = full
		}
		got := new(big.Int).Mul(big.NewInt(once.level), big.NewInt(1e9))
		got.Add(got, new(big.Int).SetUint64(once.part))
		if got.Cmp(parts) != 0 {
			t.Fatalf("rate %d burst %d for %v after a debt of %d: %v parts, exact %v", rate, burst, whole, debt, got, parts)
		}
	}
}

// TestBucketWaitIsExact: a nanosecond before the wait is over there is no
// token, and then there is.
func TestBucketWaitIsExact(t *testing.T) {
	r := seeded(t)
	for range 1000 {
		b := NewBucket(1+r.Int64N(1e9), 1+r.Int64N(1e6), epoch0)
		now := epoch0.Add(time.Duration(r.Int64N(1e9)))
		b.Charge(now, r.Int64N(1e7))
		wait := b.Wait(now)
		if wait == 0 {
			if b.Level(now) < 1 {
				t.Fatalf("no wait at level %d", b.Level(now))
			}
			continue
		}
		early, then := b, b
		if early.Level(now.Add(wait-1)) > 0 || then.Level(now.Add(wait)) < 1 {
			t.Fatalf("%+v: a wait of %v is not exact", b, wait)
		}
	}
}

func TestBucketTakesDebtOfOneRequest(t *testing.T) {
	b := NewBucket(100, 2, epoch0)
	for i, want := range []time.Duration{0, time.Second / 100 * 49, time.Second / 100 * 49} {
		if got := b.Take(epoch0, 50); got != want {
			t.Fatalf("request %d waits %v, want %v", i, got, want)
		}
	}
	if wait := b.Take(epoch0.Add(490*time.Millisecond), 50); wait != 0 {
		t.Fatalf("the debt is paid, and yet a wait of %v", wait)
	}
}

// TestBucketTimeBackwards: neither a small step back nor a large one gives
// tokens, an hour in one step gives no more than the burst, and after a clock
// was set back the rate is there again at once.
func TestBucketTimeBackwards(t *testing.T) {
	b := NewBucket(1000, 20, epoch0)
	b.Charge(epoch0, 20)
	for _, back := range []time.Duration{time.Nanosecond, time.Second, time.Minute, 24 * time.Hour} {
		if got := b.Level(epoch0.Add(-back)); got != 0 {
			t.Fatalf("%v back: level %d", back, got)
		}
	}
	// The clock now stands a day back, and the bucket went with it.
	now := epoch0.Add(-24 * time.Hour)
	if got := b.Level(now.Add(5 * time.Millisecond)); got != 5 {
		t.Fatalf("5 ms after the clock was set back: level %d", got)
	}
	b.Level(now.Add(4 * time.Millisecond))
	if got := b.Level(now.Add(6 * time.Millisecond)); got != 6 {
		t.Fatalf("callers out of order made %d of 6 tokens", got)
	}
	if got := b.Level(now.Add(time.Hour)); got != 20 {
		t.Fatalf("after an hour asleep: level %d", got)
	}
}

// TestBucketRefundStaysInBurst: neither more than the burst, nor a token lost
// below it.
func TestBucketRefundStaysInBurst(t *testing.T) {
	r := seeded(t)
	for range 1000 {
		b := NewBucket(0, 1+r.Int64N(100), epoch0)
		take, back := r.Int64N(300), r.Int64N(300)
		b.Charge(epoch0, take)
		b.Refund(epoch0, back)
		if got, want := b.Level(epoch0), min(b.burst, b.burst-take+back); got != want {
			t.Fatalf("burst %d less %d and %d back: %d, want %d", b.burst, take, back, got, want)
		}
	}
}

func TestBucketSetRate(t *testing.T) {
	b := NewBucket(1000, 1000, epoch0)
	b.Charge(epoch0, 1000)
	b.SetRate(epoch0.Add(time.Second/2), 10, 100) // 500 tokens at the old rate, cut to the new burst
	if got := b.Level(epoch0.Add(time.Second)); got != 100 {
		t.Fatalf("level %d, want the burst of 100", got)
	}
	b.Charge(epoch0.Add(time.Second), 200)
	if got := b.Wait(epoch0.Add(time.Second)); got != 10*time.Second+time.Second/10 {
		t.Fatalf("a debt of 100 at 10/s waits %v", got)
	}
	if b.SetRate(epoch0.Add(time.Second), 0, 1); b.Wait(epoch0.Add(time.Hour)) != math.MaxInt64 {
		t.Fatal("a rate of zero pays a debt")
	}
}

// TestBucketExtremes: nothing overflows.
func TestBucketExtremes(t *testing.T) {
	b := NewBucket(math.MaxInt64, math.MaxInt64, epoch0)
	for i := range 10 {
		b.Charge(epoch0, math.MaxInt64)
		if level := b.Level(epoch0); level > 0 && i > 0 {
			t.Fatalf("charged %d times: level %d", i+1, level)
		}
	}
	if got := b.Level(epoch0.Add(math.MaxInt64)); got != maxDebt {
		t.Fatalf("level %d after 292 years", got)
	}
	slow := NewBucket(1, 1, epoch0)
	slow.Charge(epoch0, math.MaxInt64)
	if got := slow.Wait(epoch0); got != math.MaxInt64 {
		t.Fatalf("a debt of an age waits %v", got)
	}
	if mulDiv(math.MaxInt64, math.MaxInt64, 1) != math.MaxInt64 || mulDiv(math.MaxInt64, 6, 9) != math.MaxInt64/9*6+4 {
		t.Fatal("mulDiv")
	}
}
