package pacer

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ThroughputRecorder is the interface of seed 002, to the letter.
type ThroughputRecorder interface {
	// RecordBytes records the number of bytes that have made it through the pipe.
	// We don't care if the request ends in success or failure,
	// because we're trying to observe the available bandwidth.
	RecordBytes(count uint64)

	// SetObservationPeriod sets the observation period that RecordBytes averages over.
	SetObservationPeriod(seconds uint)
	// ObservationPeriod gets the observation period that RecordBytes averages over.
	ObservationPeriod() (seconds uint)

	// Bandwidth returns the observed (or requested) bandwidth.
	Bandwidth() (bytesPerSecond uint64)
	// HardLimit indicates that the user has requested a hard limit.
	HardLimit() (requested bool, bytesPerSecond uint64)

	// RequestHardLimit indicates that the user is requesting a hard limit.
	RequestHardLimit(bytesPerSecond uint64)
	// ClearHardLimit indicates that the user has cancelled the hard limit request.
	ClearHardLimit()
}

const (
	// minimumObserved is what Bandwidth never observes less than: seed 002's
	// floor of 1 MB/s, "to prevent getting totally locked out".
	minimumObserved = 1_000_000
	// maxPeriod bounds the observation period, and with it the memory.
	maxPeriod = 3600
	// longestSecond is how long a second may last and still be one sample. A
	// machine that slept says nothing about the line.
	longestSecond = 2 * time.Second
	recordShards  = 16
)

// Unlimited is the Bandwidth while nothing is known and nothing was asked for.
const Unlimited = math.MaxUint64

// Recorder observes what the line carries. Bytes are counted in shards without
// a lock, and rolled into one sample a second.
//
// Only seconds count in which the line was the limit: in which a writer said
// Busy, because its connection pushed back. All others tell what was asked
// for, not what could have been had; an idle hour would else make the line
// seem slow. Pushing back is not what the pacer's own hard limit does, so that
// the observation outlives a limit that is cleared.
type Recorder struct {
	counts [recordShards]struct {
		bytes atomic.Uint64
		_     [56]byte
	}
	busy atomic.Bool

	mu        sync.Mutex // guards what follows
	rolled    time.Time
	samples   []uint64 // bytes per second of busy seconds, the newest last
	period    int      // how many samples are kept
	full      bool     // a whole period was seen once
	requested bool
	limit     uint64
}

// NewRecorder returns a recorder that averages over so many seconds.
func NewRecorder(seconds uint, now time.Time) *Recorder {
	r := &Recorder{rolled: now}
	r.SetObservationPeriod(seconds)
	return r
}

var _ ThroughputRecorder = (*Recorder)(nil)

// RecordBytes counts bytes. Any goroutine may call it at any time.
func (r *Recorder) RecordBytes(count uint64) {
	r.counts[rand.Uint32()%recordShards].bytes.Add(count)
}

// RecordShard is RecordBytes for a caller with a number of its own, any one: it
// shares a counter with few others.
func (r *Recorder) RecordShard(shard int, count uint64) {
	r.counts[uint(shard)%recordShards].bytes.Add(count)
}

// Busy says that in the second that runs a writer had to wait for its
// connection. Any goroutine may call it at any time.
func (r *Recorder) Busy() {
	if !r.busy.Load() {
		r.busy.Store(true)
	}
}

// Roll ends the second that runs, if it is over. It is called about once a
// second; a sample is of the time that really passed.
func (r *Recorder) Roll(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	passed := now.Sub(r.rolled)
	if passed >= 0 && passed < time.Second-Epoch {
		return
	}
	r.rolled = now
	var bytes uint64
	for i := range r.counts {
		bytes += r.counts[i].bytes.Swap(0)
	}
	if busy := r.busy.Swap(false); !busy || passed < 0 || passed > longestSecond {
		return
	}
	bytes = min(bytes, math.MaxInt64)
	r.samples = append(r.samples, uint64(mulDiv(int64(bytes), int64(time.Second), int64(passed))))
	r.trimLocked()
}

// trimLocked drops the samples beyond the period, the oldest first.
func (r *Recorder) trimLocked() {
	if over := len(r.samples) - r.period; over > 0 {
		r.samples = append(r.samples[:0], r.samples[over:]...)
	}
	r.full = r.full || len(r.samples) == r.period
}

// SetObservationPeriod changes over how many busy seconds is averaged, from 1
// to 3600. The newest samples are kept.
func (r *Recorder) SetObservationPeriod(seconds uint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.period = int(min(max(seconds, 1), maxPeriod))
	r.trimLocked()
}

// ObservationPeriod returns over how many busy seconds is averaged.
func (r *Recorder) ObservationPeriod() (seconds uint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint(r.period)
}

// Bandwidth returns the lower of the hard limit and what was observed. As long
// as no full period was seen nothing is known and only the hard limit counts;
// without one that is Unlimited.
func (r *Recorder) Bandwidth() (bytesPerSecond uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bytesPerSecond = Unlimited
	if r.full {
		bytesPerSecond = max(r.averageLocked(), minimumObserved)
	}
	if r.requested {
		bytesPerSecond = min(bytesPerSecond, r.limit)
	}
	return bytesPerSecond
}

// averageLocked is the mean of the samples, summed without overflow.
func (r *Recorder) averageLocked() uint64 {
	n := uint64(len(r.samples))
	if n == 0 {
		return 0
	}
	var whole, rest uint64
	for _, s := range r.samples {
		whole += s / n
		rest += s % n
	}
	return whole + rest/n
}

// HardLimit returns the limit that was asked for, if one was.
func (r *Recorder) HardLimit() (requested bool, bytesPerSecond uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requested, r.limit
}

// RequestHardLimit asks for a limit. One of zero would stop everything; it
// counts as one byte a second.
func (r *Recorder) RequestHardLimit(bytesPerSecond uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requested, r.limit = true, max(bytesPerSecond, 1)
}

// ClearHardLimit takes the limit away.
func (r *Recorder) ClearHardLimit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requested, r.limit = false, 0
}
