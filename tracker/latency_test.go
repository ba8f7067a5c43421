package tracker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLatency counts times at random, and at and beside each bound, and compares with a bucket sought from the other end.
func TestLatency(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	times := []time.Duration{-time.Second, 0, time.Hour}
	for _, b := range LatencyBounds {
		times = append(times, b-1, b, b+1)
	}
	for range 1000 {
		times = append(times, time.Duration(rng.Int64N(int64(time.Microsecond)<<rng.IntN(22))))
	}
	var l latency
	var want Latency
	for _, d := range times {
		n := rng.Uint64N(40)
		l.took(d, n)
		bucket := len(LatencyBounds)
		for bucket > 0 && LatencyBounds[bucket-1] >= d {
			bucket--
		}
		want.Counts[bucket] += n
		want.Sum += d * time.Duration(n)
	}
	var got Latency
	got.add(&l)
	if got != want {
		t.Errorf("seed %d: got %v, want %v", seed, got, want)
	}
}

// BenchmarkLatency is what the histogram adds to an announce that comes alone: a reading of the time and two additions. Of the two readings here one is there anyway.
func BenchmarkLatency(b *testing.B) {
	var l latency
	for b.Loop() {
		began := time.Now()
		l.took(time.Since(began), 1)
	}
}
