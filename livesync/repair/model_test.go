package repair

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

var seeds = flag.Int("seeds", 60, "how many schedules the model plays")

// schedule is a random history of a segment.
type schedule struct {
	*segment
	rng       *rand.Rand
	loss      float64
	duplicate float64
	delay     time.Duration
	rate      int // live packets a second of each host
}

func (s *schedule) faulty(from, to *host, p *wire.Packet) (copies []time.Duration) {
	if s.rng.Float64() < s.loss {
		return nil
	}
	for range 2 {
		d := time.Duration(0)
		if s.delay > 0 {
			d = time.Duration(s.rng.Int64N(int64(s.delay)))
		}
		copies = append(copies, d)
		if s.rng.Float64() >= s.duplicate {
			break
		}
	}
	return copies
}

// play lets every host send for a while, each at random times, with STATEs every second, and now and then something else.
func (s *schedule) play(d time.Duration, odd func(h *host)) {
	type turn struct {
		at time.Time
		h  *host
		do func(h *host)
	}
	var turns []turn
	for _, h := range s.hosts {
		for range int(d.Seconds() * float64(s.rate)) {
			at := s.now.Add(time.Duration(s.rng.Int64N(int64(d))))
			do := s.live
			if odd != nil && s.rng.IntN(40) == 0 {
				do = odd
			}
			turns = append(turns, turn{at, h, do})
		}
		for at := s.now.Add(time.Duration(s.rng.Int64N(int64(time.Second)))); at.Before(s.now.Add(d)); at = at.Add(time.Second) {
			turns = append(turns, turn{at, h, s.state})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.at.Compare(b.at) })
	for _, turn := range turns {
		s.run(turn.at.Sub(s.now))
		if !turn.h.dead {
			turn.do(turn.h)
		}
	}
}

// settle lets the network work and everybody say what it sent, until nothing is missing or given up any more.
func (s *schedule) settle() {
	s.loss, s.duplicate = 0, 0
	s.run(100 * time.Millisecond)
	for range 2 {
		for _, h := range s.hosts {
			if !h.dead {
				s.state(h)
			}
		}
		s.run(2 * time.Second)
	}
}

// check compares what was applied with what was sent: nothing is missing but what was given up, reported and counted.
func (s *schedule) check() {
	s.t.Helper()
	for _, h := range s.hosts {
		if h.m.store.held != 0 {
			s.t.Errorf("%s still holds %d packets", h.name, h.m.store.held)
		}
		var lost uint64
		for _, o := range s.hosts {
			if o == h || o.epoch != 1 {
				continue
			}
			var n uint64
			for seq := range o.next {
				if h.applied[key{o.id, 1, seq}] {
					n++
				}
			}
			c := h.m.Counts(o.id)
			if n+c.Lost != uint64(o.next) {
				s.t.Errorf("%s applied %d of %s's %d packets and lost %d", h.name, n, o.name, o.next, c.Lost)
			}
			lost += c.Lost
		}
		if lost > 0 && len(h.cuts) == 0 {
			s.t.Errorf("%s lost %d packets and did not say so", h.name, lost)
		}
		s.bounded(h)
	}
}

// bounded checks that repair kept to its rate in every second, and that no number was asked for more than five times.
func (s *schedule) bounded(h *host) {
	s.t.Helper()
	for i, at := range h.resent {
		n := 0
		for _, other := range h.resent[i:] {
			if other.Sub(at) < time.Second {
				n++
			}
		}
		if most := burst + 2*max(floor, s.rate); n > most {
			s.t.Errorf("%s sent %d packets again within a second, at most %d are its due", h.name, n, most)
			return
		}
	}
	var gaps uint64
	for _, o := range s.hosts {
		c := h.m.Counts(o.id)
		gaps += c.Lost + c.Repaired
	}
	if h.nacks > (2*maxAsks-1)*int(gaps) {
		s.t.Errorf("%s sent %d NACKs for %d packets", h.name, h.nacks, gaps)
	}
}

// lost returns how many packets of the others a host has given up.
func lost(s *schedule, h *host) (n uint64) {
	for _, o := range s.hosts {
		n += h.m.Counts(o.id).Lost
	}
	return n
}

// TestModel: over a channel that loses, doubles and reorders every packet is applied in order and exactly once, or is given up,
// counted and reported; and what repair sends is bounded.
func TestModel(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 99))
			s := &schedule{
				segment: newSegment(t, seed, 2+rng.IntN(4)), rng: rng,
				loss: rng.Float64() * 0.3, duplicate: rng.Float64() * 0.3,
				delay: time.Duration(rng.IntN(60)+1) * time.Millisecond, rate: 1 + rng.IntN(60),
			}
			s.fate = s.faulty
			s.play(4*time.Second, func(h *host) {
				switch rng.IntN(3) {
				case 0:
					s.discard(h)
				case 1:
					for range rng.IntN(30) {
						s.live(h)
					}
				case 2: // cut off for a while
					loss := s.loss
					s.loss = 0.9
					s.run(time.Duration(rng.IntN(300)) * time.Millisecond)
					s.loss = loss
				}
			})
			s.settle()
			s.check()
		})
	}
}

// TestFivePercent: what the network loses at this rate is applied within half a second in 99 of 100 cases, and repair adds less
// than a quarter to what is sent, whatever the rate.
func TestFivePercent(t *testing.T) {
	for _, rate := range []int{4, 25, 100, 1500} {
		rng := rand.New(rand.NewPCG(uint64(rate), 5))
		s := &schedule{segment: newSegment(t, 1, 4), rng: rng, loss: 0.05, delay: time.Millisecond, rate: rate}
		s.fate = s.faulty
		s.play(time.Duration(min(30, 2500/rate+1))*time.Second, nil)
		s.settle()
		s.check()
		var live, more int
		var given uint64
		var delays []time.Duration
		for _, h := range s.hosts {
			delays = append(delays, h.delays...)
			given += lost(s, h)
			live += h.bytes[liveBytes]
			more += h.bytes[againBytes] + h.bytes[controlBytes]
		}
		slices.Sort(delays)
		p99, part := delays[len(delays)*99/100], float64(more)/float64(live)
		t.Logf("%d packets a second: %d of %d applied, half of them within %v, 99 %% within %v, the last within %v; %d given up; repair and control add %.1f %%",
			rate, len(delays), len(s.sent)*3, delays[len(delays)/2], p99, delays[len(delays)-1], given, part*100)
		if p99 >= 500*time.Millisecond || part >= 0.25 || given > 1 {
			t.Error("that is too much")
		}
	}
}
