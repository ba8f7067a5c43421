package repair

import (
	"testing"
	"time"

	"starling/wire"
)

// FuzzSchedule plays what a string of bytes says on a segment of three: sends, losses, pauses, and control packets that say
// anything. Whatever comes, the windows stay consistent, nothing is applied twice or out of order, and it ends.
func FuzzSchedule(f *testing.F) {
	f.Add([]byte("\x00\x01\x40\x00\x02\x00\x01\x10\x60\x20\x70\x00\x10\x20\xf0\xff"))
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"))
	f.Fuzz(fuzzOne)
}

func fuzzOne(t *testing.T, script []byte) {
	s := newSegment(t, 1, 3)
	lost := byte(0)
	s.fate = func(from, to *host, p *wire.Packet) []time.Duration {
		if lost>>(to.id[3]-1)&1 != 0 {
			return nil
		}
		return []time.Duration{0}
	}
	next := func() (v byte) {
		if len(script) > 0 {
			v, script = script[0], script[1:]
		}
		return v
	}
	for range 200 {
		if len(script) == 0 {
			break
		}
		op := next()
		h := s.hosts[op>>4%3]
		lost = 0
		s.odd(op&15, h, next, &lost)
		for _, h := range s.hosts {
			s.consistent(h)
		}
	}
	s.run(10 * time.Second)
	for _, h := range s.hosts {
		s.consistent(h)
		if h.m.store.held != 0 && !h.dead {
			t.Errorf("%s still holds %d packets", h.name, h.m.store.held)
		}
	}
}

// odd does one thing that a byte stands for.
func (s *segment) odd(op byte, h *host, next func() byte, lost *byte) {
	ranges := func() []wire.Range {
		at := h.next + uint32(next()) - 128
		return []wire.Range{{First: at, Last: max(at, at+uint32(next())<<(next()&31))}}
	}
	other := s.hosts[(int(h.id[3])+int(next()))%3]
	switch op {
	case 0, 1, 2, 3:
		*lost = next()
		for range op*op + 1 {
			s.live(h)
		}
	case 4:
		for range int(next())*16 + 1 {
			s.discard(h)
		}
	case 5:
		s.state(h)
	case 6:
		h.m.State(s.now, other.id, other.epoch, other.next+uint32(next())<<(next()&31))
	case 7:
		h.m.Nack(s.now, &wire.Nack{Target: other.id, Epoch: other.epoch + uint64(next()&1), Origin: next()&1 != 0, Ranges: ranges()})
	case 8:
		h.m.Promise(s.now, &wire.Promise{Sender: other.id, Epoch: other.epoch, Ranges: ranges()})
	case 9:
		h.m.Gone(s.now, other.id, &wire.Gone{Epoch: other.epoch, Age: uint32(next()) << 20, Ranges: ranges()})
	case 10:
		h.m.Bye(s.now, other.id, other.epoch, other.next)
	case 11:
		s.restart(h)
	case 12:
		h.m.Forget(other.id)
		s.drain(h)
		h.m.Open(s.now, other.id, other.epoch, other.next, s.now)
	default:
		s.run(time.Duration(next()) << op * time.Microsecond)
	}
	s.drain(h)
	s.arrive()
}

// consistent checks what must hold of a host's windows at all times.
func (s *segment) consistent(h *host) {
	s.t.Helper()
	held := 0
	for _, w := range h.m.ready {
		if w.closed {
			s.t.Fatalf("%s has a closed window with something ready", h.name)
		}
	}
	for _, p := range h.m.peers {
		w := p.w
		if w.tail > w.next || w.next > w.top || w.top-w.next > windowSize {
			s.t.Fatalf("%s: window %d %d %d", h.name, w.tail, w.next, w.top)
		}
		at := w.next
		for _, g := range w.gaps {
			if g.First < at || g.First > g.Last || g.Last >= w.top || g.asks > maxAsks || w.due.IsZero() || g.at.Before(w.due) {
				s.t.Fatalf("%s: gap %+v in window %d %d, due %v", h.name, g, w.next, w.top, w.due)
			}
			for seq := g.First; seq <= g.Last; seq++ {
				if w.slots[seq%windowSize] != nil {
					s.t.Fatalf("%s: %d is missing and here", h.name, seq)
				}
			}
			at = g.Last + 1
		}
		n := 0
		for seq := w.next; seq < w.top; seq++ {
			if w.slots[seq%windowSize] != nil {
				n++
			}
		}
		if n != w.held {
			s.t.Fatalf("%s: %d packets are held, %d are counted", h.name, n, w.held)
		}
		held += n
	}
	if held != h.m.store.held {
		s.t.Fatalf("%s: %d packets are held, %d are counted", h.name, held, h.m.store.held)
	}
}
