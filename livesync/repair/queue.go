package repair

import (
	"math"
	"slices"
	"time"

	"starling/wire"
)

const (
	// queueSize is how many packets wait to be sent again.
	queueSize = 256
	// share is the part of the live packets that repair may add to them.
	share = 0.25
	// floor is how many packets a second it may always send.
	floor = 50
	// burst is how many packets leave at once after a pause.
	burst = 16
	// wanted is how long after it was asked for a packet is still sent again: by then it is asked for anew, or was given up.
	wanted = patience<<(maxAsks-1) + 2*jitter
	// memory is over what time the rate of live packets is taken.
	memory = time.Second
)

// key names a packet of any node.
type key struct {
	id    wire.NodeID
	epoch uint64
	seq   uint32
}

// again is a packet to be sent again.
type again struct {
	key
	asked  time.Time // when it was last asked for
	copies int       // how often it leaves: what was lost when it was sent again is sent twice
}

// queue is what is to be sent again, and how fast.
type queue struct {
	wait    []again
	dropped uint64  // found no room
	live    float64 // live packets a second, decaying
	tokens  float64
	at      time.Time // when these two were right
}

// has returns where a packet waits, -1 when it does not.
func (q *queue) has(k key) int {
	return slices.IndexFunc(q.wait, func(a again) bool { return a.key == k })
}

// put appends a packet, to leave that often, unless it waits already. It reports whether it waits now; the queue may be full.
func (q *queue) put(now time.Time, k key, copies int) bool {
	if i := q.has(k); i >= 0 {
		q.wait[i].asked = now
		return true
	}
	if len(q.wait) >= queueSize {
		q.dropped++
		return false
	}
	q.wait = append(q.wait, again{k, now, copies})
	return true
}

// drop removes packets of a node that lie in the ranges.
func (q *queue) drop(id wire.NodeID, epoch uint64, ranges []wire.Range) {
	q.wait = slices.DeleteFunc(q.wait, func(k again) bool {
		return k.id == id && k.epoch == epoch && slices.ContainsFunc(ranges, func(r wire.Range) bool { return r.First <= k.seq && k.seq <= r.Last })
	})
}

// sentLive counts a packet of which repair gets its share at once, so that it need not wait until the rate is known.
func (q *queue) sentLive(now time.Time) {
	q.refill(now)
	q.live += 1 / memory.Seconds()
	q.tokens = min(q.most(), q.tokens+share*q.times())
}

// times returns how many times its share repair may use: twice while the queue is over half full.
func (q *queue) times() float64 {
	if len(q.wait) > queueSize/2 {
		return 2
	}
	return 1
}

// rate returns how many packets a second may leave beside the share of those that leave live: what is lacking to the floor.
func (q *queue) rate() float64 { return max(0, floor-share*q.live) * q.times() }

// most returns how many packets may leave at once.
func (q *queue) most() float64 { return max(burst, share*q.live*patience.Seconds()) }

func (q *queue) refill(now time.Time) {
	if q.at.IsZero() {
		q.at, q.tokens = now, burst
	}
	if dt := now.Sub(q.at).Seconds(); dt > 0 {
		q.tokens = min(q.most(), q.tokens+dt*q.rate())
		q.live *= math.Exp(-dt / memory.Seconds())
		q.at = now
	}
}

// take removes the first packet that is still wanted, if one may leave now.
func (q *queue) take(now time.Time) (key, bool) {
	q.refill(now)
	stale := 0
	for stale < len(q.wait) && now.Sub(q.wait[stale].asked) >= wanted {
		stale++
	}
	q.wait = slices.Delete(q.wait, 0, stale)
	if len(q.wait) == 0 || q.tokens < 1 {
		return key{}, false
	}
	q.tokens--
	first := q.wait[0]
	q.wait = slices.Delete(q.wait, 0, 1)
	if first.copies--; first.copies > 0 {
		q.wait = append(q.wait, first)
	}
	return first.key, true
}

// due returns when the first packet may leave, or when to ask again for that, the zero time when none waits. A packet that is sent live
// may change it.
func (q *queue) due() time.Time {
	if len(q.wait) == 0 {
		return time.Time{}
	}
	wait := max(0, 1-q.tokens) / max(q.rate(), floor/2)
	return q.at.Add(time.Duration(math.Ceil(wait * 1e9)))
}
