package pacer

import "testing"

// TestHeavyKeepsTheMinimum: documents come and go while the rate changes. A new
// one is admitted exactly if all would still have their claim, or if it is alone.
func TestHeavyKeepsTheMinimum(t *testing.T) {
	r := seeded(t)
	for range 100 {
		var h Heavy
		var live []uint64
		rate := 1 + r.Uint64N(5e6)
		for range 500 {
			switch {
			case r.IntN(20) == 0:
				rate = 1 + r.Uint64N(5e6)
			case len(live) > 0 && r.IntN(3) == 0:
				i := r.IntN(len(live))
				h.End(live[i])
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
			default:
				size := r.Uint64N(1 << uint(r.IntN(30)))
				var sum uint64
				for _, s := range append(live, size) {
					sum += min(max(s, 1), minimumSpeed)
				}
				want := len(live) == 0 || sum <= rate
				if got := h.Start(size, rate); got != want {
					t.Fatalf("%d more at %d with %d live: %v", size, rate, len(live), got)
				}
				if want {
					live = append(live, size)
				}
			}
			if h.Live() != len(live) {
				t.Fatalf("%d live, want %d", h.Live(), len(live))
			}
		}
		for _, s := range live {
			h.End(s)
		}
		if h != (Heavy{}) {
			t.Fatalf("all are through: %+v", h)
		}
	}
	var h Heavy
	for range 1000 {
		if !h.Start(1<<40, Unlimited) {
			t.Fatal("refused without a limit")
		}
	}
}
