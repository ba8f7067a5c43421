package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Every duration lies in the bucket it is counted in, and buckets have no gaps between them.
func TestBucketsAreWhole(t *testing.T) {
	for i := range buckets - 1 {
		if hi := upper(i); bucketOf(hi) != i || bucketOf(hi+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, but that is in %d and the next in %d", i, hi, bucketOf(hi), bucketOf(hi+1))
		}
	}
	for _, v := range []time.Duration{1 << maxBits, time.Hour, math.MaxInt64} {
		if bucketOf(v) != buckets-1 {
			t.Errorf("%v is in bucket %d of %d", v, bucketOf(v), buckets)
		}
	}
	if bucketOf(-5) != 0 {
		t.Error("a negative duration is not counted as 0")
	}
}

// A quantile is never below the exact one and at most 1/64 above it, over any mixture of scales and any split into several histograms.
func TestQuantilesAgainstSorting(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 200 {
		var h, other Histogram
		var all []time.Duration
		for range 1 + r.IntN(500) {
			v := time.Duration(r.Uint64() >> (64 - 1 - r.IntN(maxBits-1)))
			all = append(all, v)
			if r.IntN(2) == 0 {
				h.Record(v)
			} else {
				other.Record(v)
			}
		}
		h.Add(&other)
		slices.Sort(all)
		if h.Count() != uint64(len(all)) || h.Max() != all[len(all)-1] {
			t.Fatalf("seed %d round %d: count %d, max %v", seed, round, h.Count(), h.Max())
		}
		for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1, r.Float64()} {
			exact := all[max(int(math.Ceil(q*float64(len(all))-1e-9)), 1)-1]
			got := h.Quantile(q)
			if got < exact || got > exact+exact/64 {
				t.Fatalf("seed %d round %d: quantile %v of %d is %d, exactly %d", seed, round, q, len(all), got, exact)
			}
		}
	}
}

func TestHistogramsEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Error("an empty histogram is not empty")
	}
	h.Record(2 * time.Hour)
	if h.Quantile(0.5) != 2*time.Hour {
		t.Errorf("beyond the last bucket: %v", h.Quantile(0.5))
	}
	if n := testing.AllocsPerRun(100, func() { h.Record(12345) }); n != 0 {
		t.Errorf("recording allocates %v times", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Record(time.Duration(i))
	}
}
