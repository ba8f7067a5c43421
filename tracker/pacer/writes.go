package pacer

import (
	"sync"
	"sync/atomic"
	"time"
)

// Writes is the one bucket that all connections write through, and the Share
// that divides it. It starts nothing: somebody calls Tick each Epoch.
//
//	Ask --- tokens in the pocket? --- compare-and-swap: granted    (no lock)
//	 | no
//	 v
//	[lock] somebody waits, or no tokens? --- no: granted, and some more
//	 | yes                                   for the pocket
//	 v
//	the ring of the Share; Tick divides what came among all in it
//
// Three things bound what is granted. The bucket keeps the rate to within its
// burst, unless a tick is late while somebody waits: then what came since bytes
// were last divided is still there. The pace lets that go out at once, and what
// is older little by little. The window keeps any two seconds to the rate and less than
// two bursts, however late the ticks were before.
type Writes struct {
	pockets [writePockets]linePocket
	writers atomic.Uint32 // that there ever were

	mu     sync.Mutex // guards what follows and the flow and granted of each Writer
	rate   int64
	bucket Bucket
	pace   Bucket // what came since bytes were last divided, and a little more: see smoothLocked
	recent window
	total  int64 // that was granted and not given back, but for what is ahead
	ahead  int64 // that went into pockets since the last tick, and was not seen in them again
	share  *Share
	hold   hold
	ticked time.Time
	began  time.Time // when bytes were last divided, and the present epoch began
	due    time.Time // when the present epoch is over
	coming bool      // there are requests whose answers wait to be asked for
	change bool      // auto went over to another way, and nobody was told yet
	closed bool
}

// writePockets is how many pockets there are: writers take turns.
const writePockets = 16

// Writer is one connection's side of Writes. One goroutine at a time uses it.
type Writer struct {
	writes  *Writes
	pocket  *pocket
	flow    Flow
	slot    int64 // of the window, that counts its last grant; inPocket: none does yet
	granted int64
	ready   chan struct{} // holds one when granted became more than 0, or the end came
}

// inPocket is the slot of a grant that came out of a pocket.
const inPocket = -1

// NewWrites paces to a rate in bytes a second. The quantum is the least that is
// worth a write of its own.
func NewWrites(mode Sharing, rate, quantum int64, now time.Time) *Writes {
	return &Writes{
		rate: rate, bucket: NewBucket(rate, BurstOf(rate), now), pace: NewBucket(rate+rate/makeUp, BurstOf(rate), now), recent: newWindow(rate, now),
		share: NewShare(mode, rate, quantum), due: now, ticked: now, began: now,
	}
}

// NewWriter returns a connection's side.
func (w *Writes) NewWriter() *Writer {
	c := &Writer{writes: w, ready: make(chan struct{}, 1)}
	c.pocket = &w.pockets[w.writers.Add(1)%writePockets].pocket
	c.flow.writer = c
	return c
}

// Ask waits until the connection may write something of n bytes, n above 0,
// and returns how much: at once while nobody waits and there are tokens. What
// remains is asked for again after the write, so that a connection whose client
// does not read holds one grant and not all that comes. 0: Writes is closed.
// waited says that the time is another one now.
func (c *Writer) Ask(now time.Time, n int64) (granted int64, waited bool) {
	if c.pocket.spend(n) {
		c.slot = inPocket
		return n, false
	}
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
	if now.Sub(w.ticked) > late {
		w.tickLocked(now)
	}
	if w.share.Flows() == 0 {
		w.emptyLocked(now, c.pocket)
		if w.roomLocked(now) <= 0 {
			w.reclaimLocked(now)
		}
		if room := w.roomLocked(now); room > 0 {
			granted = min(n, max(room, w.share.quantum))
			c.slot = w.takeLocked(now, granted)
			w.fillLocked(now, c.pocket, min((leaseAnswers-1)*n, max(room-granted, 0)/(2*writePockets)))
			return granted, true
		}
	}
	w.share.Add(&c.flow, n)
	w.holdLocked(now)
	return 0, false
}

// takeLocked books n bytes that are granted, and returns the slot that has them.
func (w *Writes) takeLocked(now time.Time, n int64) (slot int64) {
	w.bucket.Charge(now, n)
	w.pace.Charge(now, n)
	w.total += n
	return w.recent.add(now, n)
}

// fillLocked puts n tokens into a pocket.
func (w *Writes) fillLocked(now time.Time, p *pocket, n int64) {
	w.bucket.Charge(now, n)
	w.pace.Charge(now, n)
	w.ahead += n
	p.left.Add(n)
}

// emptyLocked takes back what is in a pocket.
func (w *Writes) emptyLocked(now time.Time, p *pocket) {
	if p.left.Load() != 0 {
		left := p.left.Swap(0)
		w.ahead -= left
		w.bucket.Refund(now, left)
		w.pace.Refund(now, left)
	}
}

// reclaimLocked takes back what is in all pockets. What is no more in them was
// written in the meantime: it counts from now on.
func (w *Writes) reclaimLocked(now time.Time) {
	for i := range w.pockets {
		w.emptyLocked(now, &w.pockets[i].pocket)
	}
	w.recent.add(now, max(w.ahead, 0))
	w.total += w.ahead
	w.ahead = 0
}

// roomLocked returns how much may be granted now.
func (w *Writes) roomLocked(now time.Time) int64 {
	return min(w.bucket.Level(now), w.pace.Level(now), w.recent.room(now)-max(w.ahead, 0))
}

// Late says that a grant of n bytes that was waited for is written only now: on
// a busy machine who waits runs some time after it was woken. In the window of
// two seconds the bytes count from now on.
func (c *Writer) Late(now time.Time, n int64) {
	w := c.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	if slot := w.recent.add(now, 0); c.slot != inPocket && slot > c.slot {
		w.recent.back(c.slot, n)
		c.slot = w.recent.add(now, n)
	}
}

// Unwritten gives back n bytes of a grant that TCP did not take.
func (c *Writer) Unwritten(now time.Time, n int64) {
	if n <= 0 {
		return
	}
	w := c.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bucket.Refund(now, n)
	w.pace.Refund(now, n)
	if c.slot == inPocket {
		w.ahead -= n // which may be below zero, when the last tick saw it as written
	} else {
		w.recent.back(c.slot, n)
		w.total -= n
	}
}

// Written returns how many bytes were written, as of the last Tick.
func (w *Writes) Written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Charge books n bytes that were written without asking.
func (w *Writes) Charge(now time.Time, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takeLocked(now, n)
}

// SetRate changes the rate. The bytes of the last two seconds were of another
// one and are forgotten.
func (w *Writes) SetRate(now time.Time, rate int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reclaimLocked(now)
	w.rate = rate
	w.share.SetRate(rate)
	w.bucket.SetRate(now, rate, BurstOf(rate))
	w.pace.SetRate(now, rate+rate/makeUp, BurstOf(rate))
	w.recent = newWindow(rate, now)
	w.holdLocked(now)
}

// Tick divides the bytes of an epoch when it is over. coming says that there
// are requests which wait for something else before they ask here: then the
// bucket is not idle either. changed says that auto went over to the way that
// present is, for one line in the log.
func (w *Writes) Tick(now time.Time, coming bool) (present Sharing, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.coming = coming
	w.tickLocked(now)
	changed, w.change = w.change, false
	return w.share.Present(), changed
}

func (w *Writes) tickLocked(now time.Time) {
	if passed := now.Sub(w.ticked); passed > late {
		w.hold.missed(&w.bucket, now, passed)
	}
	w.smoothLocked(now.Sub(w.ticked), now.Sub(w.began))
	w.ticked = now
	w.reclaimLocked(now)
	// A tick comes a little early as often as late; and more than the longest
	// epoch is a clock that was set back.
	if wait := w.due.Sub(now); wait <= Epoch/2 || wait > ringEpochMax {
		w.divideLocked(now)
	}
	w.holdLocked(now)
}

// makeUp is which part of the rate may go out beside it to make up for what
// could not before.
const makeUp = 256

// smoothLocked lets all go out that came since the present epoch began, however
// late this tick is, but what is older only little by little: at once it would
// fill the window, and two seconds later nothing could go out for as long as it
// took.
func (w *Writes) smoothLocked(passed, since time.Duration) {
	w.pace.Hold(0)
	if epoch := w.share.Epoch(); passed <= 2*Lateness {
		w.pace.Hold(mulDiv(w.rate, int64(max(min(since, Lateness), epoch)), int64(time.Second)))
	}
}

// divideLocked ends an epoch.
func (w *Writes) divideLocked(now time.Time) {
	slot := w.recent.add(now, 0)
	used, changed := w.share.Divide(w.roomLocked(now), func(f *Flow, n int64) int64 {
		f.writer.granted += n
		f.writer.slot = slot
		f.writer.wake()
		return n
	})
	w.takeLocked(now, used)
	w.began, w.due = now, now.Add(w.share.Epoch())
	w.change = w.change || changed
}

// holdLocked lets the bucket, filled up to the present, gather what comes in an
// epoch whose end is late, if anybody waits.
func (w *Writes) holdLocked(now time.Time) {
	wanted := int64(0)
	if w.coming || w.share.Flows() > 0 {
		wanted = w.rate
	}
	w.hold.settle(&w.bucket, now, wanted, wanted > 0)
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
