package load

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pace says when requests are to be made in an open loop: at equal distances, whatever became of those before. The latency of a request
// counts from then, so that a tracker that holds up the requests behind a slow one is not measured by the slow one alone.
type pace struct {
	start time.Time
	gap   float64 // nanoseconds between two requests
	made  int64   // requests handed out
	due   chan time.Time
}

// newPace returns nil for a rate of 0.
func newPace(rate float64, start time.Time) *pace {
	if rate == 0 {
		return nil
	}
	return &pace{start: start, gap: float64(time.Second) / rate, due: make(chan time.Time, 1<<12)}
}

// next returns when the next request is to be made.
func (p *pace) next() time.Time { return p.start.Add(time.Duration(float64(p.made) * p.gap)) }

// dispatch hands out the times as they come, until stop; workers take them from due.
func (p *pace) dispatch(stop *atomic.Bool) {
	defer close(p.due)
	defer exact()()
	for !stop.Load() {
		at := p.next()
		if wait := time.Until(at); wait > 0 {
			nap(min(wait, maxNap))
			continue
		}
		select {
		case p.due <- at:
			p.made++
		default: // the tracker is far behind: the time stays, and the latency that counts from it grows
			nap(time.Millisecond)
		}
	}
}

// maxNap is how long at most a sleeper does not look whether the run is over.
const maxNap = 50 * time.Millisecond

// exact makes nap wake the calling goroutine within some 60 us; the function that is returned ends that.
// The runtime's own timers would be up to a millisecond late on an idle machine, which is many times the latency that is measured.
func exact() (end func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// nap sleeps on the thread itself. See exact.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&ts, nil) // woken early by a signal, it sleeps again
}
