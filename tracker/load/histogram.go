package load

import (
	"math"
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets whose width grows with the duration,
// so that every quantile is right to within 1/64 of itself and recording costs a few nanoseconds and no memory.
//
//	0 ... 127 ns        buckets of 1 ns
//	128 ... 255 ns      64 buckets of 2 ns
//	256 ... 511 ns      64 buckets of 4 ns     and so on, each power of two in 64 buckets,
//	... 68.7 s          beyond which the last bucket takes everything
//
// The zero value is empty and ready.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	max    time.Duration
}

const (
	subBits = 6 // 64 buckets in each power of two
	maxBits = 36
	buckets = (maxBits - subBits + 1) << subBits
)

// bucketOf returns the bucket of v: the number of halvings that bring v below 128, and what is then left of it.
func bucketOf(v time.Duration) int {
	u := uint64(max(v, 0))
	shift := max(bits.Len64(u)-subBits-1, 0)
	return min(shift<<subBits+int(u>>shift), buckets-1)
}

// upper returns the longest duration of bucket i.
func upper(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	mantissa := i - shift<<subBits
	return time.Duration(mantissa+1)<<shift - 1
}

// Record counts one duration; a negative one counts as 0.
func (h *Histogram) Record(v time.Duration) {
	h.counts[bucketOf(v)]++
	h.n++
	h.max = max(h.max, v)
}

// Add counts all that other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Max returns the longest duration recorded, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns a duration that at least the share q (0 to 1) of all recorded ones do not exceed: the
// least such one, or up to 1/64 above it. It is 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	// Rounded up, but not for the error of the multiplication alone.
	rank := max(uint64(math.Ceil(q*float64(h.n)-1e-9)), 1)
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen >= rank && c > 0 {
			if i == buckets-1 {
				return h.max
			}
			return min(upper(i), h.max)
		}
	}
	return h.max
}
