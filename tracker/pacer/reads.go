package pacer

import (
	"sync"
	"time"
)

// Reads is the in-bucket that all connections share. What will come is not
// known before it is read: so a read is charged after it happened, and no
// connection is read again while the bucket is in debt. There are no partial
// reads to avoid, and so nothing to share out.
//
// While there are tokens a read takes its own from a pocket by compare-and-swap.
// The pockets together never hold more than half a burst.
type Reads struct {
	pockets [readPockets]linePocket

	mu     sync.Mutex // guards what follows
	bucket Bucket
	hold   hold
}

const readPockets = 16

// NewReads paces to a rate in bytes a second.
func NewReads(rate int64, now time.Time) *Reads {
	return &Reads{bucket: NewBucket(rate, BurstOf(rate), now)}
}

// Read charges n bytes that were read and returns how long the connection is
// to wait before it is read again. Of many that wait for one debt each reads
// once when it is paid: the debt is at most a buffer of each of them. The shard
// is any number of the connection's own.
func (r *Reads) Read(now time.Time, shard int, n int64) (wait time.Duration) {
	p := &r.pockets[uint(shard)%readPockets].pocket
	if p.spend(n) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket.Refund(now, p.left.Swap(0))
	r.bucket.Charge(now, n)
	level := r.bucket.Level(now)
	if more := min((leaseAnswers-1)*n, level/(2*readPockets)); more > 0 {
		r.bucket.Charge(now, more)
		p.left.Add(more)
	}
	return r.waitLocked(now)
}

// Wait returns how long a connection is to wait before it is read.
func (r *Reads) Wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waitLocked(now)
}

// waitLocked lets the bucket gather what comes while somebody waits: on a busy
// machine they look again later than they were told.
func (r *Reads) waitLocked(now time.Time) time.Duration {
	wait := r.bucket.Wait(now)
	wanted := int64(0)
	if wait > 0 {
		wanted = r.bucket.rate
	}
	r.hold.settle(&r.bucket, now, wanted, wait > 0)
	return wait
}

// SetRate changes the rate.
func (r *Reads) SetRate(now time.Time, rate int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.pockets {
		r.pockets[i].left.Store(0)
	}
	r.bucket.SetRate(now, rate, BurstOf(rate))
}
