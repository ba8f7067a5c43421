package pacer

import (
	"sync"
	"time"
)

// Reads is the in-bucket that all connections share. What will come is not
// known before it is read: so a read is charged after it happened, and no
// connection is read again while the bucket is in debt. There are no partial
// reads to avoid, and so nothing to share out.
type Reads struct {
	mu     sync.Mutex // guards bucket
	bucket Bucket
}

// NewReads paces to a rate in bytes a second.
func NewReads(rate int64, now time.Time) *Reads {
	return &Reads{bucket: NewBucket(rate, BurstOf(rate), now)}
}

// Read charges n bytes that were read and returns how long the connection is
// to wait before it is read again. Of many that wait for one debt each reads
// once when it is paid: the debt is at most a buffer of each of them.
func (r *Reads) Read(now time.Time, n int64) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket.Charge(now, n)
	return r.bucket.Wait(now)
}

// Wait returns how long a connection is to wait before it is read.
func (r *Reads) Wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket.Wait(now)
}

// SetRate changes the rate.
func (r *Reads) SetRate(now time.Time, rate int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket.SetRate(now, rate, BurstOf(rate))
}
