package repair

import (
	"math/rand/v2"
	"time"

	"starling/wire"
)

const (
	// maxHeld is how many packets may wait behind gaps, of all senders together: 8 MiB.
	maxHeld = 8 << 20 / wire.MaxUnfragmented
	// maxSpare is how many unused buffers are kept for the next packets.
	maxSpare = 256
)

// packet is a copy of a datagram. It has no pointers, so that the collector does not look into it.
type packet struct {
	n  int
	at int64 // when it arrived, by the store's clock
	b  [wire.MaxUnfragmented]byte
}

func (p *packet) bytes() []byte { return p.b[:p.n] }

// store is what the windows share: buffers, the bound of what they hold, and randomness.
type store struct {
	spare []*packet
	held  int // packets that wait behind gaps
	rng   *rand.Rand
	began time.Time // what its clock counts from
}

// clock returns a time in nanoseconds, as packets have it, which the system's clock does not move when it is set.
func (s *store) clock(now time.Time) int64 {
	if s.began.IsZero() {
		s.began = now
	}
	return int64(now.Sub(s.began))
}

// get returns a copy of pkt, which must fit.
func (s *store) get(pkt []byte) *packet {
	var p *packet
	if n := len(s.spare); n > 0 {
		p, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		p = new(packet)
	}
	p.n = copy(p.b[:], pkt)
	return p
}

// put takes a buffer back.
func (s *store) put(p *packet) {
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, p)
	}
}

// upTo returns a random duration below d.
func (s *store) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }
