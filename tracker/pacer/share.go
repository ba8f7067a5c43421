package pacer

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Sharing is how the bytes of an epoch are divided among connections.
type Sharing uint8

const (
	// Auto is Fair while each one's part is worth a write, else Ring.
	Auto Sharing = iota
	// Fair gives all the same: what one does not need the others get, until
	// everything is given or everybody has enough.
	Fair
	// Ring serves one after the other, a whole quantum each, and goes on in
	// the next epoch where it stopped.
	Ring
)

var sharings = []string{Auto: "auto", Fair: "fair", Ring: "ring"}

// String returns the name as the flag has it.
func (s Sharing) String() string { return sharings[s] }

// ParseSharing reads "fair", "ring" or "auto".
func ParseSharing(s string) (Sharing, error) {
	if i := slices.Index(sharings, s); i >= 0 {
		return Sharing(i), nil
	}
	return 0, fmt.Errorf("sharing %q: it is fair, ring or auto", s)
}

// Flow is a connection with bytes to write. The zero Flow is ready for use, by
// one Share.
type Flow struct {
	pending    int64 // bytes that wait for tokens
	prev, next *Flow // in the ring of a Share, nil outside
	writer     *Writer
}

// Pending returns how many bytes of the flow wait for tokens.
func (f *Flow) Pending() int64 { return f.pending }

// Share divides the bytes of an epoch among the flows that have some pending:
// the two algorithms of the seed, repaired, and the choice between them.
//
// The flows stand in a ring; head is whose turn it is. A flow enters behind all
// others and leaves when nothing of it is pending. The bucket that the bytes
// come from is the caller's, and so is its debt.
//
// A Share has no lock: its holder guards it and its flows.
type Share struct {
	mode    Sharing
	ringing bool // what auto has chosen; else what mode says
	rate    int64
	quantum int64
	head    *Flow
	flows   int
	scratch []*Flow
}

// NewShare divides a rate in bytes per second. The quantum is the least that
// is worth a write of its own, and what a turn of the ring writes.
func NewShare(mode Sharing, rate, quantum int64) *Share {
	return &Share{mode: mode, ringing: mode == Ring, rate: rate, quantum: max(quantum, 1)}
}

// SetRate changes what auto reckons with.
func (s *Share) SetRate(rate int64) { s.rate = rate }

// Present returns Fair or Ring: how the last epoch was divided.
func (s *Share) Present() Sharing {
	if s.ringing {
		return Ring
	}
	return Fair
}

// Flows returns how many flows have bytes pending.
func (s *Share) Flows() int { return s.flows }

// How long an epoch is. Fair divides often, so that the bytes of two seconds
// are even to the percent. The ring's turns are whole quanta: the seed lets
// one gather for a third of a second at most, and never looks more often than
// twenty times in one.
const (
	fairEpoch    = 10 * time.Millisecond
	ringEpochMin = 50 * time.Millisecond
	ringEpochMax = 333 * time.Millisecond
)

// Epoch returns how long the present epoch is. The bucket that feeds a Share
// has to hold at least the rate of an epoch.
func (s *Share) Epoch() time.Duration {
	if !s.ringing {
		return fairEpoch
	}
	gather := time.Duration(mulDiv(s.quantum, int64(time.Second), max(s.rate, 1)))
	return max(min(gather, ringEpochMax), ringEpochMin)
}

// Add says that n more bytes of a flow wait.
func (s *Share) Add(f *Flow, n int64) {
	if n <= 0 {
		return
	}
	f.pending += n
	if f.next != nil {
		return
	}
	s.flows++
	if s.head == nil {
		f.prev, f.next, s.head = f, f, f
		return
	}
	f.prev, f.next = s.head.prev, s.head
	f.prev.next, f.next.prev = f, f
}

// Remove takes a flow out, with what was pending: its connection is closed.
func (s *Share) Remove(f *Flow) {
	f.pending = 0
	if f.next == nil {
		return
	}
	s.flows--
	switch {
	case f.next == f:
		s.head = nil
	case s.head == f:
		s.head = f.next
	}
	f.prev.next, f.next.prev = f.next, f.prev
	f.prev, f.next = nil, nil
}

// Divide gives the bytes of an epoch to the flows. It calls write with a flow
// and how much it may write now; write returns how much was taken. Less means
// that the connection pushes back: the rest returns to the pool at once and
// the flow is not asked again in this epoch. write must not call the Share.
//
// It returns how many bytes were taken. In the ring that can be up to one
// quantum more than the budget: the caller's bucket owes it, also beyond a
// second's end. changed says that auto went over to the other way.
func (s *Share) Divide(budget int64, write func(f *Flow, n int64) int64) (used int64, changed bool) {
	changed = s.choose()
	if s.ringing {
		return s.ring(budget, write), changed
	}
	return s.fair(budget, write), changed
}

// choose decides for auto. A flow's part of the rate must be worth a write to
// stay with fair, and two to come back to it, or the two would alternate.
func (s *Share) choose() (changed bool) {
	if s.mode != Auto || s.flows == 0 {
		return false
	}
	part := mulDiv(s.rate, int64(fairEpoch), int64(time.Second)) / int64(s.flows)
	was := s.ringing
	if s.ringing {
		s.ringing = part < 2*s.quantum
	} else {
		s.ringing = part < s.quantum
	}
	return s.ringing != was
}

// fair is algorithm 1 of the seed, repaired: a pool is handed out once, and
// what returns to it is divided again until nothing moves.
func (s *Share) fair(budget int64, write func(f *Flow, n int64) int64) (used int64) {
	s.scratch = s.scratch[:0]
	for f, n := s.head, s.flows; n > 0; f, n = f.next, n-1 {
		s.scratch = append(s.scratch, f)
	}
	willing := s.scratch
	for budget > used && len(willing) > 0 {
		before := used
		// The smallest first: what it leaves of its part is in the parts of all
		// after it. One pass so gives what filling all cups evenly gives.
		slices.SortStableFunc(willing, func(a, b *Flow) int { return cmp.Compare(a.pending, b.pending) })
		pool, still := budget-used, 0
		for i, f := range willing {
			give := min(f.pending, pool/int64(len(willing)-i))
			pool -= give
			took := s.write(f, give, write)
			used += took
			if took == give && f.pending > 0 {
				willing[still] = f
				still++
			}
		}
		if used == before && still == len(willing) {
			break
		}
		willing = willing[:still]
	}
	for _, f := range s.scratch {
		if f.pending == 0 {
			s.Remove(f)
		}
	}
	clear(s.scratch)
	return used
}

// ring is plan 2 of the seed, repaired: the position outlives the epoch, the
// list wraps, and small writers are in it.
func (s *Share) ring(budget int64, write func(f *Flow, n int64) int64) (used int64) {
	// idle counts the flows in a row that took less than they were given: once
	// around, and nothing moves any more.
	for idle := 0; budget > used && s.head != nil && idle < s.flows; {
		f := s.head
		give := min(f.pending, s.quantum)
		took := s.write(f, give, write)
		used += took
		s.head = f.next
		if took < give {
			idle++
			continue
		}
		idle = 0
		if f.pending == 0 {
			s.Remove(f)
		}
	}
	return used
}

// write offers n bytes to a flow and books what it took.
func (s *Share) write(f *Flow, n int64, write func(f *Flow, n int64) int64) int64 {
	if n == 0 {
		return 0
	}
	took := min(max(write(f, n), 0), n)
	f.pending -= took
	return took
}
