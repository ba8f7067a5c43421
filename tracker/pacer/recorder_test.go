package pacer

import (
	"sync"
	"testing"
	"time"
)

// TestRecorderMatchesModel: whatever happens in whatever seconds, the bandwidth
// is the mean of the last busy ones, not below the floor, not above the limit,
// and unlimited until a full period was seen.
func TestRecorderMatchesModel(t *testing.T) {
	r := seeded(t)
	for range 50 {
		period := 1 + r.IntN(40)
		rec := NewRecorder(uint(period), epoch0)
		var model []uint64
		full, limit := false, uint64(Unlimited)
		now := epoch0
		for range 500 {
			switch r.IntN(20) {
			case 0:
				period = 1 + r.IntN(40)
				rec.SetObservationPeriod(uint(period))
				if got := rec.ObservationPeriod(); got != uint(period) {
					t.Fatalf("period %d, want %d", got, period)
				}
			case 1:
				limit = 1 + r.Uint64N(1e8)
				rec.RequestHardLimit(limit)
			case 2:
				limit = Unlimited
				rec.ClearHardLimit()
			}
			bytes, busy := r.Uint64N(1e8)*r.Uint64N(2), r.IntN(2) == 0
			for left := bytes; left > 0; {
				n := min(left, 1+r.Uint64N(1e7))
				rec.RecordBytes(n)
				left -= n
			}
			if busy {
				rec.Busy()
				model = append(model, bytes)
			}
			rec.Roll(now.Add(100 * time.Millisecond)) // too early: nothing happens
			now = now.Add(time.Second)
			rec.Roll(now)
			model = model[max(len(model)-period, 0):]
			full = full || len(model) == period
			want := uint64(Unlimited)
			if full {
				var sum uint64
				for _, n := range model {
					sum += n
				}
				want = max(sum/uint64(max(len(model), 1)), 1_000_000)
			}
			if got := rec.Bandwidth(); got != min(want, limit) {
				t.Fatalf("bandwidth %d, want %d or the limit of %d", got, want, limit)
			}
			if requested, got := rec.HardLimit(); requested != (limit != Unlimited) || requested && got != limit {
				t.Fatalf("hard limit %v %d, want %d", requested, got, limit)
			}
		}
	}
}

// TestRecorderOddSeconds: a machine that slept and a clock that was set back
// are no samples; a late tick is one of the time that passed.
func TestRecorderOddSeconds(t *testing.T) {
	rec := NewRecorder(1, epoch0)
	now := epoch0
	second := func(d time.Duration, bytes uint64) {
		rec.Busy()
		rec.RecordBytes(bytes)
		now = now.Add(d)
		rec.Roll(now)
	}
	for _, d := range []time.Duration{time.Hour, -time.Hour, 2*time.Second + 1} {
		if second(d, 5e6); rec.Bandwidth() != Unlimited {
			t.Fatalf("a second of %v is a sample", d)
		}
	}
	if second(1250*time.Millisecond, 5e6); rec.Bandwidth() != 4e6 {
		t.Fatalf("5 MB in 1.25 s: %d", rec.Bandwidth())
	}
	rec.SetObservationPeriod(0)
	if rec.ObservationPeriod() != 1 {
		t.Errorf("a period of %d", rec.ObservationPeriod())
	}
	if second(time.Second, 1); rec.Bandwidth() != minimumObserved {
		t.Errorf("below the floor: %d", rec.Bandwidth())
	}
	if rec.RequestHardLimit(0); rec.Bandwidth() != 1 {
		t.Errorf("a hard limit of zero: %d", rec.Bandwidth())
	}
}

// TestRecorderLosesNothing: bytes recorded by many while seconds roll are all in
// some sample.
func TestRecorderLosesNothing(t *testing.T) {
	rec := NewRecorder(maxPeriod, epoch0)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10_000 {
				rec.RecordBytes(1)
			}
		})
	}
	for i := range 100 {
		rec.Busy()
		rec.Roll(epoch0.Add(time.Duration(i+1) * time.Second))
	}
	wg.Wait()
	rec.Busy()
	rec.Roll(epoch0.Add(101 * time.Second))
	var sum uint64
	for _, n := range rec.samples {
		sum += n
	}
	if sum != 160_000 {
		t.Errorf("%d of 160000 bytes in the samples", sum)
	}
}
