package load

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// worker is what both kinds of worker have. Peers number, number + workers, and so on are its own: no other announces them.
type worker struct {
	*run
	phase  *phase
	number int
	rng    *rand.Rand
	check  *checker
	tally  tally
	filled int // peers that the fill has come to

	bin     int       // the bin of time that latencies go into
	current Histogram // the latencies of that bin
	done    atomic.Uint64
	failed  atomic.Uint64
}

// ms returns a time as the population counts it.
func (w *worker) ms(t time.Time) uint32 { return since(w.start, t) }

// own returns how many peers are the worker's.
func (w *worker) own() int { return (w.pop.peers() - w.number + w.workers - 1) / w.workers }

// draw begins the next deed; ok is false when there is nothing more to do.
func (w *worker) draw(now time.Time) (d deed, ok bool) {
	if w.stop.Load() {
		return d, false
	}
	if w.phase.kind == fillPhase {
		if w.filled == w.own() {
			return d, false
		}
		w.filled++
		return w.pop.begin(w.number+(w.filled-1)*w.workers, w.rng, false, w.ms(now)), true
	}
	// A peer that is under way already is not drawn. A worker never has more requests in flight than peers, so there is another.
	own := w.own()
	k := w.rng.IntN(own)
	for tries := 1; w.pop.has(w.number+k*w.workers, isBusy); tries++ {
		if tries < 8 {
			k = w.rng.IntN(own)
		} else {
			k = (k + 1) % own
		}
	}
	return w.pop.begin(w.number+k*w.workers, w.rng, true, w.ms(now)), true
}

// judge counts the answer to a deed that took the given time.
func (w *worker) judge(d *deed, a *answer, now time.Time, took time.Duration) {
	w.record(now, took)
	wrong := w.check.check(d, a)
	w.pop.finish(d, true, w.ms(now))
	w.done.Add(1)
	if wrong != isRight {
		w.tally.wrong[wrong]++
		return
	}
	w.tally.right++
}

// fail counts a deed that got no answer to judge.
func (w *worker) fail(d *deed, f failure, what string) {
	w.pop.finish(d, false, 0)
	w.tally.fail(f, what)
	w.failed.Add(1)
}

// record counts a latency, in all and in its bin of time.
func (w *worker) record(now time.Time, took time.Duration) {
	w.tally.latency.Record(took)
	if bin := w.phase.bin(now); bin != w.bin {
		w.flush()
		w.bin = bin
	}
	w.current.Record(took)
}

// flush hands the latencies of the current bin to the phase.
func (w *worker) flush() {
	if w.current.Count() > 0 {
		w.phase.merge(w.bin, &w.current)
		w.current = Histogram{}
	}
}

// trouble counts what went wrong outside of any request, and keeps a worker whose connection fails from trying without a break.
func (w *worker) trouble(f failure, what string) {
	w.tally.fail(f, what)
	w.failed.Add(1)
	time.Sleep(50 * time.Millisecond)
}
