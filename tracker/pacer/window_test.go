package pacer

import (
	"testing"
	"time"
)

// TestWindowBoundsTwoSeconds: whoever grants no more than there is room for, at
// any times, some of it late and some given back, keeps every two seconds to the
// rate and a burst; and there is room for all of that.
func TestWindowBoundsTwoSeconds(t *testing.T) {
	r := seeded(t)
	for range 30 {
		rate := 1000 + r.Int64N(1e6)
		w, now := newWindow(rate, epoch0), epoch0
		var log []spent
		var sum int64
		for now.Sub(epoch0) < 10*time.Second {
			now = now.Add(time.Duration(r.Int64N(int64(1 + r.Int64N(int64(300*time.Millisecond))))))
			room := w.room(now)
			if room <= 0 {
				continue
			}
			n := 1 + r.Int64N(room)
			slot, back := w.add(now, n), int64(0)
			if r.IntN(3) == 0 {
				back = r.Int64N(n + 1)
				w.back(slot, back)
			}
			log = append(log, spent{now.Sub(epoch0), n - back})
			sum += n - back
		}
		most := 2*rate + windowBurst(rate)
		for i, first := range log {
			var inside int64
			for _, s := range log[i:] {
				if s.at-first.at <= windowLength {
					inside += s.n
				}
			}
			if inside > most {
				t.Fatalf("at %v: %d in two seconds, at most %d", first.at, inside, most)
			}
		}
		if sum < rate*9 {
			t.Errorf("%d granted in ten seconds of %d", sum, rate)
		}
	}
}

// TestWindowForgets: what a slot has that is over, or came before a clock was
// set, is neither counted nor taken back.
func TestWindowForgets(t *testing.T) {
	w := newWindow(1000, epoch0)
	full := w.room(epoch0)
	slot := w.add(epoch0, full)
	if got := w.room(epoch0.Add(2 * time.Second)); got > 0 {
		t.Errorf("room for %d after exactly two seconds", got)
	}
	if got := w.room(epoch0.Add(2*time.Second + Epoch)); got != full {
		t.Errorf("room for %d after more than that", got)
	}
	w.back(slot, full)
	if got := w.room(epoch0.Add(2*time.Second + Epoch)); got != full {
		t.Errorf("room for %d with something back from a slot that is over", got)
	}
	for _, at := range []time.Duration{time.Hour, time.Hour - 500*time.Millisecond, 0, -time.Hour} {
		w.add(epoch0.Add(at), 10)
		if got := w.room(epoch0.Add(at)); got > full-10 || got < full-20 {
			t.Errorf("at %v: room for %d", at, got)
		}
	}
}
