package repair

import (
	"slices"
	"time"

	"starling/wire"
)

const (
	// reorder is how long a number may be overtaken before it counts as missing.
	reorder = 50 * time.Millisecond
	// overtaken is how many later packets make it missing before that.
	overtaken = 3
	// jitter is the longest a NACK waits for another node's to spare it.
	jitter = 20 * time.Millisecond
	// patience is how long after a first NACK the packet is asked for again. It doubles each time.
	patience = 50 * time.Millisecond
	// echo is how long after a NACK that repeats another it is sent a second time: it or its answer was lost already.
	echo = 10 * time.Millisecond
	// maxAsks is after how many NACKs in vain a packet is given up.
	maxAsks = 3
)

// gap is a run of numbers that were not received and are in the same state.
type gap struct {
	wire.Range
	after    time.Time // when the last packet before it came: what is lost was sent since then
	seen     uint64    // which of the window's arrivals showed it
	missing  bool      // not only suspected
	promised bool      // a promise has put it off once
	asks     int       // NACKs that asked for it, ours or another's
	at       time.Time // when the next step is due: missing, asked again, given up
}

// overlap returns what two ranges have in common, if anything.
func overlap(a, b wire.Range) (wire.Range, bool) {
	c := wire.Range{First: max(a.First, b.First), Last: min(a.Last, b.Last)}
	return c, c.First <= c.Last
}

// find returns where the first gap is that ends at seq or above.
func (w *window) find(seq uint32) int {
	i, _ := slices.BinarySearchFunc(w.gaps, seq, func(g gap, seq uint32) int {
		if g.Last < seq {
			return -1
		}
		return 1
	})
	return i
}

// isolate makes the part of gap i that lies in r, which must not be empty, a gap of its own, and returns where it is.
func (w *window) isolate(i int, r wire.Range) int {
	g := w.gaps[i]
	if r.Last < g.Last {
		rest := g
		rest.First = r.Last + 1
		w.gaps[i].Last = r.Last
		w.gaps = slices.Insert(w.gaps, i+1, rest)
	}
	if r.First > g.First {
		rest := w.gaps[i]
		rest.First = r.First
		w.gaps[i].Last = r.First - 1
		i++
		w.gaps = slices.Insert(w.gaps, i, rest)
	}
	return i
}

// each calls f with the gaps that the ranges cover, cut to what they cover. f must not change the list; those
// for which it returns false are removed.
func (w *window) each(ranges []wire.Range, f func(g *gap) (stays bool)) {
	for _, r := range ranges {
		for i := w.find(r.First); i < len(w.gaps); i++ {
			part, ok := overlap(w.gaps[i].Range, r)
			if !ok {
				break
			}
			i = w.isolate(i, part)
			if !f(&w.gaps[i]) {
				w.gaps = slices.Delete(w.gaps, i, i+1)
				i--
			}
		}
	}
}

// confirm says that a gap is not only suspected. It is asked for soon.
func (w *window) confirm(now time.Time, g *gap) {
	g.missing = true
	w.step(g, now.Add(w.store.upTo(jitter)))
}

// ask notes that a NACK asked for a gap.
func (w *window) ask(now time.Time, g *gap) {
	g.missing = true
	w.step(g, now.Add(patience<<g.asks+w.store.upTo(jitter)))
	g.asks++
}

// step sets when the next step of a gap is due.
func (w *window) step(g *gap, at time.Time) {
	g.at = at
	if w.due.IsZero() || at.Before(w.due) {
		w.due = at
	}
}

// giveUp notes that the numbers of a gap will not come, and that what they told has to be fetched otherwise.
func (w *window) giveUp(g *gap) {
	w.Counts.Lost += uint64(g.Last-g.First) + 1
	w.lose(g.after)
}

// lose notes since when something is lost.
func (w *window) lose(since time.Time) {
	if !w.cut || since.Before(w.since) {
		w.cut, w.since = true, since
	}
}
