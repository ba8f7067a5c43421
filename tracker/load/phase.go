package load

import (
	"context"
	"slices"
	"sync"
	"time"
)

// phaseKind says what a phase is for.
type phaseKind uint8

const (
	fillPhase phaseKind = iota // every peer announces once, as fast as answers come
	loadPhase                  // what is measured
)

// mostBins is how many pieces the time of a phase is cut into at most, for what is shown over time.
const mostBins = 1800

// phase is a part of a run, and what it came to.
type phase struct {
	kind    phaseKind
	start   time.Time
	width   time.Duration // of a bin
	pace    *pace         // nil: closed loop
	elapsed time.Duration // without the wait for what was still in flight
	tally   tally
	before  usage
	after   usage

	mu   sync.Mutex // guards bins
	bins []*Histogram
}

// Second is what one piece of the time of a run came to: a second, or longer in a run of more than half an hour.
type Second struct {
	At            time.Duration // its end
	Answers       float64       // a second
	P50, P99, Max time.Duration
}

// Progress is how a run goes.
type Progress struct {
	Filling bool
	Elapsed time.Duration
	Done    uint64 // answers so far
	Failed  uint64 // requests without an answer so far
	Last    Second // the last piece of time that is over
}

// newPhase returns a phase that begins now and takes about that long; 0: nobody knows.
func newPhase(kind phaseKind, takes time.Duration) *phase {
	return &phase{kind: kind, start: time.Now(), width: max(time.Second, (takes / mostBins).Round(time.Second))}
}

// bin returns the number of the bin a time lies in.
func (p *phase) bin(now time.Time) int { return int(max(now.Sub(p.start), 0) / p.width) }

// merge adds what a worker has measured in a bin.
func (p *phase) merge(bin int, h *Histogram) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.bins) <= bin {
		p.bins = append(p.bins, nil)
	}
	if p.bins[bin] == nil {
		p.bins[bin] = new(Histogram)
	}
	p.bins[bin].Add(h)
}

// second sums up a bin; the last one may be shorter than the others.
func (p *phase) second(i int) Second {
	s := Second{At: time.Duration(i+1) * p.width}
	width := p.width
	if p.elapsed > 0 && s.At > p.elapsed {
		s.At = max(p.elapsed, time.Duration(i)*p.width)
		width = s.At - time.Duration(i)*p.width
	}
	if i >= 0 && i < len(p.bins) && p.bins[i] != nil {
		h := p.bins[i]
		s.Answers = float64(h.Count()) / max(width.Seconds(), 0.001)
		s.P50, s.P99, s.Max = h.Quantile(0.5), h.Quantile(0.99), h.Max()
	}
	return s
}

// series returns all that is over of the phase's time. Bins that are mostly beyond its end hold only answers that came late, and are left out.
func (p *phase) series() []Second {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Second
	for i := 0; time.Duration(i)*p.width+p.width/4 < p.elapsed; i++ {
		all = append(all, p.second(i))
	}
	return slices.Clip(all)
}

// settle is how long after a piece of time its end is told of: workers hand in what they measured in it when they measure something after it.
const settle = 100 * time.Millisecond

// watch tells how the phase goes until ctx ends, and notes when that was.
func (p *phase) watch(ctx context.Context, cfg *Config, workers []*worker) {
	defer func() { p.elapsed = time.Since(p.start) }()
	tick := time.NewTimer(time.Second + settle)
	defer tick.Stop()
	last, done := p.start, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			tick.Reset(time.Second)
			if cfg.Progress == nil {
				continue
			}
			g := Progress{Filling: p.kind == fillPhase, Elapsed: now.Sub(p.start)}
			for _, w := range workers {
				g.Done += w.done.Load()
				g.Failed += w.failed.Load()
			}
			p.mu.Lock()
			g.Last = p.second(p.bin(now) - 1)
			p.mu.Unlock()
			g.Last.Answers = float64(g.Done-done) / now.Sub(last).Seconds()
			last, done = now, g.Done
			cfg.Progress(g)
		}
	}
}
