package repair

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// begin is when tests begin.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// segment has nodes, each little more than its machine, and a network between them whose faults the test decides.
type segment struct {
	t     testing.TB
	now   time.Time
	hosts []*host
	// fate returns after what times the copies of a packet arrive at a host; none: it is lost.
	fate   func(from, to *host, p *wire.Packet) []time.Duration
	flying []flying
	flown  uint64
	sent   map[key]time.Time
	say    func(h *host, what string) // nil: nobody listens
}

// flying is a packet under way.
type flying struct {
	at    time.Time
	order uint64
	from  *host
	to    *host
	pkt   []byte
}

// host is a node: its machine, and what came of it.
type host struct {
	name    string
	id      wire.NodeID
	m       *Machine
	epoch   uint64
	next    uint32
	control uint32
	dead    bool
	applied map[key]bool
	last    map[wire.NodeID]key // what was applied last of each sender
	delays  []time.Duration     // from sending to applying
	cuts    []time.Time
	bytes   [3]int // sent live, sent again, control
	resent  []time.Time
	nacks   int
}

const (
	liveBytes = iota
	againBytes
	controlBytes
)

func newSegment(t testing.TB, seed uint64, n int) *segment {
	s := &segment{t: t, now: begin, sent: map[key]time.Time{}, fate: func(from, to *host, p *wire.Packet) []time.Duration { return []time.Duration{0} }}
	for i := range n {
		id := wire.NodeID{0, 0, 0, byte(i + 1)}
		s.hosts = append(s.hosts, &host{
			name: string(rune('a' + i)), id: id, epoch: 1,
			m:       New(id, rand.New(rand.NewPCG(seed, uint64(i)))),
			applied: map[key]bool{}, last: map[wire.NodeID]key{},
		})
	}
	for _, h := range s.hosts {
		for _, o := range s.hosts {
			if o != h {
				h.m.Open(s.now, o.id, o.epoch, 0, s.now)
			}
		}
	}
	return s
}

// sealed appends a trailer without a tag.
func sealed(b []byte, epoch uint64, seq uint32) []byte {
	return append(wire.AppendTrailer(b, epoch, seq), make([]byte, wire.TagSize)...)
}

// live has a host send a packet of records.
func (s *segment) live(h *host) {
	r := wire.Record{InfoHash: wire.InfoHash{1: 1}, Peer: wire.Peer{10: 255, 11: 255, 12: 1, 17: 1}}
	b := wire.AppendLive4(nil, h.id)
	for range wire.MaxKeyed4 {
		b = r.Append4(b)
	}
	b = sealed(b, h.epoch, h.next)
	s.sent[key{h.id, h.epoch, h.next}] = s.now
	h.m.Sent(s.now, h.epoch, h.next, b)
	h.next++
	h.bytes[liveBytes] += len(b)
	s.send(h, b)
}

// discard has a host use up a number for nothing.
func (s *segment) discard(h *host) {
	h.m.Discarded(s.now, h.epoch, h.next)
	h.next++
}

func (s *segment) state(h *host) {
	st := wire.State{Next: [wire.Spaces]uint32{h.next}}
	s.sendControl(h, st.Append(nil, h.id))
}

func (s *segment) bye(h *host) {
	y := wire.Bye{Next: h.next}
	s.sendControl(h, y.Append(nil, h.id))
	h.dead = true
}

// restart gives a host a new epoch, and everybody hears of it.
func (s *segment) restart(h *host) {
	h.epoch, h.next, h.dead = h.epoch+1, 0, false
	h.m = New(h.id, h.m.store.rng)
	h.last = map[wire.NodeID]key{}
	for _, o := range s.hosts {
		if o != h {
			h.m.Open(s.now, o.id, o.epoch, o.next, s.now)
			o.m.Open(s.now, h.id, h.epoch, 0, s.now)
			s.drain(o)
		}
	}
}

func (s *segment) sendControl(h *host, b []byte) {
	b = sealed(b, h.epoch, h.control)
	h.control++
	h.bytes[controlBytes] += len(b)
	s.send(h, b)
}

func (s *segment) send(from *host, b []byte) {
	p, err := wire.ParsePacket(b)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.say != nil {
		s.say(from, "> "+s.describe(&p))
	}
	for _, to := range s.hosts {
		if to == from || to.dead {
			continue
		}
		for _, d := range s.fate(from, to, &p) {
			s.flown++
			s.flying = append(s.flying, flying{s.now.Add(d), s.flown, from, to, b})
		}
	}
}

// hear delivers a packet.
func (s *segment) hear(h *host, b []byte) {
	p, err := wire.ParsePacket(b)
	if err != nil || h.dead {
		return
	}
	switch p.Kind {
	case wire.KindLive4:
		v := h.m.Data(s.now, p.From, p.Epoch, p.Seq, b)
		if v == Apply {
			s.apply(h, b)
		}
		if s.say != nil && v != Apply {
			s.say(h, fmt.Sprintf("%s %s's %d", v, s.name(p.From), p.Seq))
		}
	case wire.KindState:
		st, _ := p.State(nil)
		h.m.State(s.now, p.From, p.Epoch, st.Next[wire.SpaceData])
	case wire.KindBye:
		y, _ := p.Bye()
		h.m.Bye(s.now, p.From, p.Epoch, y.Next)
	case wire.KindNack:
		n, _ := p.Nack(nil)
		h.m.Nack(s.now, &n)
	case wire.KindGone:
		g, _ := p.Gone(nil)
		h.m.Gone(s.now, p.From, &g)
	case wire.KindPromise:
		pr, _ := p.Promise(nil)
		h.m.Promise(s.now, &pr)
	}
	s.drain(h)
	if h.m.store.held > maxHeld {
		s.t.Fatalf("%s holds %d packets", h.name, h.m.store.held)
	}
}

// drain applies what was held, and notes what was given up.
func (s *segment) drain(h *host) {
	for b, _ := h.m.Ready(s.now); b != nil; b, _ = h.m.Ready(s.now) {
		s.apply(h, b)
	}
	for _, since, lost := h.m.Lost(); lost; _, since, lost = h.m.Lost() {
		h.cuts = append(h.cuts, since)
		if s.say != nil {
			s.say(h, fmt.Sprintf("has lost something since %s", s.clock(since)))
		}
	}
}

// apply checks that a packet comes once and in order.
func (s *segment) apply(h *host, b []byte) {
	p, err := wire.ParsePacket(b)
	if err != nil || p.Len() != wire.MaxKeyed4 {
		s.t.Fatalf("%s applies garbage: %v", h.name, err)
	}
	k := key{p.From, p.Epoch, p.Seq}
	last, some := h.last[p.From]
	if h.applied[k] || some && (k.epoch < last.epoch || k.epoch == last.epoch && k.seq <= last.seq) {
		s.t.Fatalf("%s applies %+v after %+v", h.name, k, last)
	}
	h.applied[k], h.last[p.From] = true, k
	h.delays = append(h.delays, s.now.Sub(s.sent[k]))
	if s.say != nil {
		s.say(h, fmt.Sprintf("applies %s's %d", s.name(p.From), p.Seq))
	}
}

// step sends what is due now, and reports whether there was anything.
func (s *segment) step(h *host) (more bool) {
	if h.dead {
		return false
	}
	b, kind := h.m.Control(s.now, nil)
	s.drain(h)
	if kind != wire.KindEmpty {
		if kind == wire.KindNack {
			h.nacks++
		}
		s.sendControl(h, b)
		return true
	}
	if b := h.m.Resend(s.now); b != nil {
		h.resent = append(h.resent, s.now)
		h.bytes[againBytes] += len(b)
		s.send(h, bytes.Clone(b))
		return true
	}
	return false
}

// run lets time pass.
func (s *segment) run(d time.Duration) {
	end := s.now.Add(d)
	for range 50_000 {
		for _, h := range s.hosts {
			for range 1000 {
				if !s.step(h) {
					break
				}
			}
		}
		next := end
		for _, f := range s.flying {
			next = earlier(next, f.at)
		}
		for _, h := range s.hosts {
			if due := earlier(h.m.ControlDue(), h.m.ResendDue()); !h.dead && !due.IsZero() {
				next = earlier(next, due)
			}
		}
		if next.After(s.now) {
			s.now = next
		}
		s.arrive()
		if !s.now.Before(end) {
			return
		}
	}
	s.t.Fatalf("somebody is due again and again")
}

// arrive delivers what is due, in the order in which it is.
func (s *segment) arrive() {
	var due []flying
	s.flying = slices.DeleteFunc(s.flying, func(f flying) bool {
		if f.at.After(s.now) {
			return false
		}
		due = append(due, f)
		return true
	})
	slices.SortFunc(due, func(a, b flying) int {
		return 2*a.at.Compare(b.at) + int(min(max(int64(a.order)-int64(b.order), -1), 1))
	})
	for _, f := range due {
		s.hear(f.to, f.pkt)
	}
}

func (s *segment) name(id wire.NodeID) string {
	for _, h := range s.hosts {
		if h.id == id {
			return h.name
		}
	}
	return id.String()
}

func (s *segment) clock(t time.Time) string { return fmt.Sprintf("%.3f", t.Sub(begin).Seconds()) }

// describe says what a packet says.
func (s *segment) describe(p *wire.Packet) string {
	spans := func(ranges []wire.Range) (text string) {
		for _, r := range ranges {
			if r.First == r.Last {
				text += fmt.Sprintf(" %d", r.First)
			} else {
				text += fmt.Sprintf(" %d-%d", r.First, r.Last)
			}
		}
		return text
	}
	switch p.Kind {
	case wire.KindState:
		st, _ := p.State(nil)
		return fmt.Sprintf("STATE next %d", st.Next[wire.SpaceData])
	case wire.KindBye:
		y, _ := p.Bye()
		return fmt.Sprintf("BYE next %d", y.Next)
	case wire.KindNack:
		n, _ := p.Nack(nil)
		origin := ""
		if n.Origin {
			origin = ", nobody else"
		}
		return fmt.Sprintf("NACK to %s%s:%s", s.name(n.Target), origin, spans(n.Ranges))
	case wire.KindGone:
		g, _ := p.Gone(nil)
		return fmt.Sprintf("GONE for %d ms:%s", g.Age, spans(g.Ranges))
	case wire.KindPromise:
		pr, _ := p.Promise(nil)
		return fmt.Sprintf("PROMISE for %s:%s", s.name(pr.Sender), spans(pr.Ranges))
	}
	return fmt.Sprintf("%s's %d", s.name(p.From), p.Seq)
}
