package document

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Sizes of the chunks of a text, in bytes. They double from the first to the last.
const (
	firstChunk = 4 << 10
	lastChunk  = 256 << 10
)

// errTooLong is why a text stops growing at its limit.
var errTooLong = errors.New("longer than it may be")

// text is a document while it is written, by one goroutine, and ever after.
type text struct {
	began time.Time
	limit int64

	mu     sync.Mutex    // guards what follows, not the bytes: those that are there never change
	chunks [][]byte      // none is ever moved
	size   int64         // of all chunks
	ended  error         // nil: more may come; io.EOF: it is whole; else why it never will be
	grown  chan struct{} // closed when more is there or the end; nil: nobody waits
}

// Write adds bytes, for all readers at once. A text that would become too long fails, and so do all later writes.
func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return 0, t.ended
	}
	if t.size+int64(len(p)) > t.limit {
		t.endLocked(errTooLong)
		return 0, errTooLong
	}
	t.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		last := len(t.chunks) - 1
		if last < 0 || len(t.chunks[last]) == cap(t.chunks[last]) {
			t.chunks = append(t.chunks, make([]byte, 0, min(firstChunk<<min(len(t.chunks), 16), lastChunk)))
			continue
		}
		c := t.chunks[last]
		n := min(len(rest), cap(c)-len(c))
		t.chunks[last], rest = append(c, rest[:n]...), rest[n:]
	}
	t.wakeLocked()
	return len(p), nil
}

// finish ends the text; nil makes it whole, unless it was too long before that. It returns why it is not whole.
func (t *text) finish(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended != nil:
		return t.ended
	case err == io.EOF: // what a builder read has ended too early
		err = io.ErrUnexpectedEOF
	case err == nil:
		t.endLocked(io.EOF)
		return nil
	}
	t.endLocked(err)
	return err
}

func (t *text) endLocked(err error) {
	t.ended = err
	t.wakeLocked()
}

// wakeLocked wakes the readers that wait.
func (t *text) wakeLocked() {
	if t.grown != nil {
		close(t.grown)
		t.grown = nil
	}
}

// length returns how many bytes are there.
func (t *text) length() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// whole reports whether all of it is there.
func (t *text) whole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended == io.EOF
}

// position is how far somebody has read.
type position struct{ chunk, offset int }

// next returns the bytes from a position on, as many as lie together, and where
// they end; else how the text ended; else what is closed when there is more.
func (t *text) next(at position) (b []byte, after position, more <-chan struct{}, ended error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.chunk < len(t.chunks) && at.offset < len(t.chunks[at.chunk]) {
		c := t.chunks[at.chunk]
		after = position{at.chunk, len(c)}
		if len(c) == cap(c) { // it will not grow
			after = position{at.chunk + 1, 0}
		}
		return c[at.offset:], after, nil, nil
	}
	if t.ended != nil {
		return nil, at, nil, t.ended
	}
	if t.grown == nil {
		t.grown = make(chan struct{})
	}
	return nil, at, t.grown, nil
}
