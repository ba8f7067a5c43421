package repair

import (
	"slices"
	"time"

	"starling/wire"
)

const (
	// windowSize is how far the highest number may lie above the lowest one that is waited for, as large as the ring.
	windowSize = ringSize
	// keepLast is how many packets of each sender are kept for standing in.
	keepLast = 1024
)

// Verdict is what becomes of a packet.
type Verdict uint8

// The verdicts. Only a packet to be applied is applied by the caller at once; held ones come back from [Machine.Ready].
const (
	Unknown   Verdict = iota // of a node or an epoch that no window is open for
	Apply                    // it is the next one
	Held                     // something below it is missing
	Duplicate                // it was here before
	Late                     // it had been given up
	Refused                  // there is no room to hold it, as if it had not come
)

var verdictNames = [...]string{"unknown", "apply", "held", "duplicate", "late", "refused"}

func (v Verdict) String() string { return verdictNames[v] }

// Counts is what became of one sender's packets, beside those that were simply applied.
type Counts struct {
	Lost      uint64 // given up
	Repaired  uint64 // arrived after they were missing
	Late      uint64 // arrived after they were given up
	Duplicate uint64
	Refused   uint64
}

// window puts the packets of one epoch of one sender in order.
//
//	tail            next               top
//	 | kept, 1024    | held and missing |
type window struct {
	Counts  Counts
	store   *store
	slots   [windowSize]*packet // by number; those below next are kept, the others held
	gaps    []gap               // ascending; what lies from next to top and is neither here nor in a slot was given up
	tail    uint32              // nothing below it is in a slot
	next    uint32              // the next number to be applied
	top     uint32              // above all numbers known to exist
	held    int                 // packets in slots from next on
	raised  time.Time           // when top was last known to be the top: what is lost above it was sent later
	arrived uint64              // packets that raised top
	due     time.Time           // not after the first step of a gap
	cut     bool                // something was given up, since
	since   time.Time
	closed  bool // a newer epoch has begun: freed when nothing is held
	waiting bool // in the machine's list of those that may have something ready
}

// newWindow returns a window that waits for the packets from next on, which were sent since then.
func newWindow(since time.Time, s *store, next uint32) *window {
	return &window{store: s, tail: next, next: next, top: next, raised: since}
}

// take takes in a packet.
func (w *window) take(now time.Time, seq uint32, pkt []byte) Verdict {
	if seq == w.next && seq == w.top { // nothing is missing
		w.raise(now)
		w.keep(now, seq, pkt)
		w.next++
		return Apply
	}
	v := w.takeOther(now, seq, pkt)
	switch v {
	case Duplicate:
		w.Counts.Duplicate++
	case Late:
		w.Counts.Late++
	case Refused:
		w.Counts.Refused++
	}
	return v
}

// takeOther takes in a packet that is not simply the next one.
func (w *window) takeOther(now time.Time, seq uint32, pkt []byte) Verdict {
	switch {
	case seq >= w.top:
		return w.ahead(now, seq, pkt)
	case seq < w.tail || w.slots[seq%windowSize] != nil:
		return Duplicate
	case seq < w.next:
		return Late
	}
	i := w.find(seq)
	switch {
	case i == len(w.gaps) || w.gaps[i].First > seq:
		return Late
	case seq != w.next && w.store.held >= maxHeld:
		return Refused
	}
	i = w.isolate(i, wire.Range{First: seq, Last: seq})
	if w.gaps[i].missing {
		w.Counts.Repaired++
	}
	w.gaps = slices.Delete(w.gaps, i, i+1)
	return w.enter(now, seq, pkt)
}

// ahead takes in a packet above all others.
func (w *window) ahead(now time.Time, seq uint32, pkt []byte) Verdict {
	if w.next < w.top && w.store.held >= maxHeld || !w.reach(now, seq) {
		return Refused
	}
	w.raise(now)
	return w.enter(now, seq, pkt)
}

// enter puts a packet into its slot, from which it is applied at once if it is the next one.
func (w *window) enter(now time.Time, seq uint32, pkt []byte) Verdict {
	w.keep(now, seq, pkt)
	if seq == w.next {
		w.next++
		return Apply
	}
	w.held++
	w.store.held++
	return Held
}

// reach is told that all numbers below seq exist. It reports whether the window has room for seq itself, which it has not
// while packets are held that are too far below.
func (w *window) reach(now time.Time, seq uint32) bool {
	if seq-w.next >= windowSize {
		w.abandon()
		if w.held > 0 {
			return false
		}
		if w.top < seq {
			w.giveUp(&gap{Range: wire.Range{First: w.top, Last: seq - 1}, after: w.raised})
		}
		w.release()
		w.tail, w.next, w.top = seq, seq, seq
	}
	if seq > w.top {
		w.gaps = append(w.gaps, gap{Range: wire.Range{First: w.top, Last: seq - 1}, after: w.raised, seen: w.arrived})
		w.step(&w.gaps[len(w.gaps)-1], now.Add(reorder))
		w.rise(seq)
	}
	return true
}

// raise makes room for the number at the top, and looks whether it is the third above a gap.
func (w *window) raise(now time.Time) {
	w.rise(w.top + 1)
	w.raised = now
	w.arrived++
	for i := len(w.gaps) - 1; i >= 0 && w.arrived-w.gaps[i].seen <= overtaken; i-- {
		if g := &w.gaps[i]; !g.missing && w.arrived-g.seen == overtaken {
			w.confirm(now, g)
		}
	}
}

// rise sets top, and frees the slots that are no longer needed.
func (w *window) rise(top uint32) {
	w.top = top
	for ; w.tail < w.next && top-w.tail > keepLast; w.tail++ {
		w.clear(w.tail)
	}
}

// keep copies a packet into its slot.
func (w *window) keep(now time.Time, seq uint32, pkt []byte) {
	p := w.store.get(pkt)
	p.at = w.store.clock(now)
	w.slots[seq%windowSize] = p
}

// clear frees a slot.
func (w *window) clear(seq uint32) {
	if p := w.slots[seq%windowSize]; p != nil {
		w.store.put(p)
		w.slots[seq%windowSize] = nil
	}
}

// release frees all slots. Nothing must be held.
func (w *window) release() {
	for i := range w.slots {
		w.clear(uint32(i))
	}
	w.tail = w.next
}

// abandon gives up whatever is missing.
func (w *window) abandon() {
	for i := range w.gaps {
		w.giveUp(&w.gaps[i])
	}
	w.gaps = w.gaps[:0]
	w.skip()
}

// skip passes over numbers that were given up.
func (w *window) skip() {
	for w.next < w.top && w.slots[w.next%windowSize] == nil && (len(w.gaps) == 0 || w.gaps[0].First != w.next) {
		w.next++
	}
}

// ready returns the next packet that was held and may be applied now, nil when there is none. It is valid until the window's next call.
func (w *window) ready() *packet {
	if w.held == 0 {
		return nil
	}
	w.skip()
	p := w.slots[w.next%windowSize]
	if p == nil {
		return nil
	}
	w.next++
	w.held--
	w.store.held--
	return p
}

// kept returns a packet that is here, held or kept, and young enough to be sent again, nil when it is not.
func (w *window) kept(now time.Time, seq uint32) []byte {
	if seq < w.tail || seq >= w.top {
		return nil
	}
	p := w.slots[seq%windowSize]
	if p == nil || w.store.clock(now)-p.at > int64(bound) {
		return nil
	}
	return p.bytes()
}

// poll takes the steps that are due, and appends to dst what is to be asked for now, bounded by what one NACK can name.
// It reports whether it is to be asked of its origin only, because somebody else's promise did not help, and whether
// some of it was asked for before.
func (w *window) poll(now time.Time, dst []wire.Range) (ask []wire.Range, origin, repeats bool) {
	if w.due.IsZero() || now.Before(w.due) {
		return dst, false, false
	}
	asking := false
	w.gaps = slices.DeleteFunc(w.gaps, func(g gap) bool {
		if due := !now.Before(g.at); due && g.asks == maxAsks {
			w.giveUp(&g)
			return true
		} else if due && g.missing {
			asking = true
		}
		return false
	})
	w.due = time.Time{}
	for i := range w.gaps {
		g := &w.gaps[i]
		switch due := !now.Before(g.at); {
		case due && !g.missing:
			w.confirm(now, g)
		case asking && g.missing && g.asks < maxAsks && g.at.Sub(now) <= jitter && len(dst) < wire.MaxRanges:
			origin, repeats = origin || g.promised, repeats || g.asks > 0
			w.ask(now, g)
			dst = append(dst, g.Range)
		default:
			w.step(g, g.at)
		}
	}
	w.skip()
	return dst, origin, repeats
}

// asked is told that another node has asked for these: that is as good as our own NACK would be, if one was about to leave.
func (w *window) asked(now time.Time, ranges []wire.Range) {
	w.each(ranges, func(g *gap) bool {
		if g.asks == 0 || g.asks < maxAsks && g.at.Sub(now) <= jitter {
			w.ask(now, g)
		}
		return true
	})
}

// promised is told that another node is about to send these again.
func (w *window) promised(now time.Time, ranges []wire.Range) {
	w.each(ranges, func(g *gap) bool {
		if !g.promised {
			g.missing, g.promised = true, true
			w.step(g, now.Add(patience+w.store.upTo(jitter)))
		}
		return true
	})
}

// gone is told that their sender does not have these any more, the oldest of them since some time.
func (w *window) gone(since time.Time, ranges []wire.Range) {
	w.each(ranges, func(g *gap) bool {
		w.giveUp(g)
		w.lose(since)
		return false
	})
	w.skip()
}
