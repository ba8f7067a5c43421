package pacer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// crowd is a simulated flash crowd: peers that come for the first time at a
// rate that begins at 5.2 times the capacity and falls exponentially, and then
// come again when they are told.
type crowd struct {
	peers    int
	capacity int // announces a second
	hours    int
	disobey  float64 // the part that comes every base, whatever it is told
	peak     float64 // of the first announces, in capacities; 0: 5.2
}

const crowdBase = 30 * time.Minute

// crowdResult is what came of it from the first return on.
type crowdResult struct {
	above float64 // part of the 10 s slots above the capacity
	worst float64 // the fullest slot, in capacities
	mean  float64 // of the intervals that were told, in seconds
}

// run counts the announces that return. tell returns the interval for an
// announce; slot is called at the end of each slot with all of its announces.
func (c crowd) run(tell func(now time.Time, peer uint64) time.Duration, slot func(announces int)) crowdResult {
	r := rand.New(rand.NewPCG(1, 2))
	seconds := c.hours * 3600
	due := make([][]uint32, seconds) // peers by the second they come in
	peak := c.peak
	if peak == 0 {
		peak = 5.2
	}
	fall := float64(c.peers) / (peak * float64(c.capacity))
	for peer := range c.peers {
		if at := int(r.ExpFloat64() * fall); at < seconds {
			due[at] = append(due[at], uint32(peer))
		}
	}
	var res crowdResult
	var returned, all, counted, told int
	var sum float64
	seen := make([]bool, c.peers)
	for s := range seconds {
		now := epoch0.Add(time.Duration(s) * time.Second)
		for _, peer := range due[s] {
			if seen[peer] {
				returned++
			}
			seen[peer] = true
			all++
			hash := (uint64(peer) + 1) * 0x9e3779b97f4a7c15
			hash ^= hash >> 29
			hash *= 0xbf58476d1ce4e5b9
			interval := tell(now, hash)
			told++
			sum += interval.Seconds()
			if float64(peer) < c.disobey*float64(c.peers) {
				interval = crowdBase
			}
			if at := s + int(interval/time.Second); at < seconds {
				due[at] = append(due[at], peer)
			}
		}
		due[s] = nil
		if (s+1)%10 == 0 {
			slot(all)
			if load := float64(returned) / float64(10*c.capacity); s >= int(crowdBase.Seconds()) {
				counted++
				res.worst = max(res.worst, load)
				if load > 1 {
					res.above++
				}
			}
			returned, all = 0, 0
		}
	}
	res.above /= float64(counted)
	res.mean = sum / float64(told)
	return res
}

// fixed tells everybody the same interval.
func (c crowd) fixed() crowdResult {
	return c.run(func(time.Time, uint64) time.Duration { return crowdBase }, func(int) {})
}

// additive raises one interval for all while slots are above 80 % of the
// capacity and lowers it slowly while they are not: feedback, an interval late.
// Lowered faster it calls those with long and with short intervals together,
// and the worst slot has twenty times the capacity.
func (c crowd) additive() crowdResult {
	interval := crowdBase
	return c.run(func(time.Time, uint64) time.Duration { return interval }, func(announces int) {
		if float64(announces) > 8*float64(c.capacity) {
			interval = min(interval+time.Minute, horizon)
		} else {
			interval = max(interval-4*time.Second, crowdBase)
		}
	})
}

// told is a client as the store of a node knows it.
type told struct {
	due    time.Time // the tick in which it is expected
	booked time.Duration
}

// The store counts in ticks of a sixtieth of the peer timeout, and knows of a
// client that it was booked when that was for much more than usual.
const (
	crowdTick   = 45 * time.Second
	crowdBooked = 43 * time.Minute
)

// calendar books, and tells the calendar of new clients and of early ones what
// the store of a node can know of them.
func (c crowd) calendar() crowdResult {
	cal := NewCalendar(int64(c.capacity), epoch0)
	r := rand.New(rand.NewPCG(3, 4))
	known := make(map[uint64]told, c.peers)
	return c.run(func(now time.Time, peer uint64) time.Duration {
		b := cal.Book(now, crowdBase, horizon, peer, r.Uint64())
		was, ok := known[peer]
		switch {
		case !ok:
			cal.New(now, crowdBase, horizon, b, r.Uint64())
		case was.booked >= crowdBooked && was.due.Sub(now) > crowdTick:
			cal.Return(was.due, crowdTick, r.Uint64())
			cal.Again(now, crowdBase, horizon)
		}
		due := now.Truncate(crowdTick).Add((b.Interval + crowdTick - 1).Truncate(crowdTick))
		known[peer] = told{due, b.Interval}
		return b.Interval
	}, func(int) {})
}

// TestCrowdInSmall is the table of BenchmarkFlashCrowd at a hundredth of its
// size: fixed intervals repeat the crowd, the calendar spreads it out.
func TestCrowdInSmall(t *testing.T) {
	small := crowd{peers: 10_000, capacity: 3, hours: 6}
	if got := small.fixed(); got.above < 0.3 || got.worst < 4 {
		t.Errorf("fixed: %+v: this is no crowd", got)
	}
	// In slots of 24 announces, those that come at the border of one count in
	// the next.
	if got := small.calendar(); got.above > 0.01 || got.worst > 1.2 {
		t.Errorf("calendar: %+v", got)
	}
	// The same with a tenth that obeys nobody: in the first wave of
	// their returns nobody knows them yet.
	small = crowd{peers: 20_000, capacity: 6, hours: 6, disobey: 0.1}
	if got := small.calendar(); got.above > 0.03 || got.worst > 1.32 {
		t.Errorf("calendar with the disobedient: %+v", got)
	}
	calm := crowd{peers: 10_000, capacity: 30, hours: 6, peak: 0.3}
	if got := calm.calendar(); math.Abs(got.mean-crowdBase.Seconds()) > 5 {
		t.Errorf("in calm the mean interval is %.0f s", got.mean)
	}
}

// BenchmarkFlashCrowd simulates six hours after a crowd at 300 announces a
// second capacity, and reports which part of the slots was above the capacity,
// the worst slot and the mean interval.
func BenchmarkFlashCrowd(b *testing.B) {
	report := func(name string, run func() crowdResult) {
		b.Run(name, func(b *testing.B) {
			var res crowdResult
			for b.Loop() {
				res = run()
			}
			b.ReportMetric(res.above*100, "%above")
			b.ReportMetric(res.worst, "x_worst")
			b.ReportMetric(res.mean, "s_interval")
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, size := range []struct {
		name  string
		peers int
	}{{"100k", 100_000}, {"300k", 300_000}, {"1M", 1_000_000}} {
		c := crowd{peers: size.peers, capacity: 300, hours: 6}
		report(size.name+"/fixed", c.fixed)
		report(size.name+"/additive", c.additive)
		report(size.name+"/calendar", c.calendar)
		c.disobey = 0.1
		report(size.name+"/calendar-disobedient", c.calendar)
	}
	calm := crowd{peers: 300_000, capacity: 300, hours: 6, peak: 0.5}
	report("calm/calendar", calm.calendar)
}
