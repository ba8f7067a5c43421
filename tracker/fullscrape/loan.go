package fullscrape

import (
	"errors"
	"io"

	"starling/tracker"
)

// errMemory is why no copy is made when the tracker has a limit and needs its memory for swarms.
var errMemory = errors.New("no memory is left for a copy below the limit")

// loan is what was borrowed of the store's budget.
type loan struct {
	budget  *tracker.Budget
	bytes   int64
	refused bool // there was not enough
}

// add borrows bytes, or gives some back when they are negative.
func (l *loan) add(bytes int64) {
	if l.budget.Borrow(bytes) {
		l.bytes += bytes
	} else {
		l.refused = true
	}
}

// end gives all back.
func (l *loan) end() { l.add(-l.bytes) }

// borrowing is a writer to memory that is borrowed.
type borrowing struct {
	to   io.Writer
	loan *loan
}

// Write fails when no more is to be had.
func (w borrowing) Write(b []byte) (int, error) {
	if w.loan.add(int64(len(b))); w.loan.refused {
		return 0, errMemory
	}
	return w.to.Write(b)
}
