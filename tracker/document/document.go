package document

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"starling/tracker/pacer"
)

// Config says how a document is made and how long it is good.
type Config struct {
	// Build writes the document. It runs in a goroutine of its own, never twice at a time, and must heed
	// its context, whose deadline is Timeout after the beginning.
	Build func(ctx context.Context, w io.Writer) error
	// ContentType is what HTTP says it is.
	ContentType string
	// Fresh is how old a copy may be before another one is made, counted from the beginning of its build.
	// Less costs more builds: one per Fresh at most.
	Fresh time.Duration
	// Keep is how old a copy may be and still be given to those who could wait for another one. It should be much longer than
	// a build takes, or requests wait for most of them. 0: any age.
	Keep time.Duration
	// Timeout bounds a build, and for how long a reader waits for it.
	Timeout time.Duration
	// MaxSize bounds the document, in bytes. A longer one is a build that failed.
	MaxSize int64
	// Served is told how many bytes of the document were written to a client, piece by piece. Nil: nobody wants to know.
	Served func(bytes int)
	// Admission bounds how many are on their way at once. Several documents may share one. Nil: no bound.
	Admission *Admission
}

// Document is one document. Its methods may be called by any goroutine.
type Document struct {
	cfg Config

	mu       sync.Mutex // guards what follows; a text's own may be taken while it is held
	copy     *text      // the last good one; nil: there is none
	building *text      // nil: none is
	began    time.Time  // the last build
	failed   error      // of the last build that ended; nil: it is the copy
	counts   Counts
}

// Counts says how requests were served, and what became of the builds.
type Counts struct {
	Fresh       uint64 // with a fresh copy
	Followed    uint64 // with one that was being made
	Stale       uint64 // with a stale copy, because another one was being made, could not be, or there was no room
	Unavailable uint64 // not at all
	Built       uint64
	Failed      uint64 // builds
}

// ErrOverload says that there is no room for a document and no copy to serve instead.
var ErrOverload = errors.New("overloaded, and there is no copy to serve instead")

// New returns a document that is made when it is asked for.
func New(cfg Config) *Document { return &Document{cfg: cfg} }

// Counts returns what was done so far.
func (d *Document) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Get returns a reader of the document, which the caller closes. The error is
// [ErrOverload] or that of the last build. It does not wait; the reader may.
func (d *Document) Get(now time.Time) (*Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	claim := uint64(math.MaxUint64) // unknown
	if d.copy != nil {
		claim = uint64(d.copy.length())
	}
	outcome := pacer.Full
	if d.cfg.Admission.start(claim) {
		outcome = pacer.Admitted
	}
	r := &Reader{asked: now}
	step, _ := pacer.Decide(pacer.Situation{Kind: pacer.Bulk, Outcome: outcome, Copy: d.copy != nil})
	switch step {
	case pacer.Unavailable:
		d.counts.Unavailable++
		return nil, ErrOverload
	case pacer.Stale:
		d.serveCopyLocked(now, r)
		return r, nil
	}
	r.admission, r.claim = d.cfg.Admission, claim
	if err := d.serveLocked(now, r); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// serveLocked decides what an admitted reader is given, and begins a build when it is time for one.
func (d *Document) serveLocked(now time.Time, r *Reader) error {
	age, fresh := d.ageLocked(now)
	if !fresh && d.building == nil && d.dueLocked(now) {
		d.buildLocked(now)
	}
	usable := d.copy != nil && age >= 0 && (d.cfg.Keep == 0 || age < d.cfg.Keep)
	switch {
	case fresh || usable:
		d.serveCopyLocked(now, r)
	case d.building != nil:
		d.counts.Followed++
		r.text, r.instead = d.building, d.copy
	case d.copy != nil:
		d.serveCopyLocked(now, r)
	default:
		d.counts.Unavailable++
		return d.failed
	}
	return nil
}

// overtaken is how old a reader's time may be: it reads the clock, then waits for
// a processor and the lock, and finds a copy that was begun meanwhile.
const overtaken = time.Second

// since returns how long ago t was, zero for a reader that was overtaken. A time that is still
// in the future is from before the clock was set back.
func since(now, t time.Time) time.Duration {
	d := now.Sub(t)
	if d < 0 && d > -overtaken {
		return 0
	}
	return d
}

// ageLocked returns how old the copy is and whether it is fresh. One from the
// future, after the clock was set back, is not.
func (d *Document) ageLocked(now time.Time) (age time.Duration, fresh bool) {
	if d.copy == nil {
		return 0, false
	}
	age = since(now, d.copy.began)
	return age, age >= 0 && age < d.cfg.Fresh
}

// dueLocked reports whether the last build began long enough ago.
func (d *Document) dueLocked(now time.Time) bool {
	ago := since(now, d.began)
	return d.began.IsZero() || ago < 0 || ago >= d.cfg.Fresh
}

// serveCopyLocked gives a reader the copy.
func (d *Document) serveCopyLocked(now time.Time, r *Reader) {
	age, fresh := d.ageLocked(now)
	r.text, r.age, r.stale = d.copy, max(0, age), !fresh
	if fresh {
		d.counts.Fresh++
	} else {
		d.counts.Stale++
	}
}

// buildLocked begins a build. It belongs to no request: those that wait for it
// may all go, and it is kept for the next.
func (d *Document) buildLocked(now time.Time) {
	t := &text{began: now, limit: d.cfg.MaxSize}
	d.building, d.began = t, now
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Timeout)
		defer cancel()
		err := d.cfg.Build(ctx, t)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.building = nil
		if d.failed = t.finish(err); d.failed != nil {
			d.counts.Failed++
			return
		}
		d.counts.Built++
		d.copy = t
	}()
}
