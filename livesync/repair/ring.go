package repair

import (
	"slices"
	"time"

	"starling/wire"
)

const (
	// ringSize is how many numbers of ours can be asked for again: at 1000 packets a second four seconds of them.
	ringSize = 4096
	// bound is how old a packet may be that is sent again: as old as one is that was missed by a receiver that did not hear two STATEs
	// either. Other nodes may have told of the same peers since; what is older comes with its age, by catching up, or would be
	// applied after them.
	bound = 3 * time.Second
	// justSent is how long after a packet was sent again it is not sent once more: those who asked at the same time have it.
	justSent = 30 * time.Millisecond
	// gonePause is how long a GONE waits for more to say after another.
	gonePause = 20 * time.Millisecond
)

// ring keeps what was sent, and knows what was discarded.
type ring struct {
	slots [ringSize]sent
	epoch uint64
	next  uint32    // above all numbers used up in epoch
	gone  wire.Gone // what the next GONE says
	due   time.Time // when it leaves
	last  time.Time // when the one before it left
}

// sent is a number that was used up.
type sent struct {
	epoch    uint64
	seq      uint32
	at       time.Time // zero: never
	repeated time.Time
	pkt      *packet // nil: discarded
	buffer   *packet // its room
}

// use returns the slot of a number that is used up now.
func (r *ring) use(now time.Time, epoch uint64, seq uint32) *sent {
	s := &r.slots[seq%ringSize]
	*s = sent{epoch: epoch, seq: seq, at: now, buffer: s.buffer}
	r.epoch, r.next = epoch, seq+1
	return s
}

// keep copies a packet that was sent.
func (r *ring) keep(now time.Time, epoch uint64, seq uint32, pkt []byte) {
	s := r.use(now, epoch, seq)
	if s.buffer == nil {
		s.buffer = new(packet)
	}
	s.pkt = s.buffer
	s.pkt.n = copy(s.pkt.b[:], pkt)
}

// find returns the slot of a number, nil when it is not in the ring.
func (r *ring) find(epoch uint64, seq uint32) *sent {
	if s := &r.slots[seq%ringSize]; s.epoch == epoch && s.seq == seq && !s.at.IsZero() {
		return s
	}
	return nil
}

// copies returns how often a packet is to be sent again.
func (s *sent) copies() int {
	if s.repeated.IsZero() {
		return 1
	}
	return 2 // once more was not enough
}

// asked takes in what another node misses. It calls again for each packet that is to be sent again, until that returns
// false because no more can be, and notes what has to be answered by a GONE.
func (r *ring) asked(now time.Time, epoch uint64, ranges []wire.Range, again func(seq uint32, copies int) bool) {
	visits := ringSize
	for _, a := range ranges {
		if epoch == r.epoch {
			if a.First >= r.next {
				continue
			}
			a.Last = min(a.Last, r.next-1)
			if r.next > ringSize && a.First < r.next-ringSize {
				old := wire.Range{First: a.First, Last: min(a.Last, r.next-ringSize-1)}
				r.lack(now, epoch, old, r.slots[r.next%ringSize].at)
				a.First = old.Last + 1
			}
		} else if a.Last-a.First >= ringSize {
			r.lack(now, epoch, a, time.Time{})
			continue
		}
		for seq := a.First; seq <= a.Last && visits > 0; seq++ {
			visits--
			switch s := r.find(epoch, seq); {
			case s == nil:
				r.lack(now, epoch, wire.Range{First: seq, Last: seq}, time.Time{})
			case s.pkt == nil || now.Sub(s.at) > bound:
				r.lack(now, epoch, wire.Range{First: seq, Last: seq}, s.at)
			case !s.repeated.IsZero() && now.Sub(s.repeated) < justSent:
			case !again(seq, s.copies()):
				return
			}
		}
	}
}

// lack notes that a GONE has to name a range, the first of which was lost at a time; zero: nobody knows any more.
func (r *ring) lack(now time.Time, epoch uint64, lost wire.Range, at time.Time) {
	g := &r.gone
	if len(g.Ranges) == 0 || g.Epoch != epoch { // of two epochs the later question is answered
		r.due = now
		if wait := r.last.Add(gonePause); wait.After(now) {
			r.due = wait
		}
		*g = wire.Gone{Epoch: epoch, Ranges: g.Ranges[:0]}
	}
	if !at.IsZero() {
		g.Age = max(g.Age, age(now, at))
	}
	for i := range g.Ranges {
		if have := &g.Ranges[i]; lost.First >= have.First && lost.First-have.First <= have.Last-have.First+1 {
			have.Last = max(have.Last, lost.Last)
			return
		}
	}
	if len(g.Ranges) < wire.MaxRanges {
		g.Ranges = append(g.Ranges, lost)
	}
}

// answer returns the GONE that is due, if one is. It is valid until the next call.
func (r *ring) answer(now time.Time) (wire.Gone, bool) {
	if len(r.gone.Ranges) == 0 || now.Before(r.due) {
		return wire.Gone{}, false
	}
	g := r.gone
	r.gone.Ranges, r.last = r.gone.Ranges[:0], now
	slices.SortFunc(g.Ranges, func(a, b wire.Range) int { return int(int64(a.First) - int64(b.First)) })
	return g, true
}

// age returns how long ago at was, in milliseconds, rounded up.
func age(now, at time.Time) uint32 {
	ms := (now.Sub(at) + time.Millisecond - 1).Milliseconds()
	return uint32(min(max(ms, 0), 1<<32-1))
}
