package livesync

import "time"

// makeRoom is what a full queue does when a record of class c comes. It reports whether there is room for it now; if not, the
// record is counted as given up. The caller holds q.mu.
func (q *queue) makeRoom(c class) bool {
	switch {
	case !q.away:
		for least := range c + 1 {
			if i, ok := q.worth.first(classHead(least)); ok {
				q.giveUp(i)
				return true
			}
		}
	case q.grant:
		q.grant = !q.paced
		line := 0
		if i, ok := q.lines.first(lineHead(1)); ok {
			if j, ok := q.lines.first(lineHead(0)); !ok || q.slots[i].number < q.slots[j].number {
				line = 1
			}
		}
		for range q.full[line] {
			i, ok := q.lines.first(lineHead(line))
			if !ok {
				break
			}
			q.giveUp(i)
		}
		return true
	}
	q.countLost(c, q.clock)
	return false
}

// giveUp takes out a record that nobody will be told of.
func (q *queue) giveUp(i uint16) {
	s := &q.slots[i]
	q.countLost(classOf(s.record.Flags), s.at)
	q.remove(i)
}

// countLost counts a record that nobody will be told of, and that was put then or later.
func (q *queue) countLost(c class, at int64) {
	if q.gap.records == 0 || at < q.gap.since {
		q.gap.since = at
	}
	q.gap.records++
	switch {
	case q.away:
		q.lost.Down++
	case c == renewals:
		q.lost.Renewals++
	case c == starts:
		q.lost.Started++
	case c == completions:
		q.lost.Completed++
	default:
		q.lost.Stopped++
	}
}

// takeGap returns how many records were given up since it was asked last, and a time before which none of them was put.
func (q *queue) takeGap() (records int, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.gap
	q.gap = gap{}
	return g.records, time.Unix(0, g.since)
}

// setAway says whether the interface is away. When it goes, a packet's worth may be given up at once, and the next when
// that is allowed if it is paced, else whenever there must be room.
func (q *queue) setAway(away, paced bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away, q.grant, q.paced = away, true, paced
}

// granted reports whether a packet's worth may be given up, when the next record comes and the queue is full.
func (q *queue) granted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.grant
}

// allow lets another packet's worth be given up.
func (q *queue) allow() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.grant = true
}

// discarded returns what did not leave.
func (q *queue) discarded() Discarded {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}
