package repair

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// TestReplay: old packets that come again, however often, are counted and nothing else: nothing is held, asked for or sent.
func TestReplay(t *testing.T) {
	s := newSegment(t, 1, 2)
	var recorded [][]byte
	s.fate = func(from, to *host, p *wire.Packet) []time.Duration { return []time.Duration{0} }
	a, b := s.hosts[0], s.hosts[1]
	for range 3000 {
		s.live(a)
		recorded = append(recorded, s.flying[0].pkt)
		s.run(time.Millisecond)
	}
	applied := len(b.applied)
	for range 3 {
		for _, pkt := range recorded {
			s.hear(b, pkt)
		}
		s.run(10 * time.Millisecond)
	}
	if c := b.m.Counts(a.id); c != (Counts{Duplicate: 9000}) || len(b.applied) != applied {
		t.Errorf("%+v, applied %d more", c, len(b.applied)-applied)
	}
	if b.bytes[controlBytes]+b.bytes[againBytes]+a.bytes[controlBytes]+a.bytes[againBytes] != 0 || !b.m.ControlDue().IsZero() || !a.m.ResendDue().IsZero() {
		t.Error("somebody answers")
	}
}

// TestStorm: a node that has the key and gone mad asks for everything all the time. What it is sent is bounded by the rate, and so
// are the answers that there is no such packet.
func TestStorm(t *testing.T) {
	for _, live := range []int{0, 40, 800} {
		s := newSegment(t, 1, 3)
		a := s.hosts[0]
		for range 5000 {
			s.live(a)
			s.discard(a)
		}
		s.run(time.Minute)
		for _, h := range s.hosts {
			h.bytes = [3]int{}
			h.resent = nil
		}
		rng := rand.New(rand.NewPCG(7, uint64(live)))
		const seconds = 4
		for i := range seconds * 1000 {
			n := wire.Nack{Target: a.id, Epoch: uint64(rng.IntN(2)), Ranges: []wire.Range{{First: rng.Uint32N(20000), Last: rng.Uint32()}, {Last: rng.Uint32()}}}
			for k := range n.Ranges {
				n.Ranges[k].Last = max(n.Ranges[k].First, n.Ranges[k].Last)
			}
			for _, h := range s.hosts {
				h.m.Nack(s.now, &n)
			}
			if live > 0 && i%(1000/live+1) == 0 {
				s.live(a)
			}
			s.run(time.Millisecond)
		}
		rate := 2 * max(floor, live/4)
		if n, most := len(a.resent), burst+rate*seconds*11/10; n > most || live > 0 && n < rate*seconds/4 {
			t.Errorf("%d live packets a second: %d packets were sent again, at most %d are its due", live, n, most)
		}
		if n, most := a.bytes[controlBytes], (seconds*1000/20+1)*wire.MaxUnfragmented; n > most {
			t.Errorf("%d bytes of GONE, at most %d are its due", n, most)
		}
		for _, h := range s.hosts[1:] {
			if len(h.resent) > burst+2*floor*seconds {
				t.Errorf("%s stands in with %d packets", h.name, len(h.resent))
			}
		}
	}
}

// TestHeldBound: nobody makes a node hold more than its bound, and what finds no room is asked for when there is some.
func TestHeldBound(t *testing.T) {
	s := newSegment(t, 1, 4)
	d := s.hosts[3]
	lossy := true
	s.fate = func(from, to *host, p *wire.Packet) []time.Duration {
		if to == d && p.Kind == wire.KindLive4 && lossy && p.Seq == 0 {
			return nil
		}
		if p.Kind == wire.KindNack && lossy {
			return nil
		}
		return []time.Duration{0}
	}
	for range 2500 { // 7500 packets of three senders, each behind a gap
		for _, h := range s.hosts[:3] {
			s.live(h)
		}
		s.arrive()
	}
	if d.m.store.held != maxHeld {
		t.Errorf("%d packets are held, %d can be", d.m.store.held, maxHeld)
	}
	lossy = false
	for range 5 {
		s.run(time.Second)
		for _, h := range s.hosts[:3] {
			s.state(h)
		}
	}
	var c Counts
	for _, h := range s.hosts[:3] {
		of := d.m.Counts(h.id)
		c.Lost, c.Refused, c.Repaired = c.Lost+of.Lost, c.Refused+of.Refused, c.Repaired+of.Repaired
	}
	if n := uint64(len(d.applied)) + c.Lost; n != 7500 || c.Refused == 0 || d.m.store.held != 0 {
		t.Errorf("%d packets are accounted for, %+v, %d held", n, c, d.m.store.held)
	}
}

// TestBeyondWindow: a sender that is far ahead is followed, and what lies between is lost.
func TestBeyondWindow(t *testing.T) {
	for _, held := range []bool{false, true} {
		s := newSegment(t, 1, 2)
		a, b := s.hosts[0], s.hosts[1]
		deaf := false
		s.fate = func(from, to *host, p *wire.Packet) []time.Duration {
			if deaf {
				return nil
			}
			return []time.Duration{0}
		}
		s.live(a)
		s.arrive()
		if held {
			a.next++
			s.live(a)
		}
		s.run(time.Millisecond)
		deaf = true
		for range 3 * windowSize {
			s.live(a)
		}
		deaf = false
		for range 3 {
			s.live(a)
			s.run(time.Millisecond)
		}
		c := b.m.Counts(a.id)
		if b.m.store.held != 0 || len(b.cuts) == 0 || !b.cuts[0].Equal(begin) || uint64(len(b.applied))+c.Lost != uint64(a.next) {
			t.Errorf("held %v: %d applied, %+v, next %d, cuts %v", held, len(b.applied), c, a.next, b.cuts)
		}
	}
}

// TestTooOld: what a node missed while it was cut off is sent again as far as it is young, and the rest is lost at once, since it was sent.
func TestTooOld(t *testing.T) {
	s := newSegment(t, 1, 3)
	a, b, c := s.hosts[0], s.hosts[1], s.hosts[2]
	cutOff := false
	s.fate = func(from, to *host, p *wire.Packet) []time.Duration {
		if cutOff && (from == b || to == b) {
			return nil
		}
		return []time.Duration{0}
	}
	s.live(a)
	s.run(time.Second)
	cutOff = true
	for range 100 {
		s.live(a)
		s.run(100 * time.Millisecond)
	}
	cutOff = false
	s.state(a)
	s.run(time.Second)
	if got := b.m.Counts(a.id); got.Lost < 69 || got.Lost > 73 || got.Repaired != 100-got.Lost || len(b.applied) != 101-int(got.Lost) {
		t.Errorf("%+v, %d applied", got, len(b.applied))
	}
	if len(b.cuts) != 1 || !b.cuts[0].Equal(begin) || b.nacks > 2*maxAsks-1 || len(c.resent) != 0 {
		t.Errorf("cuts %v, %d NACKs, %d from another", b.cuts, b.nacks, len(c.resent))
	}
}
