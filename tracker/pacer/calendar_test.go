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

// booked returns how many are booked in all slots of the horizon.
func (c *Calendar) booked(now time.Time) (sum int) {
	for s := now; s.Before(now.Add(2 * horizon)); s = s.Add(slotLength) {
		n, _ := c.Load(s)
		sum += int(n)
	}
	return sum
}

// TestCalendarLeavesRoomForStrangers: the more new clients come the less of a slot is booked, but never nothing; ten
// seconds after they ceased it is all of it again.
func TestCalendarLeavesRoomForStrangers(t *testing.T) {
	const base = 30 * time.Minute
	for strangers, want := range map[int]uint32{0: 800, 1000: 700, 5000: 300, 50_000: 200} {
		c := NewCalendar(100, epoch0)
		now := epoch0.Add(time.Hour)
		for range strangers {
			c.New(now, base, horizon, Booking{Slot: slotAt(time.Hour + base)}, 0)
		}
		if n := c.booked(now); n != 0 {
			t.Fatalf("%d visits are charged for clients that come in any case", n)
		}
		book := func(now time.Time) uint32 {
			for range 1000 {
				c.Book(now, base, horizon, 0, 0)
			}
			n, _ := c.Load(now.Add(base))
			return n
		}
		if got := book(now.Add(slotLength)); got != want {
			t.Errorf("%d new clients: %d booked, want %d", strangers, got, want)
		}
		if got := book(now.Add(3 * slotLength)); got != 800 {
			t.Errorf("%d new clients, half a minute ago: %d booked", strangers, got)
		}
	}
}

// TestCalendarChargesVisits: one of ten strangers that were booked late is expected each base, up to the last that may be
// booked; one that is known to come early once more at the end of them.
func TestCalendarChargesVisits(t *testing.T) {
	r := seeded(t)
	for range 50 {
		base := time.Minute + time.Duration(r.IntN(int(time.Hour)))
		latest := base + time.Duration(r.IntN(int(2*time.Hour)))
		c := NewCalendar(100, epoch0)
		visits := 0
		for d := base; d < min(latest, horizon) && visits < mostVisits; d += base {
			visits++
		}
		for random := range uint64(strangersOf) {
			c.New(epoch0, base, latest, Booking{Slot: 1000}, random)
		}
		if got := c.booked(epoch0); got != visits {
			t.Fatalf("base %v, latest %v: %d visits, want %d", base, latest, got, visits)
		}
		c.Again(epoch0, base, latest)
		last := epoch0.Add(time.Duration(visits) * base)
		if got := c.booked(last.Add(-slotLength)) - c.booked(last.Add(slotLength)); visits > 0 && got < 2 {
			t.Fatalf("base %v, latest %v: %d are expected at %v", base, latest, got, last)
		}
	}
	c := NewCalendar(100, epoch0)
	c.New(epoch0, 0, horizon, Booking{Slot: 5}, 0) // no base, no visits
	c.Again(epoch0, 0, horizon)
	if got := c.booked(epoch0); got != 0 {
		t.Errorf("%d visits without a base", got)
	}
}

// TestReturnGivesPlacesBack: what is given back was booked, or there is nothing booked near it; all bookings that are given
// back leave an empty calendar.
func TestReturnGivesPlacesBack(t *testing.T) {
	const unit = 45 * time.Second
	r := seeded(t)
	c := NewCalendar(20, epoch0)
	var due []time.Time
	for range 10_000 {
		b := c.Book(epoch0, 0, horizon, 0, 0)
		due = append(due, c.Begins(b.Slot).Add(slotLength/2))
	}
	if got := c.booked(epoch0); got != len(due) {
		t.Fatalf("%d booked, want %d", got, len(due))
	}
	r.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	for _, at := range due[:len(due)/2] {
		c.Return(at.Add(time.Duration(r.Int64N(int64(unit)))-unit/2), unit, r.Uint64())
	}
	// What falls before the beginning or behind the last is not given back: less than a hundredth.
	if got, want := c.booked(epoch0), len(due)/2; got < want || got > want+len(due)/100 {
		t.Errorf("%d booked after half were given back, want %d", got, want)
	}
	c.Return(epoch0.Add(-time.Hour), unit, r.Uint64())
	c.Return(epoch0.Add(1000*time.Hour), unit, r.Uint64())
	for range 20 {
		for _, at := range due {
			c.Return(at, unit, r.Uint64())
		}
	}
	if got := c.booked(epoch0); got != 0 {
		t.Errorf("%d are left", got)
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
