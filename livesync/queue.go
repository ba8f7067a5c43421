package livesync

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync"

	"starling/wire"
)

// queueSize is how many records wait for the sender at most. It outlasts a
// sender that is held up for a moment and bounds what a dead interface can pile up.
const queueSize = 8192

// class says what a record is worth when not all can be kept, the least first.
type class uint8

const (
	renewals class = iota // what the others know already
	starts                // a peer that is new, or changed its role
	completions
	stops
	classes
)

func classOf(f wire.Flags) class {
	switch saidBy(f) {
	case stopped:
		return stops
	case completion:
		return completions
	}
	if f&wire.Renewal != 0 {
		return renewals
	}
	return starts
}

// queue is the live lane: it carries records from the announce servers to the sender. Announces
// put, under a lock of the store, so putting neither waits nor allocates. The records of one peer are coalesced; see there.
//
// Records that leave in packets of one type stand in one line, in the order in which they came. Each stands in the line of
// its class, too, for when the queue is full:
//
//	the interface is   gives way                                        no faster than
//	up                 the oldest record of the least class             -
//	away               the packet's worth that is oldest, before more   the link needed per packet
//	                   is taken; while that is too fast, the new record   if it ever needed any
//
// Waking a goroutine costs more than putting a record, so the sender says when it sleeps: it wants to
// be woken at the first record of a line, because that starts the time its packet may wait, and at the one that fills a packet.
type queue struct {
	full [2]int    // records in a packet, for each line
	keys [6]uint64 // of the index

	mu     sync.Mutex // guards all below; nothing else is locked and nobody called while it is held
	slots  [queueSize]slot
	used   int               // slots that were ever taken
	free   uint16            // the first of those given back, in the order lists
	lines  lists             // in the order of coming
	worth  lists             // by class
	heads  [queueSize]uint16 // the index: the newest record of a bucket, and through the slots the others
	count  [2]int            // records in each line
	in     uint64            // records put since the start
	mark   uint64            // those put before are to leave at once
	asleep bool              // wake the sender
	away   bool              // the interface is
	grant  bool              // while it is away: a packet's worth may be given up
	paced  bool              // which uses up the grant
	clock  int64             // when the sender last looked, in nanoseconds since 1970
	lost   Discarded
	gap    gap
}

// slot is a record that waits.
type slot struct {
	number uint64 // how many were put before it
	at     int64  // it was put then or later, in nanoseconds since 1970
	record wire.Record
	line   uint8
	bucket uint16
	chain  uint16 // the next older record of the bucket
}

// gap is what was given up since the sender last asked.
type gap struct {
	records int
	since   int64 // they were put then or later, in nanoseconds since 1970
}

// Discarded counts what was ours and never left, since the start, by reason. Merged lost nothing: what another record says as well.
type Discarded struct {
	Merged    uint64 // records that another of the same peer made superfluous
	Renewals  uint64 // records that were given up in a full queue, by what they said
	Started   uint64
	Completed uint64
	Stopped   uint64
	Down      uint64 // records that were given up in a full queue while the interface was away
	Control   uint64 // packets for which the control lane had no room
	Repair    uint64 // packets for which the repair lane had no room
}

// records returns how many were given up.
func (d *Discarded) records() uint64 {
	return d.Renewals + d.Started + d.Completed + d.Stopped + d.Down
}

// none is no slot. The heads of the lists stand behind the slots.
const none = queueSize + uint16(classes)

// newQueue returns an empty queue whose interface is away. A packet takes so many records of a line.
func newQueue(full [2]int) *queue {
	q := &queue{full: full, free: none, away: true, grant: true}
	for i := range q.keys {
		q.keys[i] = rand.Uint64()
	}
	for i := range uint16(classes) {
		q.lines.clear(queueSize + i)
		q.worth.clear(queueSize + i)
	}
	for i := range q.heads {
		q.heads[i] = none
	}
	return q
}

// put adds r, whose packet type's line is given, and reports whether the sender wants to be woken for it.
func (q *queue) put(r *wire.Record, line int) (wake bool) {
	bucket := q.bucket(r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.heads[bucket] != none && q.merge(r, bucket) {
		return false
	}
	if q.len() == queueSize {
		reported, granted := q.gap.records > 0, q.grant
		room := q.makeRoom(classOf(r.Flags))
		wake = !reported || granted != q.grant
		if !room {
			return wake
		}
	}
	q.add(r, bucket, line)
	if q.asleep && (q.count[line] == 1 || q.count[line] == q.full[line]) {
		q.asleep, wake = false, true
	}
	return wake
}

// bucket returns where the index has the records of r's peer: a sum of products, each of two pieces that keys were
// mixed into, so that whoever chooses info hashes and ports cannot choose it.
func (q *queue) bucket(r *wire.Record) uint16 {
	h, p := &r.InfoHash, &r.Peer
	a, b := bits.Mul64(binary.LittleEndian.Uint64(h[0:])^q.keys[0], binary.LittleEndian.Uint64(h[8:])^q.keys[1])
	c, d := bits.Mul64(binary.LittleEndian.Uint64(h[12:])^q.keys[2], binary.LittleEndian.Uint64(p[0:])^q.keys[3])
	e, f := bits.Mul64(binary.LittleEndian.Uint64(p[8:])^q.keys[4], binary.LittleEndian.Uint64(p[10:])^q.keys[5])
	sum := a ^ b ^ c ^ d ^ e ^ f
	return uint16((sum ^ sum>>32) % queueSize)
}

// merge coalesces r with what waits of its peer, and reports whether it need not be added.
func (q *queue) merge(r *wire.Record, bucket uint16) bool {
	last, before := q.find(bucket, r)
	if last == none {
		return false
	}
	switch coalesce(q.said(before), q.said(last), saidBy(r.Flags)) {
	case appended:
		return false
	case dropped:
		q.lost.Merged++
	case replaced:
		q.lost.Merged++
		q.replace(last, r)
	case retracted:
		q.lost.Merged += 2
		q.remove(last)
	}
	return true
}

// find returns the last record of r's peer that waits and the one before it.
func (q *queue) find(bucket uint16, r *wire.Record) (last, before uint16) {
	last, before = none, none
	for i := q.heads[bucket]; i != none; i = q.slots[i].chain {
		if s := &q.slots[i]; s.record.Peer != r.Peer || s.record.InfoHash != r.InfoHash {
			continue
		}
		if last != none {
			return last, i
		}
		last = i
	}
	return last, none
}

// said returns what the record in a slot says.
func (q *queue) said(i uint16) said {
	if i == none {
		return nothing
	}
	return saidBy(q.slots[i].record.Flags)
}

// add puts r at the end of its line. There must be room.
func (q *queue) add(r *wire.Record, bucket uint16, line int) {
	i := q.free
	if i != none {
		q.free = q.lines[i].next
	} else {
		i = uint16(q.used)
		q.used++
	}
	s := &q.slots[i]
	s.number, s.at, s.record, s.line, s.bucket, s.chain = q.in, q.clock, *r, uint8(line), bucket, q.heads[bucket]
	q.heads[bucket] = i
	q.lines.append(lineHead(line), i)
	q.worth.append(classHead(classOf(r.Flags)), i)
	q.count[line]++
	q.in++
}

// replace puts r in the place of an older record of the same peer. What was news stays news.
func (q *queue) replace(i uint16, r *wire.Record) {
	s := &q.slots[i]
	was := classOf(s.record.Flags)
	flags := r.Flags
	if was != renewals {
		flags &^= wire.Renewal
	}
	s.record.Flags = flags
	if is := classOf(flags); is != was {
		q.worth.remove(i)
		q.worth.append(classHead(is), i)
	}
}

// remove takes a record out.
func (q *queue) remove(i uint16) {
	s := &q.slots[i]
	at := &q.heads[s.bucket]
	for *at != i {
		at = &q.slots[*at].chain
	}
	*at = s.chain
	q.lines.remove(i)
	q.worth.remove(i)
	q.count[s.line]--
	q.lines[i].next, q.free = q.free, i
}

// position returns how many records were put since the start.
func (q *queue) position() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in
}

// holds reports whether a record that was put before a position waits.
func (q *queue) holds(position uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for line := range q.count {
		if i, ok := q.lines.first(lineHead(line)); ok && q.slots[i].number < position {
			return true
		}
	}
	return false
}

func (q *queue) len() int { return q.count[0] + q.count[1] }
