package document

import (
	"context"
	"io"
	"time"
)

// Reader reads a document once. It is for one goroutine.
type Reader struct {
	text    *text
	instead *text // the copy there was when text was still being made; nil: there was none
	at      position
	asked   time.Time
	age     time.Duration
	stale   bool

	admission *Admission // nil: it was not asked, or has its claim back
	claim     uint64
}

// Next returns the bytes that follow, at least one, and waits for them as long
// as they are still being made. At the end it returns io.EOF. Any other error is that of the build, or of ctx; when
// nothing was read yet and there is an older copy, that copy is read instead. The bytes must not be changed.
func (r *Reader) Next(ctx context.Context) ([]byte, error) {
	for {
		b, after, more, ended := r.text.next(r.at)
		switch {
		case len(b) > 0:
			r.at = after
			return b, nil
		case ended == io.EOF:
			return nil, io.EOF
		case ended != nil:
			if !r.fallBack() {
				return nil, ended
			}
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			if !r.fallBack() {
				return nil, context.Cause(ctx)
			}
		}
	}
}

// fallBack goes over to the older copy, if there is one and nothing was read yet.
func (r *Reader) fallBack() bool {
	if r.instead == nil || r.at != (position{}) {
		return false
	}
	r.age, r.stale = max(0, r.asked.Sub(r.instead.began)), true
	r.text, r.instead = r.instead, nil
	return true
}

// Stale reports whether what is read was no longer fresh, or was replaced by
// an older copy, and how old it was then. It is known after the first Next.
func (r *Reader) Stale() (age time.Duration, stale bool) { return r.age, r.stale }

// Size returns the length of the document when it is known.
func (r *Reader) Size() (size int64, known bool) { return r.text.length(), r.text.whole() }

// Close ends the reading and makes room for others.
func (r *Reader) Close() {
	r.admission.end(r.claim)
	r.admission = nil
}
