package livesync

import (
	"time"

	"starling/wire"
)

// limits are how many records fit into a packet of type 0 and of type 1.
type limits struct{ four, six int }

// plainLimits leave no room for a trailer, keyedLimits do.
var (
	plainLimits = limits{wire.MaxRecords4, wire.MaxRecords6}
	keyedLimits = limits{wire.MaxKeyed4, wire.MaxKeyed6}
)

// batch makes packets of the records that wait in the queue. A record stays there until its packet leaves, so that what its peer
// does meanwhile can be coalesced with it. A packet leaves when it is full, or when the first record of its line has waited for
// the flush interval. Lines, by dialect:
//
//	seed     line 0 IPv4, in packets of type 0; line 1 IPv6, of type 1
//	modern   line 0 both, of type 1
//	both     line 0 both; IPv4 of type 0, followed by the same and IPv6 of type 1, so that receivers know the copies for what they are
type batch struct {
	q       *queue
	dialect Dialect
	flush   time.Duration
	due     [2]time.Time // when the first of a line leaves; zero: there was none
	four    []byte       // the packet of type 0
	six     []byte       // and that of type 1
	second  int          // dialect both: records that are in six only, plus one; 0: six has left
}

// newBatch returns a batch and its queue.
func newBatch(dialect Dialect, flush time.Duration, fit limits) batch {
	full := [2]int{fit.four, fit.six}
	if dialect != Seed {
		full[0] = min(fit.four, fit.six)
	}
	return batch{
		q: newQueue(full), dialect: dialect, flush: flush,
		four: make([]byte, 0, wire.MaxPacket), six: make([]byte, 0, wire.MaxPacket),
	}
}

// lineOf returns the line of a record.
func (d Dialect) lineOf(r *wire.Record) int {
	if d == Seed && !r.Peer.Is4() {
		return 1
	}
	return 0
}

// next returns a packet that is full, due or told to leave, and how many
// records it adds to those sent before; nil when there is none. It is valid until the next call.
func (b *batch) next(now time.Time, id wire.NodeID) (pkt []byte, records int) {
	if b.second > 0 {
		records, b.second = b.second-1, 0
		return b.six, records
	}
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clock = now.UnixNano()
	b.start(now)
	line, ok := b.ready(now)
	if !ok {
		return nil, 0
	}
	pkt, records = b.fill(line, id)
	b.due[line] = time.Time{}
	b.start(now)
	return pkt, records
}

// start starts the time that the packets wait whose first record came since it was called last.
func (b *batch) start(now time.Time) {
	for line := range b.due {
		if b.due[line].IsZero() && b.q.count[line] > 0 {
			b.due[line] = now.Add(b.flush)
		}
	}
}

// ready returns the line whose packet leaves now; of two, the one whose first record is older.
func (b *batch) ready(now time.Time) (line int, ok bool) {
	q := b.q
	var oldest uint64
	for l := range b.due {
		i, some := q.lines.first(lineHead(l))
		if !some {
			b.due[l] = time.Time{} // they were coalesced away or given up
			continue
		}
		number := q.slots[i].number
		leaves := q.count[l] >= q.full[l] || number < q.mark || !now.Before(b.due[l])
		if leaves && (!ok || number < oldest) {
			line, oldest, ok = l, number, true
		}
	}
	return line, ok
}

// fill moves as many records of a line as fit into their packet.
func (b *batch) fill(line int, id wire.NodeID) (pkt []byte, records int) {
	q := b.q
	b.four, b.six = wire.AppendLive4(b.four[:0], id), wire.AppendLive6(b.six[:0], id)
	n, four := 0, 0
	for ; n < q.full[line]; n++ {
		i, ok := q.lines.first(lineHead(line))
		if !ok {
			break
		}
		r := &q.slots[i].record
		is4 := r.Peer.Is4()
		if is4 && b.dialect != Modern {
			b.four = r.Append4(b.four)
			four++
		}
		if !is4 || b.dialect != Seed {
			b.six = r.Append6(b.six)
		}
		q.remove(i)
	}
	switch {
	case four == 0:
		return b.six, n
	case b.dialect == Both:
		b.second = n - four + 1
	}
	return b.four, four
}

// sleep says that the sender sleeps until the first record of a line comes, or a packet's last. It reports false, and
// promises nothing, when there is one already.
func (b *batch) sleep() bool {
	q := b.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for line := range b.due {
		if q.count[line] >= q.full[line] || q.count[line] > 0 && b.due[line].IsZero() {
			return false
		}
	}
	q.asleep = true
	return true
}

// leave makes everything that waits leave without waiting for more.
func (b *batch) leave() {
	b.q.mu.Lock()
	defer b.q.mu.Unlock()
	b.q.mark = b.q.in
}

// earliest returns the first of the given times; the zero time stands for never.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
