package pacer

import (
	"math"
	"math/bits"
	"time"
)

// Bucket is a token bucket that is filled when somebody looks: rate tokens a
// second up to burst. Its level is exact to a billionth of a token, so that
// however an interval is cut into looks, the same tokens come out of it.
//
// Whoever finds at least one token may take more than there are: the level
// becomes a debt of less than one request, and the next one waits until it is
// paid. To ask for "enough tokens for the whole request" instead starves those
// whose burst is smaller than a request.
//
// A Bucket is a value without a lock: its holder guards it.
type Bucket struct {
	rate, burst int64
	over        int64     // that the level may have beyond the burst: see Hold
	level       int64     // whole tokens, below zero a debt
	part        uint64    // of the next token, in 1/perToken, less than perToken
	last        time.Time // up to where the time is paid out
}

// perToken is how many parts a token has: one for each nanosecond of a second,
// so that rate x nanoseconds counts parts.
const perToken = uint64(time.Second)

// backstep is how far time may run backwards and be taken for two callers who
// read the clock in one order and came in the other. Anything more is a clock
// that was set: the bucket then goes on from the new time. Neither gives tokens.
const backstep = time.Second

// maxDebt keeps the level away from overflow, whatever is charged.
const maxDebt = int64(1) << 60

// BurstOf is the burst of a rate where none is named: 20 ms of it, and the one
// token that is only partly there when somebody looks. Without that a rate
// of less than one token per look would lose what comes between two looks.
func BurstOf(rate int64) int64 { return (rate+49)/50 + 1 }

// NewBucket returns a full bucket. The rate may be zero: what was in it is then
// all there ever is. A burst below one token would never admit anybody; it
// counts as one.
func NewBucket(rate, burst int64, now time.Time) Bucket {
	burst = min(max(burst, 1), maxDebt)
	return Bucket{rate: max(rate, 0), burst: burst, level: burst, last: now}
}

// Take takes n tokens if there is at least one, and returns 0. Else it takes
// nothing and returns how long it is until there is one.
func (b *Bucket) Take(now time.Time, n int64) (wait time.Duration) {
	if wait = b.Wait(now); wait == 0 {
		b.level -= min(n, maxDebt)
	}
	return wait
}

// Charge takes n tokens whether they are there or not: for what is known only
// after it happened. The debt is as deep as it must be.
func (b *Bucket) Charge(now time.Time, n int64) {
	b.refill(now)
	b.level = max(b.level-min(n, maxDebt), -maxDebt)
}

// Refund gives back n tokens that were taken and not used. What is beyond the
// burst is gone.
func (b *Bucket) Refund(now time.Time, n int64) {
	b.refill(now)
	b.refund(n)
}

// refund is Refund in a bucket that is filled up to the present.
func (b *Bucket) refund(n int64) {
	if n >= b.most()-b.level {
		b.level, b.part = b.most(), 0
		return
	}
	b.level += n
}

// most is where the bucket overflows.
func (b *Bucket) most() int64 { return b.burst + b.over }

// Hold lets the bucket, filled up to the present, gather so many tokens beyond
// its burst. That is for the time in which somebody waits for its tokens and
// looks again a little later than meant: the bucket was not idle meanwhile, and
// what came belongs to who waits. 0 ends it: what is beyond the burst is gone.
func (b *Bucket) Hold(over int64) {
	b.over = min(max(over, 0), maxDebt)
	if b.level >= b.most() {
		b.level, b.part = b.most(), 0
	}
}

// Keep ends Hold for what is still to come, and lets the bucket have what it
// gathered.
func (b *Bucket) Keep() { b.Hold(b.level - b.burst) }

// Level returns how many whole tokens there are; below zero it is a debt.
func (b *Bucket) Level(now time.Time) int64 {
	b.refill(now)
	return b.level
}

// Wait returns how long it is until there is a token: 0 when there is one now,
// and the longest Duration when there will never be one.
func (b *Bucket) Wait(now time.Time) time.Duration {
	b.refill(now)
	return b.waitFor(1)
}

// waitFor returns how long it takes to the given level, rounded up.
func (b *Bucket) waitFor(level int64) time.Duration {
	if b.level >= level {
		return 0
	}
	if b.rate == 0 {
		return math.MaxInt64
	}
	hi, lo := bits.Mul64(uint64(level-b.level), perToken)
	lo, borrow := bits.Sub64(lo, b.part, 0)
	lo, carry := bits.Add64(lo, uint64(b.rate)-1, 0)
	hi += carry - borrow
	if hi >= uint64(b.rate) {
		return math.MaxInt64
	}
	wait, _ := bits.Div64(hi, lo, uint64(b.rate))
	return time.Duration(min(wait, math.MaxInt64))
}

// SetRate changes rate and burst from now on, and ends Hold. Time before now is
// paid at the old rate; tokens beyond the new burst are gone, a debt stays.
func (b *Bucket) SetRate(now time.Time, rate, burst int64) {
	b.refill(now)
	b.rate, b.burst = max(rate, 0), min(max(burst, 1), maxDebt)
	b.Hold(0)
}

// refill pays out the time since the last look. A product of 128 bits holds
// any rate times any interval, and the remainder is kept for the next time.
func (b *Bucket) refill(now time.Time) {
	d := now.Sub(b.last)
	if d <= 0 {
		if d < -backstep {
			b.last = now
		}
		return
	}
	b.last = now
	if b.level >= b.most() {
		return
	}
	hi, lo := bits.Mul64(uint64(b.rate), uint64(d))
	lo, carry := bits.Add64(lo, b.part, 0)
	hi += carry
	var tokens, part uint64
	switch {
	case hi == 0: // nearly always, and the compiler divides by multiplying
		tokens, part = lo/perToken, lo%perToken
	case hi < perToken:
		tokens, part = bits.Div64(hi, lo, perToken)
	default:
		tokens = math.MaxUint64
	}
	if tokens >= uint64(b.most()-b.level) {
		b.level, b.part = b.most(), 0
		return
	}
	b.level += int64(tokens)
	b.part = part
}

// mulDiv returns a x b / c rounded down, for a and b not below zero and c
// above it; a result that does not fit is the largest there is.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, math.MaxInt64))
}
