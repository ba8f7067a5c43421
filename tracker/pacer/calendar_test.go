package pacer

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestCalendarNeverOverfills: a slot exceeds its room only when every slot that
// the booking could have had was full; and a booking takes the first.
func TestCalendarNeverOverfills(t *testing.T) {
	r := seeded(t)
	for range 20 {
		c := NewCalendar(1+r.Int64N(5), epoch0)
		now := epoch0
		booked := map[time.Time]uint32{}
		for range 5000 {
			now = now.Add(time.Duration(r.IntN(int(2 * time.Second))))
			base := time.Duration(r.IntN(int(time.Hour)))
			latest := base + time.Duration(r.IntN(int(time.Hour)))
			first := epoch0.Add(now.Add(base).Sub(epoch0).Truncate(slotLength))
			last := now.Add(latest)
			_, room := c.Load(now)
			b := c.Book(now, base, latest, r.Uint64(), r.Uint64())
			begins := c.Begins(b.Slot)
			if begins.Before(first) || begins.After(last) {
				t.Fatalf("booked %v, from %v to %v", begins, first, last)
			}
			for s := first; !s.After(last); s = s.Add(slotLength) {
				if s.Equal(begins) && booked[s] < room {
					break
				}
				if booked[s] < room {
					t.Fatalf("booked %v, but %v has %d of %d", begins, s, booked[s], room)
				}
			}
			booked[begins]++
			if got, _ := c.Load(begins); got != booked[begins] {
				t.Fatalf("slot %v has %d, want %d", begins, got, booked[begins])
			}
			if at := begins.Sub(now); b.Interval < at || b.Interval >= max(at, 0)+slotLength+time.Second || b.Min != b.Interval/2 {
				t.Fatalf("interval %v, minimum %v, the slot begins in %v", b.Interval, b.Min, at)
			}
			if r.IntN(10) == 0 {
				c.Cancel(b.Slot)
				booked[begins]--
			}
		}
	}
}

// TestCalendarConcurrently: no slot is overfilled and no booking is lost by
// many at once.
func TestCalendarConcurrently(t *testing.T) {
	const goroutines, each = 64, 500
	c := NewCalendar(10, epoch0) // 80 a slot; 400 slots are enough for all
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				c.Book(epoch0, time.Minute, horizon, rand.Uint64(), rand.Uint64())
			}
		})
	}
	wg.Wait()
	var sum uint32
	for s := epoch0; s.Before(epoch0.Add(horizon)); s = s.Add(slotLength) {
		booked, room := c.Load(s)
		if booked > room {
			t.Fatalf("%d in a slot for %d", booked, room)
		}
		sum += booked
	}
	if sum != goroutines*each {
		t.Errorf("%d bookings, %d in the calendar", goroutines*each, sum)
	}
}

// TestCalendarForgetsThePast: places are used again, hours later, as if empty;
// what is over is not cancelled.
func TestCalendarForgetsThePast(t *testing.T) {
	c := NewCalendar(1, epoch0)
	now := epoch0
	for range 100 {
		b := c.Book(now, 30*time.Minute, time.Hour, 0, 0)
		if booked, room := c.Load(c.Begins(b.Slot)); booked != 1 || room != 8 {
			t.Fatalf("%v: %d of %d", now, booked, room)
		}
		c.Cancel(b.Slot - slots) // the same place, of another time
		if booked, _ := c.Load(c.Begins(b.Slot)); booked != 1 {
			t.Fatal("the past was cancelled and the present is gone")
		}
		now = now.Add(b.Interval).Add(slots * slotLength / 2)
	}
	if b := c.Book(epoch0.Add(-time.Hour), 0, 0, 0, 0); b.Interval < time.Second {
		t.Errorf("before the start: %v", b.Interval)
	}
}

// TestJitterIsThePeersOwn: the same client has the same place in each slot.
func TestJitterIsThePeersOwn(t *testing.T) {
	c := NewCalendar(1e6, epoch0)
	for peer, want := range map[uint64]time.Duration{0: 0, 1 << 63: 5 * time.Second, 1<<64 - 1: slotLength - 1} {
		for i := range 10 {
			now := epoch0.Add(time.Duration(i) * 7 * time.Second)
			b := c.Book(now, 30*time.Minute, time.Hour, peer, 0)
			if got := now.Add(b.Interval).Sub(c.Begins(b.Slot)); got != want {
				t.Errorf("peer %#x: %v into its slot, want %v", peer, got, want)
			}
		}
	}
}
