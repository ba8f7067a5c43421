package pacer

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// slotLength is how finely the future is divided, horizon how far it goes.
	slotLength = 10 * time.Second
	horizon    = 2 * time.Hour
	// slots is a power of two above those of the horizon: two times that are
	// looked at together never fall into the same place.
	slots = 1024
	// bookedOf100 is what part of the capacity is promised. The rest is for new
	// clients and for those who come when they like.
	bookedOf100 = 80
	// strangersOf is how many new clients there are for each that comes at the
	// usual interval, whatever it is told, as far as is known beforehand.
	strangersOf = 10
	// leastRoom is the part of a slot that can be booked however many come.
	leastRoom = 4
)

// Calendar books each client's next announce into a slot of the future that
// still has room: a token bucket whose tokens are later times. The tracker so
// chooses when each client comes back, and a crowd that came at once is spread
// out when it comes again. To change one interval for all by what is measured
// cannot do that: it acts an interval too late.
//
// Some clients do not obey and come each base. What tells them apart is that
// they come when they are not expected; by then the slots of their next visits
// are full of others. So room is left for them before they are known, and
// theirs is given to others as soon as they are:
//
//	a crowd comes      Book leaves room for one tenth of those who come now, who
//	                   may all come back after base
//	a client is new    New charges, for one of ten, each base from now on
//	it comes early     Return gives back the place that it did not wait for, and
//	                   Again charges the last base, those before it being charged
//	it stops           Return gives back its place
//
// Bookings take no lock. Each place holds the number of its slot beside its
// count, so that a slot that is over is empty without anybody clearing it.
type Calendar struct {
	start  time.Time
	room   uint32               // announces in a slot
	places [slots]atomic.Uint64 // slot number << 32 | count
	news   [2]atomic.Uint64     // new clients in the present slot and the one before, likewise
}

// NewCalendar returns an empty calendar for a capacity in announces a second.
func NewCalendar(capacity int64, now time.Time) *Calendar {
	room := mulDiv(max(capacity, 0), bookedOf100*int64(slotLength/time.Second), 100)
	return &Calendar{start: now, room: uint32(min(max(room, 1), 1<<31))}
}

// Booking is when a client is to come back.
type Booking struct {
	// Slot is the number of its slot, the argument of Cancel. It counts from the
	// calendar's start.
	Slot uint32
	// Interval is what the client is told, with its own place in the slot; Min
	// is half of that, before which it is not to come.
	Interval, Min time.Duration
}

// Book finds the first slot with room at or after now + base. If there is none
// up to now + latest, which the horizon bounds, it takes the one of two random
// slots between them that has less in it.
//
// peer is a number that stays the same for a client and is evenly spread; it
// says where in the slot its place is. random is a number for this booking.
func (c *Calendar) Book(now time.Time, base, latest time.Duration, peer, random uint64) Booking {
	at := max(now.Sub(c.start), 0)
	base = min(max(base, 0), horizon)
	latest = min(max(latest, base), horizon)
	first, last := slotAt(at+base), slotAt(at+latest)
	room := c.free(slotAt(at))
	slot := first
	for slot <= last && !c.take(slot, room) {
		slot++
	}
	if slot > last {
		slot = c.lessLoaded(first, last, random)
		c.take(slot, math.MaxUint32)
	}
	place, _ := bits.Mul64(peer, uint64(slotLength))
	interval := max(time.Duration(slot)*slotLength-at+time.Duration(place), time.Second)
	return Booking{Slot: slot, Interval: interval, Min: interval / 2}
}

// free returns how much of a slot may be booked now: the rest is for those of
// the new clients who come back after base. Two slots are looked at because the
// present one has only begun.
func (c *Calendar) free(slot uint32) uint32 {
	most := max(tagged(&c.news[slot%2], slot), tagged(&c.news[(slot+1)%2], slot-1))
	return max(c.room-min(most/strangersOf, c.room), c.room/leastRoom, 1)
}

// New says that the client of a booking is one of whom nothing was known. One
// of ten is taken for one that comes each base up to latest, whatever it is
// told. Who was booked for the first slot comes then in any case.
func (c *Calendar) New(now time.Time, base, latest time.Duration, b Booking, random uint64) {
	at := max(now.Sub(c.start), 0)
	add(&c.news[slotAt(at)%2], slotAt(at), math.MaxUint32)
	if b.Slot == slotAt(at+base) || random%strangersOf != 0 {
		return
	}
	for d, n := base, 0; d > 0 && d < min(latest, horizon) && n < mostVisits; d, n = d+base, n+1 {
		c.take(slotAt(at+d), math.MaxUint32)
	}
}

// mostVisits bounds how many visits of one client are charged ahead.
const mostVisits = 16

// Again says that a client came without an event long before it was expected:
// it goes on to come each base. The last of these visits is charged now.
func (c *Calendar) Again(now time.Time, base, latest time.Duration) {
	if base > 0 {
		visits := min((min(latest, horizon)-1)/base, mostVisits)
		c.take(slotAt(max(now.Sub(c.start), 0)+visits*base), math.MaxUint32)
	}
}

// Return gives back the place of a client that was booked for a time known
// within a unit either way, and that came before it, or stopped. Which slot it
// is of those that it may be, random says: for many that is right. One that is
// empty was given back for others; then it is the next that is not.
func (c *Calendar) Return(due time.Time, unit time.Duration, random uint64) {
	at := due.Sub(c.start)
	early, _ := bits.Mul64(random<<32, uint64(unit)) // two evenly spread times make a blurred one
	late, _ := bits.Mul64(random>>32<<32, uint64(unit))
	first, last := slotAt(max(at-unit, 0)), slotAt(max(at+unit, 0))
	for slot := slotAt(max(at+time.Duration(late)-time.Duration(early), 0)); slot <= last; slot++ {
		if c.cancel(slot) {
			return
		}
	}
	for slot := first; slot <= last && !c.cancel(slot); slot++ {
	}
}

// Cancel frees the place of a client that was sent elsewhere. A slot that is
// over is left alone.
func (c *Calendar) Cancel(slot uint32) { c.cancel(slot) }

// cancel reports whether there was a place to free.
func (c *Calendar) cancel(slot uint32) bool {
	p := c.place(slot)
	for {
		old := p.Load()
		if uint32(old>>32) != slot || uint32(old) == 0 {
			return false
		}
		if p.CompareAndSwap(old, old-1) {
			return true
		}
	}
}

// Begins returns when a slot begins.
func (c *Calendar) Begins(slot uint32) time.Time {
	return c.start.Add(time.Duration(slot) * slotLength)
}

// Load returns how many announces are booked for the slot of a time, and for
// how many there is room.
func (c *Calendar) Load(at time.Time) (booked, room uint32) {
	return c.count(slotAt(max(at.Sub(c.start), 0))), c.room
}

// slotAt returns the number of the slot that a time since the start is in. A
// time before the start counts as the start.
func slotAt(at time.Duration) uint32 { return uint32(at / slotLength) }

func (c *Calendar) place(slot uint32) *atomic.Uint64 { return &c.places[slot%slots] }

// count returns how many are booked for a slot.
func (c *Calendar) count(slot uint32) uint32 { return tagged(c.place(slot), slot) }

// take books one place in a slot if fewer than room are taken.
func (c *Calendar) take(slot, room uint32) bool { return add(c.place(slot), slot, room) }

// tagged returns the count of a slot at its place: none when the place still
// holds another one's number.
func tagged(p *atomic.Uint64, slot uint32) uint32 {
	if v := p.Load(); uint32(v>>32) == slot {
		return uint32(v)
	}
	return 0
}

// add adds one to the count of a slot at its place if it is below a bound.
func add(p *atomic.Uint64, slot, bound uint32) bool {
	for {
		old := p.Load()
		count := uint32(0)
		if uint32(old>>32) == slot {
			count = uint32(old)
		}
		if count >= bound {
			return false
		}
		if p.CompareAndSwap(old, uint64(slot)<<32|uint64(count+1)) {
			return true
		}
	}
}

// lessLoaded returns the less loaded of two random slots from first to last.
func (c *Calendar) lessLoaded(first, last uint32, random uint64) uint32 {
	span := uint64(last - first + 1)
	a := first + uint32((random>>32)*span>>32)
	b := first + uint32((random&math.MaxUint32)*span>>32)
	if c.count(b) < c.count(a) {
		return b
	}
	return a
}
