package livesync

import (
	"sync"

	"starling/wire"
)

// queueSize is how many records wait for the sender at most. It outlasts a
// sender that is held up for a moment and bounds what a dead interface can pile up.
const queueSize = 8192

// queue carries records from the announce servers to the sender. Announces
// put, under a lock of the store, so putting neither waits nor allocates; a
// full queue gives up its oldest record, because what a peer did last is what must hold.
//
// Waking a goroutine costs more than putting a record, so the sender says beforehand at
// which records it wants to be woken: at the first of a family, because that
// starts the time its packet may wait, and at the one that may fill a packet.
type queue struct {
	mu      sync.Mutex // guards all below; nothing else is locked and nobody called while it is held
	ring    [queueSize]wire.Record
	in, out uint64 // records put and records taken or given up, since the start
	lost    uint64 // records given up
	wake4   bool   // wake at the next IPv4 record
	wake6   bool   // wake at the next IPv6 record
	wakeAt  int    // wake when that many records wait
}

// put adds r and reports whether the sender wants to be woken for it.
func (q *queue) put(r *wire.Record) (wake bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.in-q.out == queueSize {
		q.out++
		q.lost++
	}
	q.ring[q.in%queueSize] = *r
	q.in++
	wake = q.len() >= q.wakeAt
	if r.Peer.Is4() {
		wake = wake || q.wake4
	} else {
		wake = wake || q.wake6
	}
	if wake {
		q.sleepLocked(false, false, queueSize+1)
	}
	return wake
}

// take moves the oldest records into dst, as many as fit, and returns how many.
func (q *queue) take(dst []wire.Record) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(dst), q.len())
	for i := range n {
		dst[i] = q.ring[(q.out+uint64(i))%queueSize]
	}
	q.out += uint64(n)
	return n
}

// sleep says when the sender wants to be woken next. It reports false, and
// promises nothing, when records wait already.
func (q *queue) sleep(first4, first6 bool, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.in != q.out {
		return false
	}
	q.sleepLocked(first4, first6, room)
	return true
}

// mark returns a position behind every record put so far, for [queue.passed].
func (q *queue) mark() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in
}

// passed reports whether every record put before the mark was taken or given up.
func (q *queue) passed(mark uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.out >= mark
}

// discarded returns how many records were given up.
func (q *queue) discarded() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

func (q *queue) sleepLocked(first4, first6 bool, room int) {
	q.wake4, q.wake6, q.wakeAt = first4, first6, room
}

func (q *queue) len() int { return int(q.in - q.out) }
