package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// figures are what a run measured.
type figures struct {
	steps   []int64 // bytes that arrived in each step
	got     []int64 // bytes of each connection, the greedy one first
	classes map[string]int64
	sent    int
	missing int // requests without an answer
	bare    int // announce answers without peers
	failed  int // answers with a failure reason
	longest time.Duration
	waits   []time.Duration
}

const (
	// step is how finely arrivals are counted, window over what the rate is judged.
	step   = 10 * time.Millisecond
	window = 2 * time.Second
	// burst is what may come at once beside the rate: 20 ms of it, 1 % of a window.
	warmUp = time.Second
)

// windows returns the least and the most that arrived in any window, as a part of what the rate has in one.
func windows(steps []int64, rate int) (least, most float64) {
	n := int(window / step)
	if len(steps) < n {
		return 0, 0
	}
	var sum int64
	for _, v := range steps[:n] {
		sum += v
	}
	low, high := sum, sum
	for i := n; i < len(steps); i++ {
		sum += steps[i] - steps[i-n]
		low, high = min(low, sum), max(high, sum)
	}
	whole := float64(rate) * window.Seconds()
	return float64(low) / whole, float64(high) / whole
}

// silence returns the longest time without a byte.
func silence(steps []int64) time.Duration {
	longest, n := 0, 0
	for _, v := range steps {
		if n++; v > 0 {
			n = 0
		}
		longest = max(longest, n)
	}
	return time.Duration(longest) * step
}

// jain returns Jain's index: 1 when all have the same, 1/n when one has all.
func jain(got []int64) float64 {
	var sum, squares float64
	for _, v := range got {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(got)) * squares)
}

// assured are the parts of the rate that the usual classes can count on.
var assured = map[string]float64{"started": 0.30, "regular": 0.35, "scrape": 0.10}

// classNames are the classes' names by what is asked.
var classNames = map[string]string{"started": "event", "regular": "regular", "scrape": "scrape"}

// print writes the figures and reports whether all are within their bounds.
func (f *figures) print(w io.Writer, o *options, r run) bool {
	ok := true
	line := func(good bool, format string, args ...any) {
		mark := "ok  "
		if !good {
			mark, ok = "BAD ", false
		}
		fmt.Fprintf(w, "  "+mark+format+"\n", args...)
	}
	fmt.Fprintf(w, "%s: %d connections, %d bytes/s, %v, %d requests, %d bare, %d failed\n",
		r.name, o.connections, o.rate, o.duration, f.sent, f.bare, f.failed)
	least, most := windows(f.steps, o.rate)
	line(100*(1-least) <= o.within && 100*(most-1) <= o.within,
		"bytes in any window of %v: %.2f %% to %.2f %% of the rate (bound %.2f %%), %.2f %% in all, longest silence %v",
		window, 100*least, 100*most, o.within, 100*float64(sum(f.steps))/(float64(o.rate)*(o.duration-warmUp).Seconds()), silence(f.steps))
	slices.Sort(f.waits)
	at := func(p float64) time.Duration {
		if len(f.waits) == 0 {
			return 0
		}
		return f.waits[int(p*float64(len(f.waits)-1))].Round(time.Millisecond)
	}
	line(f.longest <= o.wait, "longest wait %v, median %v, p99 %v (bound %v)", f.longest.Round(time.Millisecond), at(0.5), at(0.99), o.wait)
	line(f.missing == 0, "requests without an answer: %d", f.missing)
	if len(r.kinds) == 1 {
		index := jain(f.got[1:])
		line(index >= o.jain, "Jain index of %d connections: %.4f (bound %.2f)", len(f.got)-1, index, o.jain)
		mean := float64(sum(f.got[1:])) / float64(len(f.got)-1)
		fmt.Fprintf(w, "      the greedy one got %.1f times the mean of the others, least %.2f, most %.2f\n", float64(f.got[0])/mean,
			float64(slices.Min(f.got[1:]))/mean, float64(slices.Max(f.got[1:]))/mean)
		return ok
	}
	for _, kind := range r.kinds {
		rate := float64(f.classes[kind]) / (o.duration - warmUp).Seconds() / float64(o.rate)
		line(100*rate >= o.assured*assured[kind], "class %-8s %.1f %% of the rate, assured %.0f %%: %.1f %% of that (bound %.0f %%)",
			classNames[kind], 100*rate, 100*assured[kind], 100*rate/assured[kind], o.assured)
	}
	return ok
}

func sum(all []int64) (n int64) {
	for _, v := range all {
		n += v
	}
	return n
}
