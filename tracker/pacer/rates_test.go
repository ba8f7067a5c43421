package pacer

import (
	"slices"
	"testing"
	"time"
)

// TestRatesMatchALog: the counts of the last 60 seconds are those of a log of
// all that was ever added, after any pauses.
func TestRatesMatchALog(t *testing.T) {
	r := seeded(t)
	for range 20 {
		var rates Rates
		log := map[int64]int64{}
		now := epoch0
		for range 2000 {
			pause := time.Duration(r.ExpFloat64() * float64(time.Second) / 5)
			if r.IntN(100) == 0 {
				pause = time.Duration(r.Int64N(int64(90 * time.Second)))
			}
			now = now.Add(pause)
			n := r.Int64N(10)
			rates.Add(now, n)
			log[now.Unix()] += n
			if r.IntN(10) == 0 {
				var want []int64
				for s := now.Unix() - 60; s < now.Unix(); s++ {
					want = append(want, log[s])
				}
				if got := rates.AppendSeconds(now, nil); !slices.Equal(got, want) {
					t.Fatalf("at %v: %v\nwant %v", now, got, want)
				}
				if got := rates.Last(now); got != want[59] {
					t.Fatalf("last second %d, want %d", got, want[59])
				}
			}
		}
	}
}

// TestRatesTimeBackwards: a little back counts in the running second, a clock
// that was set back starts anew and counts from there.
func TestRatesTimeBackwards(t *testing.T) {
	var rates Rates
	rates.Add(epoch0, 5)
	rates.Add(epoch0.Add(-3*time.Second), 5)
	if got := rates.Last(epoch0.Add(time.Second)); got != 10 {
		t.Errorf("after a step back of 3 s: %d, want 10", got)
	}
	day := epoch0.Add(-24 * time.Hour)
	rates.Add(day, 7)
	if got := rates.Last(day.Add(time.Second)); got != 7 {
		t.Errorf("after the clock was set back: %d, want 7", got)
	}
	rates.Add(time.Unix(-1000, 0), 3)
	if got := rates.Last(time.Unix(-999, 0)); got != 3 {
		t.Errorf("before 1970: %d, want 3", got)
	}
	rates.Add(time.Unix(-999, 0), -2)
	if got := rates.Last(time.Unix(-998, 0)); got != 0 {
		t.Errorf("more taken back than counted: %d, want 0", got)
	}
}
