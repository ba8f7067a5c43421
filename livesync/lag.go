package livesync

import (
	"slices"
	"time"
)

// lagSamples is of how many STATEs a node's lag is reckoned: of the last minute.
const lagSamples = 60

// lags is how long a node's packets take from its sending to our applying: the latest few. They are as exact as both clocks
// agree, and below zero when its clock is ahead.
//
// A STATE says when it was sent and which packets of records were before it. When all of those are applied
// there is a sample: at once, or when what was lost on the way has been repaired or given up.
type lags struct {
	recent [lagSamples]time.Duration
	count  uint64

	waits bool // for the packets before next
	next  uint32
	sent  time.Time
}

// said takes in a STATE: when it was sent, and the sequence of the next packet of records then. One that comes
// while another still waits is left out: what it would tell is told by the other.
func (l *lags) said(sent time.Time, next uint32) {
	if !l.waits {
		l.waits, l.sent, l.next = true, sent, next
	}
}

// applied takes in that all packets below a sequence were applied, or given up.
func (l *lags) applied(now time.Time, below uint32) {
	if !l.waits || below < l.next {
		return
	}
	l.waits = false
	l.recent[l.count%lagSamples] = now.Sub(l.sent)
	l.count++
}

// quantiles returns the median of the samples and the value that one in a hundred exceeds, of so few the largest.
func (l *lags) quantiles() (half, most time.Duration) {
	n := int(min(l.count, lagSamples))
	if n == 0 {
		return 0, 0
	}
	sorted := l.recent
	slices.Sort(sorted[:n])
	return sorted[n/2], sorted[n-1]
}

// mostLate bounds what is believed of how late a node is: one of the clocks may have been set.
const mostLate = 15 * time.Second

// late returns how much longer than at best the latest packets took: a process that stood still, or is slow, reads what has waited.
func (l *lags) late() time.Duration {
	n := int(min(l.count, lagSamples))
	if n == 0 {
		return 0
	}
	return min(l.recent[(l.count-1)%lagSamples]-slices.Min(l.recent[:n]), mostLate)
}
