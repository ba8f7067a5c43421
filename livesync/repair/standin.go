package repair

import (
	"slices"
	"time"

	"starling/wire"
)

const (
	// silence is after how long without a sign of life a sender is taken for dead: more than two of its STATEs were lost.
	silence = 2500 * time.Millisecond
	// answer is how long a sender has to answer a NACK before others take it for dead.
	answer = 40 * time.Millisecond
	// maxPending bounds what waits to be promised.
	maxPending = 64
)

// pending is what this node is about to promise, unless another one does.
type pending struct {
	wire.Range
	of *peer
	at time.Time
}

// standIn is told what somebody misses of a silent sender.
func (m *Machine) standIn(now time.Time, p *peer, ranges []wire.Range) {
	at, visits := now.Add(m.store.upTo(jitter)), windowSize // who has gone mad names everything again and again
	for _, r := range ranges {
		r.First, r.Last = max(r.First, p.w.tail), min(r.Last, p.w.top) // no longer than a window
		for seq := r.First; seq <= r.Last && visits > 0; seq++ {
			visits--
			if p.w.kept(now, seq) != nil && !m.pends(p, seq) && !m.pend(p, seq, at) {
				return
			}
		}
	}
}

// pend notes one number, as part of the range before it if it can be. It reports whether there was room.
func (m *Machine) pend(p *peer, seq uint32, at time.Time) bool {
	if n := len(m.pending); n > 0 {
		if last := &m.pending[n-1]; last.of == p && last.at.Equal(at) && last.Last+1 == seq {
			last.Last = seq
			return true
		}
	}
	if len(m.pending) >= maxPending {
		return false
	}
	m.pending = append(m.pending, pending{wire.Range{First: seq, Last: seq}, p, at})
	return true
}

// pends reports whether a number waits to be promised, or to be sent again.
func (m *Machine) pends(p *peer, seq uint32) bool {
	return slices.ContainsFunc(m.pending, func(a pending) bool { return a.of == p && a.First <= seq && seq <= a.Last }) ||
		m.queue.has(key{p.id, p.epoch, seq}) >= 0
}

// cancel forgets what was to be promised or sent again.
func (m *Machine) cancel(p *peer, r wire.Range) {
	m.forgo(p, r)
	m.queue.drop(p.id, p.epoch, []wire.Range{r})
}

// forgo forgets what was to be promised.
func (m *Machine) forgo(p *peer, r wire.Range) {
	for i := 0; i < len(m.pending); i++ {
		a := m.pending[i]
		part, ok := overlap(a.Range, r)
		if a.of != p || !ok {
			continue
		}
		var left []pending
		if a.First < part.First {
			left = append(left, pending{wire.Range{First: a.First, Last: part.First - 1}, p, a.at})
		}
		if part.Last < a.Last {
			left = append(left, pending{wire.Range{First: part.Last + 1, Last: a.Last}, p, a.at})
		}
		m.pending = slices.Replace(m.pending, i, i+1, left...)
		i += len(left) - 1
	}
}

// promise returns the promise that is due, if one is, and queues what it promises. It is valid until the next call.
func (m *Machine) promise(now time.Time) (wire.Promise, bool) {
	var p *peer
	m.ranges = m.ranges[:0]
	m.pending = slices.DeleteFunc(m.pending, func(a pending) bool {
		if now.Before(a.at) || p != nil && a.of != p || len(m.ranges) == wire.MaxRanges {
			return false
		}
		p = a.of
		for seq := a.First; seq <= a.Last; seq++ {
			if p.w.kept(now, seq) == nil || !m.queue.put(now, key{p.id, p.epoch, seq}, 1) {
				a.Last = seq - 1 // nothing is promised that will not be sent
				break
			}
		}
		if a.First <= a.Last {
			m.ranges = append(m.ranges, a.Range)
		}
		return true
	})
	if len(m.ranges) == 0 {
		return wire.Promise{}, false
	}
	p.promised = now
	return wire.Promise{Sender: p.id, Epoch: p.epoch, Ranges: m.ranges}, true
}
