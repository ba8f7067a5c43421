package livesync

import (
	"time"

	"starling/wire"
)

const (
	// tellStart is how long a tell waits after the inquiry, so that nodes that ask at the same moment are answered by one.
	tellStart = 50 * time.Millisecond
	// tellGap is the time between two packets of a tell: 9,000 torrents and 300 KB a second.
	// A receive buffer of the default size holds 92 such packets, half a second's worth.
	tellGap = 5 * time.Millisecond
	// leastTells is the room that the store needs to go on in any case: torrents that have the same hash there it tells together.
	leastTells = 8
	// maxFills bounds how often the store is asked for one packet, in case it answers with nothing again and again.
	maxFills = 64
)

// telling sends what we know of torrents: all of them after an inquiry, or those that were told wrong by others.
// Of two nodes that tell at once, the one with the higher id waits.
type telling struct {
	active bool
	all    bool      // with a cursor over all torrents; else the corrections
	at     time.Time // not before: the pace
	quiet  time.Time // not before: a node with a lower id tells

	cursor uint64 // where the store goes on
	limit  uint64 // where this round ends; 0: at the end
	again  bool   // after this round goes another
	stop   uint64 // where that one ends
}

// inquired starts a tell of all torrents. One under way goes round again, to where it was: what the
// new asker has missed it gets, and the others do not get the rest twice.
func (t *telling) inquired(now time.Time) {
	if !t.active || !t.all {
		*t = telling{active: true, all: true, at: now.Add(tellStart), quiet: t.quiet}
		return
	}
	if t.cursor != 0 {
		t.limit, t.again, t.stop = 0, true, t.cursor
	}
}

// correct starts a tell of the corrections. None may be under way.
func (t *telling) correct(now time.Time) { t.active, t.all, t.at = true, false, now }

// corrected is told that a packet of corrections was filled, and whether it was the last.
func (t *telling) corrected(now time.Time, last bool) { t.active, t.at = !last, now.Add(tellGap) }

// lowerTold is told that a node with a lower id tells: we wait until then.
func (t *telling) lowerTold(quiet time.Time) { t.quiet = quiet }

// ready reports whether the next packet may leave.
func (t *telling) ready(now time.Time) bool {
	return t.active && !now.Before(t.at) && !now.Before(t.quiet)
}

// due returns when the next packet may leave, the zero time when there is none.
func (t *telling) due() time.Time {
	switch {
	case !t.active:
		return time.Time{}
	case t.quiet.After(t.at):
		return t.quiet
	}
	return t.at
}

// fill takes the next torrents from the store. It returns 0 when there are none or the store needs more time.
func (t *telling) fill(now time.Time, dst []wire.Tell, tells func(time.Time, uint64, []wire.Tell) (int, uint64)) int {
	t.at = now.Add(tellGap)
	n := 0
	for range maxFills {
		k, next := tells(now, t.cursor, dst[n:])
		n += k
		t.cursor = next
		if next == 0 || t.limit != 0 && next >= t.limit {
			t.endRound()
			break
		}
		if n == len(dst) || k == 0 && len(dst)-n < leastTells {
			break
		}
	}
	return n
}

func (t *telling) endRound() {
	if !t.again {
		*t = telling{}
		return
	}
	t.cursor, t.limit, t.again = 0, t.stop, false
}
