package pacer

import "time"

// window counts what was granted in the last two seconds, and bounds it to the
// rate and less than two bursts: what is granted late can so never be too much where it
// matters, on a line that carries the rate.
//
//	slots   |.....|.....|.....|.....|  ...  |.....|..   |
//	         oldest                          newest: now
//	        |<------- two seconds at least ------->|
//
// A slot leaves the count when all of it is more than two seconds old. So no two
// seconds, whenever they begin, hold more than is bounded.
type window struct {
	start  time.Time
	most   int64
	newest int64 // number of the newest slot, by the time since start
	sum    int64
	slots  [windowSlots]int64
}

const (
	windowLength = 2 * time.Second
	windowSlots  = int64(windowLength/Epoch) + 1
)

// windowBurst is how much more than the rate two seconds may have: less than the
// two percent that are allowed, for who writes a little after it was granted.
func windowBurst(rate int64) int64 { return BurstOf(rate) * 7 / 4 }

// newWindow returns an empty window for a rate a second.
func newWindow(rate int64, now time.Time) window {
	return window{start: now, most: mulDiv(rate, int64(windowLength), int64(time.Second)) + windowBurst(rate)}
}

// roll moves on to a time. A little backwards it stays where it is; a clock that
// was set, either way, empties it.
func (w *window) roll(now time.Time) {
	slot := int64(now.Sub(w.start) / Epoch)
	switch d := slot - w.newest; {
	case d <= 0 && d >= -int64(backstep/Epoch):
		return
	case d < 0 || d >= windowSlots:
		*w = window{start: now, most: w.most}
		return
	}
	for w.newest < slot {
		w.newest++
		old := &w.slots[w.newest%windowSlots]
		w.sum -= *old
		*old = 0
	}
}

// add counts n, and returns the number of the slot that does.
func (w *window) add(now time.Time, n int64) (slot int64) {
	w.roll(now)
	w.slots[w.newest%windowSlots] += n
	w.sum += n
	return w.newest
}

// back takes back n of what a slot counts, if it is still there.
func (w *window) back(slot, n int64) {
	if slot > w.newest || slot <= w.newest-windowSlots {
		return
	}
	s := &w.slots[slot%windowSlots]
	n = min(n, *s)
	*s -= n
	w.sum -= n
}

// room returns how much more may be granted now, below zero: nothing.
func (w *window) room(now time.Time) int64 {
	w.roll(now)
	return w.most - w.sum
}
