package pacer

import (
	"testing"
	"time"
)

// TestDebtKeepsTheCeiling: work of any size, asked for as soon as the last is
// paid off and corrected when it came, is the ceiling on the average and never
// more than that and one piece.
func TestDebtKeepsTheCeiling(t *testing.T) {
	r := seeded(t)
	for range 100 {
		ceil, largest := 1+r.Int64N(1e6), 2+r.Int64N(1e6)
		d := NewDebt(ceil, epoch0)
		now := epoch0
		var log []spent
		var sum int64
		for range 300 {
			now = now.Add(d.Wait(now))
			if d.Wait(now) != 0 {
				t.Fatal("the wait is too short")
			}
			asked, came := 1+r.Int64N(largest), 1+r.Int64N(largest)
			d.Charge(now, asked)
			d.Charge(now, came-asked)
			log = append(log, spent{now.Sub(epoch0), came})
			sum += came
		}
		checkWindows(t, "debt", log, ceil, 2*largest)
		if got := float64(sum) / now.Sub(epoch0).Seconds(); got < 0.9*float64(ceil) {
			t.Fatalf("%.0f of a ceiling of %d", got, ceil)
		}
	}
}

// TestDebtIsNoCredit: more given back than was owed does not let two through.
func TestDebtIsNoCredit(t *testing.T) {
	d := NewDebt(10, epoch0)
	d.Charge(epoch0, 5)
	d.Charge(epoch0, -1000)
	if d.Wait(epoch0) != 0 {
		t.Error("paid off, and yet a wait")
	}
	d.Charge(epoch0, 21)
	if got := d.Wait(epoch0); got != 2100*time.Millisecond {
		t.Errorf("21 at 10/s, the first free: %v", got)
	}
	d.SetRate(epoch0, 100)
	if got := d.Wait(epoch0); got != 210*time.Millisecond {
		t.Errorf("at 100/s: %v", got)
	}
}
