package main

import "starling/tracker"

// durationsSeconds is over how many readings of the histograms quantiles are reckoned: a second's announces may be few.
const durationsSeconds = 10

// durations is how long the announces of the last seconds took.
type durations struct {
	past  [durationsSeconds]tracker.Latency // the latest readings
	reads int
	grown [len(tracker.LatencyBounds) + 1]uint64 // by bucket, since the oldest of them
}

// add takes in a reading.
func (d *durations) add(l tracker.Latency) {
	oldest := &d.past[d.reads%durationsSeconds]
	if d.reads < durationsSeconds {
		oldest = &d.past[0]
	}
	for i, n := range l.Counts {
		d.grown[i] = n - min(oldest.Counts[i], n)
	}
	d.past[d.reads%durationsSeconds] = l
	if d.reads++; d.reads == 1 {
		d.grown = [len(d.grown)]uint64{} // what was before the first is not of the last seconds
	}
}

// quantile returns in how many milliseconds a share of the announces were answered, 0 when there were none. Within a bucket they count as
// spread evenly; what took longer than all bounds is called twice the last.
func (d *durations) quantile(share float64) float32 {
	all := uint64(0)
	for _, n := range d.grown {
		all += n
	}
	if all == 0 {
		return 0
	}
	left, low := share*float64(all), 0.0
	for i, n := range d.grown {
		high := 2 * low
		if i < len(tracker.LatencyBounds) {
			high = tracker.LatencyBounds[i].Seconds() * 1000
		}
		if left <= float64(n) && n > 0 {
			return float32(low + (high-low)*left/float64(n))
		}
		left, low = left-float64(n), high
	}
	return float32(low)
}
