package tracker

import (
	"sync/atomic"
	"time"

	"starling/tracker/pacer"
)

// PacingStats is what there is to see of pacing.
type PacingStats struct {
	Rate, AnnounceRate int64         // a second; 0: unlimited
	Sharing            pacer.Sharing // of the connections, at present
	Connections        int           // that wait to write

	Requests, Bytes []PacingClass     // the root first, parents before children; none without such a rate
	Steps           map[string]uint64 // answers by the step of the ladder
	Seconds         []int64           // requests in each of the last 60 seconds, the oldest first

	Jail         pacer.JailStats // zero without an announce rate, or a class of that name
	Booked, Room uint32          // of the calendar's slot after the usual interval: announces, and how many it may have
	Bandwidth    uint64          // what the recorder observed; pacer.Unlimited: nothing yet
	HardLimit    uint64          // 0: none was asked for
}

// PacingClass is a class, or the root of the tree.
type PacingClass struct {
	pacer.ClassStats
	pacer.Waited // zero for one with classes below it, which has no queue
	Leaf         bool
}

// pacingCounts is how many counters of each kind there are, so that busy cores seldom share one.
const pacingCounts = 16

// pacingCount counts answers by the step of the ladder.
type pacingCount struct {
	steps [8]atomic.Uint64
	_     [64]byte
}

// count counts an answer.
func (p *Pacing) count(shard int, step pacer.Step) {
	p.counts[uint(shard)%pacingCounts].steps[step].Add(1)
}

// answered returns how many answers there were.
func (p *Pacing) answered() (n uint64) {
	for i := range p.counts {
		for j := range p.counts[i].steps {
			n += p.counts[i].steps[j].Load()
		}
	}
	return n
}

// Stats returns the figures of now.
func (p *Pacing) Stats(now time.Time) PacingStats {
	s := PacingStats{Steps: make(map[string]uint64), Bandwidth: p.recorder.Bandwidth()}
	for _, step := range pacer.Steps() {
		for i := range p.counts {
			s.Steps[step.String()] += p.counts[i].steps[step].Load()
		}
	}
	if requested, limit := p.recorder.HardLimit(); requested {
		s.HardLimit = limit
	}
	if r := p.requests; r != nil {
		s.Requests = pacingClasses(r.gate.Stats(now), perRequest)
		s.AnnounceRate = s.Requests[0].Rate
		if p.classes.Load().jail >= 0 {
			s.Jail = r.jail.Stats(now)
		}
		s.Booked, s.Room = r.calendar.Load(now.Add(p.cfg.Interval))
	}
	if b := p.bytes.Load(); b != nil {
		s.Bytes = pacingClasses(b.gate.Stats(now), 1)
		s.Rate = s.Bytes[0].Rate
		s.Sharing, s.Connections = b.writes.Present()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Seconds = p.seconds.AppendSeconds(now, nil)
	return s
}

// pacingClasses puts what became of the requests of each class beside its rates, which are in so many tokens for one.
func pacingClasses(g pacer.GateStats, unit int64) []PacingClass {
	list := make([]PacingClass, len(g.Classes))
	for i, c := range g.Classes {
		for _, v := range []*int64{&c.Rate, &c.Ceil, &c.Actual, &c.Overrate, &c.Level, &c.Spent, &c.Borrowed, &c.Lent} {
			*v /= unit
		}
		list[i].ClassStats = c
		for n, name := range g.Names {
			if name == c.Name {
				list[i].Waited, list[i].Leaf = g.Waited[n], true
			}
		}
	}
	return list
}
