package pacer

import (
	"context"
	"sync"
	"time"
)

// Writes is the one bucket that all connections write through, and the Share
// that divides it. It starts nothing: somebody calls Tick each Epoch, or Run.
type Writes struct {
	mu     sync.Mutex // guards what follows and the flow and granted of each Writer
	rate   int64
	bucket Bucket
	share  *Share
	due    time.Time // when the present epoch is over
	closed bool
}

// Writer is one connection's side of Writes. One goroutine at a time uses it.
type Writer struct {
	writes  *Writes
	flow    Flow
	granted int64
	ready   chan struct{} // holds one when granted became more than 0, or the end came
}

// NewWrites paces to a rate in bytes a second. The quantum is the least that is
// worth a write of its own.
func NewWrites(mode Sharing, rate, quantum int64, now time.Time) *Writes {
	w := &Writes{rate: rate, share: NewShare(mode, rate, quantum), due: now}
	w.bucket = NewBucket(rate, w.depth(), now)
	return w
}

// depth is how much the bucket holds: its burst on top of what comes in an
// epoch, so that none of the rate is lost when the tick at its end is late.
func (w *Writes) depth() int64 {
	return BurstOf(w.rate) + mulDiv(w.rate, int64(w.share.Epoch()), int64(time.Second))
}

// NewWriter returns a connection's side.
func (w *Writes) NewWriter() *Writer {
	c := &Writer{writes: w, ready: make(chan struct{}, 1)}
	c.flow.writer = c
	return c
}

// Ask waits until the connection may write something of n bytes, n above 0,
// and returns how much: at once while nobody waits and there are tokens. What
// remains is asked for again after the write, so that a connection whose client
// does not read holds one grant and not all that comes. 0: Writes is closed.
// waited says that the time is another one now.
func (c *Writer) Ask(now time.Time, n int64) (granted int64, waited bool) {
	if granted, ok := c.try(now, n); ok {
		return granted, false
	}
	<-c.ready
	return c.collect(), true
}

// collect takes all that was granted; what still waits is taken out.
func (c *Writer) collect() int64 {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	c.writes.share.Remove(&c.flow)
	select {
	case <-c.ready: // another epoch granted more since
	default:
	}
	granted := c.granted
	c.granted = 0
	return granted
}

// try is Ask without waiting; else the connection stands in the ring. A small
// write may go into debt, a large one takes what there is.
func (c *Writer) try(now time.Time, n int64) (granted int64, ok bool) {
	w := c.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, true
	}
	if level := w.bucket.Level(now); w.share.Flows() == 0 && level > 0 {
		granted = min(n, max(level, w.share.quantum))
		w.bucket.Charge(now, granted)
		return granted, true
	}
	w.share.Add(&c.flow, n)
	return 0, false
}

// Unwritten gives back n bytes of a grant that TCP did not take.
func (c *Writer) Unwritten(now time.Time, n int64) {
	if n > 0 {
		c.writes.mu.Lock()
		defer c.writes.mu.Unlock()
		c.writes.bucket.Refund(now, n)
	}
}

// Charge books n bytes that were written without asking.
func (w *Writes) Charge(now time.Time, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bucket.Charge(now, n)
}

// SetRate changes the rate.
func (w *Writes) SetRate(now time.Time, rate int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rate = rate
	w.share.SetRate(rate)
	w.bucket.SetRate(now, rate, w.depth())
}

// Tick divides the bytes of an epoch when it is over. changed says that auto
// went over to the way that present is, for one line in the log.
func (w *Writes) Tick(now time.Time) (present Sharing, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A tick comes a little early as often as late; and more than the longest
	// epoch is a clock that was set back.
	if wait := w.due.Sub(now); wait > Epoch/2 && wait <= ringEpochMax {
		return w.share.Present(), false
	}
	used, changed := w.share.Divide(w.bucket.Level(now), func(f *Flow, n int64) int64 {
		f.writer.granted += n
		f.writer.wake()
		return n
	})
	w.bucket.Charge(now, used)
	if changed {
		w.bucket.SetRate(now, w.rate, w.depth())
	}
	w.due = now.Add(w.share.Epoch())
	return w.share.Present(), changed
}

// Present returns how the connections share the rate now, and how many of them
// wait to write.
func (w *Writes) Present() (sharing Sharing, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.share.Present(), w.share.Flows()
}

// wake lets a waiting Ask return.
func (c *Writer) wake() {
	select {
	case c.ready <- struct{}{}:
	default: // it was woken and has not looked yet
	}
}

// Close lets all that wait go without a grant, and whoever asks later.
func (w *Writes) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.share.head != nil {
		c := w.share.head.writer
		w.share.Remove(&c.flow)
		c.wake()
	}
}

// Run ticks until the context ends, and closes. It calls report when auto goes
// over to another way.
func (w *Writes) Run(ctx context.Context, report func(Sharing)) error {
	ticker := time.NewTicker(Epoch)
	defer ticker.Stop()
	defer w.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if present, changed := w.Tick(now); changed {
				report(present)
			}
		}
	}
}
