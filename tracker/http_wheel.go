package tracker

// wheel finds the connections whose time is up, in O(1) for each change. Time is counted in ticks.
//
//	slot    0    1    2   ...  wheelSlots-1       the slot of a tick is its remainder
//	        |    |    |
//	        c    -    c <-> c                     connections, by the tick they were filed under
//
// A connection's time only moves on with each answer, and then it stays where it is: when its slot is due it is filed again, under the
// tick that its time has come to by then. No time may lie wheelSlots ticks or more ahead.
type wheel struct {
	slots [wheelSlots]*loopConn // the first of each, of lists that go in a circle
	tick  int64                 // all before it, and it, are done
	filed int                   // connections
}

const wheelSlots = 64

// timed is a connection's place in a wheel.
type timed struct {
	due        int64 // its time is up then
	filed      int64 // the slot that it is in is that of this tick
	next, prev *loopConn
}

// add files a connection under the tick in which it is due, the next one at the earliest.
func (w *wheel) add(c *loopConn) {
	c.filed = max(c.due, w.tick+1)
	first := &w.slots[c.filed%wheelSlots]
	if *first == nil {
		*first, c.next, c.prev = c, c, c
	} else {
		c.next, c.prev = *first, (*first).prev
		c.prev.next, c.next.prev = c, c
	}
	w.filed++
}

func (w *wheel) remove(c *loopConn) {
	first := &w.slots[c.filed%wheelSlots]
	switch {
	case c.next == c:
		*first = nil
	case *first == c:
		*first = c.next
	}
	c.prev.next, c.next.prev = c.next, c.prev
	c.next, c.prev = nil, nil
	w.filed--
}

// move sets when a connection is due.
func (w *wheel) move(c *loopConn, due int64) {
	if c.due = due; due < c.filed {
		w.remove(c)
		w.add(c)
	}
}

// next returns the first tick in which there may be something to do, at least one after the current one; ok is false when there is none.
func (w *wheel) next() (tick int64, ok bool) {
	if w.filed == 0 {
		return 0, false
	}
	for tick = w.tick + 1; w.slots[tick%wheelSlots] == nil; tick++ {
	}
	return tick, true
}

// advance goes on to a tick and returns a connection whose time is up by then, which is no longer in the wheel; nil: there is none left.
func (w *wheel) advance(tick int64) *loopConn {
	for w.filed > 0 && w.tick < tick {
		first := w.slots[(w.tick+1)%wheelSlots]
		if first == nil || first.filed > w.tick+1 {
			w.tick++
			continue
		}
		w.remove(first)
		if first.due <= tick {
			return first
		}
		w.add(first)
	}
	w.tick = max(w.tick, tick)
	return nil
}
