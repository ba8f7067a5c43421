package livesync

import (
	"errors"
	"testing"
	"time"

	"starling/wire"
)

// fillWith offers n records of new peers that say that, from peer number first on.
func (q *queue) fillWith(first, n int, f wire.Flags) {
	for i := range n {
		q.offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(first + i), Flags: f})
	}
}

// TestFullGivesWayByWorth fills a queue whose interface is up with records of each class, in every order, and offers more:
// renewals go first, then starts, completions, and stops last, of each class the oldest first; a new record that is worth
// less than all that wait goes itself. All are counted by what they said, and reported.
func TestFullGivesWayByWorth(t *testing.T) {
	flags := [classes]wire.Flags{renewals: wire.Renewal, starts: wire.Seeding, completions: completion.flags(), stops: wire.Stopped}
	const each = queueSize / int(classes)
	for _, order := range [][classes]class{
		{renewals, starts, completions, stops},
		{stops, completions, starts, renewals},
		{starts, stops, renewals, completions},
	} {
		q := newTestQueue()
		for _, c := range order {
			q.fillWith(each*int(c), each, flags[c])
		}
		counts := func() [classes]uint64 {
			l := q.discarded()
			return [...]uint64{l.Renewals, l.Started, l.Completed, l.Stopped}
		}
		var want [classes]uint64
		next := queueSize
		for c := range classes {
			for i := range each {
				if j, ok := q.worth.first(classHead(c)); !ok || q.slots[j].record.Peer != PeerOf(each*int(c)+i) {
					t.Fatalf("%v: the oldest record of class %d is not number %d", order, c, i)
				}
				q.fillWith(next, 1, wire.Stopped)
				next++
				want[c]++
				if got := counts(); got != want {
					t.Fatalf("%v: gave up %v, want %v", order, got, want)
				}
			}
		}
		for c := range stops {
			q.fillWith(next, 3, flags[c])
			want[c] += 3
		}
		q.check(t)
		if got := counts(); got != want || q.count[0] != queueSize {
			t.Errorf("%v: of records worth less than all that wait gave up %v, want %v", order, got, want)
		}
		if n, _ := q.takeGap(); n != queueSize+3*int(stops) {
			t.Errorf("%v: reported %d", order, n)
		}
	}
}

// awayNode returns a node whose link needed that long for a packet and whose interface went away then, and the count of its gaps.
func awayNode(t *testing.T, needed time.Duration) (n *Node, gaps *int) {
	n, _ = newListener(t)
	gaps = new(int)
	n.gap = func(since time.Time) {
		if since.After(epoch) || since.Before(epoch.Add(-time.Hour)) {
			t.Errorf("a gap since %s", since)
		}
		*gaps++
	}
	n.outbox.need.sent(epoch, 10, 10*needed)
	n.next(epoch)
	n.Lost(errors.New("away"))
	for i := range queueSize {
		n.Offer(wire.Record{InfoHash: HashOf(1), Peer: PeerOf(i)})
	}
	return n, gaps
}

// TestAwayGivesUpTheOldest: a packet's worth goes before the first record more is taken, which fits, as the others of a packet do.
func TestAwayGivesUpTheOldest(t *testing.T) {
	n, gaps := awayNode(t, 5*time.Millisecond)
	q := n.queue
	for i := range wire.MaxRecords4 {
		n.Offer(wire.Record{InfoHash: HashOf(2), Peer: PeerOf(i), Flags: wire.Renewal})
	}
	if first, _ := q.lines.first(lineHead(0)); q.slots[first].record.Peer != PeerOf(wire.MaxRecords4) || q.len() != queueSize {
		t.Errorf("%d records wait", q.len())
	}
	if n.next(epoch) != nil || *gaps != 1 || n.status(epoch).Discarded.Down != wire.MaxRecords4 {
		t.Errorf("%d gaps, discarded %+v", *gaps, n.status(epoch).Discarded)
	}
	n.Offer(wire.Record{InfoHash: HashOf(3)})
	if n.next(epoch) != nil || *gaps != 2 || q.len() != queueSize || n.status(epoch).Discarded.Down != wire.MaxRecords4+1 {
		t.Errorf("the next comes too soon: %d gaps, %d wait, discarded %+v", *gaps, q.len(), n.status(epoch).Discarded)
	}
	if due := n.due(epoch); !due.Equal(epoch.Add(5 * time.Millisecond)) {
		t.Errorf("due after %s", due.Sub(epoch))
	}
	n.next(epoch.Add(5 * time.Millisecond))
	n.Offer(wire.Record{InfoHash: HashOf(3)})
	if q.len() != queueSize-wire.MaxRecords4+1 {
		t.Errorf("%d wait", q.len())
	}
}

// TestAwayGivesUpAtTheRate offers far more than the link could carry, for ten seconds: no more packets' worth of what waited
// is given up than the link needed time for, and what is given up instead is the new records, each counted.
func TestAwayGivesUpAtTheRate(t *testing.T) {
	for needed, want := range map[time.Duration]int{time.Microsecond: 10_000, 20 * time.Millisecond: 500, time.Minute: 10} {
		n, _ := awayNode(t, needed)
		offered, oldest := 0, n.queue.slots[0].number
		for now := epoch; now.Before(epoch.Add(10 * time.Second)); now = now.Add(time.Millisecond) {
			n.next(now)
			for range 60 {
				n.Offer(wire.Record{InfoHash: HashOf(2 + offered/60_000), Peer: PeerOf(offered % 60_000)})
				offered++
			}
			if n.Woken() {
				n.next(now)
			}
		}
		first, _ := n.queue.lines.first(lineHead(0))
		taken := int(n.queue.slots[first].number-oldest) / wire.MaxRecords4
		if taken < want-1 || taken > want+1 {
			t.Errorf("needed %s: %d packets' worth of the oldest were given up, want %d", needed, taken, want)
		}
		if d := n.status(epoch).Discarded; d.Down != uint64(offered) && needed == time.Minute || d.records() != d.Down || int(d.Down)+n.queue.len() != queueSize+offered {
			t.Errorf("needed %s: of %d records %d wait, discarded %+v", needed, queueSize+offered, n.queue.len(), d)
		}
	}
}

// TestBacklogIsNoBurst: what waited for the interface leaves no faster than the link needs, what comes then behind it; and at once at the end.
func TestBacklogIsNoBurst(t *testing.T) {
	n, _ := awayNode(t, 3*time.Millisecond)
	now := epoch.Add(time.Minute)
	n.joined(now, n.link)
	packets := (queueSize + wire.MaxRecords4 - 1) / wire.MaxRecords4
	for i := range packets {
		if n.next(now) == nil || i < packets-1 && n.next(now) != nil {
			t.Fatalf("packet %d of %d: not one leaves", i, packets)
		}
		n.Offer(wire.Record{InfoHash: HashOf(2), Peer: PeerOf(i)})
		due := n.due(now)
		if i < packets-1 && !due.Equal(now.Add(3*time.Millisecond)) {
			t.Fatalf("packet %d of %d: the next is due after %s", i, packets, due.Sub(now))
		}
		now = now.Add(3 * time.Millisecond)
	}
	for i := range 3 * wire.MaxRecords4 {
		n.Offer(wire.Record{InfoHash: HashOf(3), Peer: PeerOf(i)})
	}
	for range 3 {
		if n.next(now) == nil {
			t.Error("full packets wait after the backlog has left")
		}
	}

	n, _ = awayNode(t, 3*time.Millisecond)
	n.joined(now, n.link)
	n.next(now)
	n.End(now)
	left := 1
	for n.nextLast(now) != nil {
		left++
	}
	if left != packets {
		t.Errorf("%d of %d packets left at the end", left, packets)
	}
}

// TestNeed: the least of the ten seconds before the last measurement counts, within bounds, however long ago that is.
func TestNeed(t *testing.T) {
	var m need
	at := func(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }
	check := func(want time.Duration) {
		t.Helper()
		if got := m.packet(); got != want {
			t.Errorf("a packet needs %s, want %s", got, want)
		}
	}
	if m.known() {
		t.Error("known before anything was sent")
	}
	m.sent(at(0), 1, 20*time.Millisecond)
	check(20 * time.Millisecond)
	m.sent(at(3), 4, 40*time.Millisecond)
	m.sent(at(3.5), 1, 50*time.Millisecond)
	check(10 * time.Millisecond)
	m.sent(at(12), 1, 30*time.Millisecond)
	check(10 * time.Millisecond)
	m.sent(at(13), 1, 40*time.Millisecond)
	check(30 * time.Millisecond)
	m.sent(at(14), 1, time.Nanosecond)
	check(needLeast)
	m.sent(at(100), 1, time.Minute)
	check(needMost)
	m.sent(at(90), 1, -time.Second) // the clock was set back
	check(needLeast)
	if !m.known() {
		t.Error("not known")
	}
}
