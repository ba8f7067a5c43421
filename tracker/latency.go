package tracker

import (
	"sync/atomic"
	"time"
)

// LatencyBounds are the upper bounds of the buckets that announces are counted in by how long they took.
var LatencyBounds = [...]time.Duration{
	1 * time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond,
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second,
}

// Latency is how long announces took: from their having been read to their answers having been given to the system, waiting for
// tokens included. What was read together was answered together, and took as long for each of its announces.
type Latency struct {
	Counts [len(LatencyBounds) + 1]uint64 // by bucket, not added up; the last: longer than all bounds
	Sum    time.Duration
}

// latency counts announces by how long they took. It is part of a tally, whose other counters are written by the same
// goroutine at about the same time: two additions for all announces that were read together.
type latency struct {
	counts [len(LatencyBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// took counts n announces that took so long.
func (l *latency) took(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	i := 0
	for i < len(LatencyBounds) && d > LatencyBounds[i] {
		i++
	}
	l.counts[i].Add(n)
	l.sum.Add(int64(d) * int64(n))
}

// add adds what was counted.
func (l *Latency) add(of *latency) {
	for i := range of.counts {
		l.Counts[i] += of.counts[i].Load()
	}
	l.Sum += time.Duration(of.sum.Load())
}
