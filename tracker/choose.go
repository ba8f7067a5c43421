package tracker

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"

	"starling/wire"
)

const (
	// mostWanted is the most peers that an answer has, whatever [Config.MaxNumWant] says.
	mostWanted = 1024
	// A table is gone through whole when it has fewer peers than mostChoice, and fewer than drawFactor times those wanted.
	drawFactor = 4
	mostChoice = mostWanted * drawFactor
	// perDraw is how many peers a draw takes from its block. More saves memory accesses, fewer makes
	// it rarer that the same clients meet.
	perDraw = 4
	// maxDraws bounds the draws of one answer, which is to have mostDrawn peers at most: many blocks are drawn more than once then.
	maxDraws  = 128
	mostDrawn = perDraw * maxDraws / 2
)

// take appends want peers of a table, each choice of them as likely as any other
// (for large tables: each peer as likely as any other). The table has n peers besides skip,
// which is never taken and may be nil when the table does not have it.
func (s *swarms) take(b []byte, table []slot, w, want, n int, skip *peer, rng *rand.PCG) []byte {
	want = min(want, n)
	if table[0].isDirectory() && n >= want*drawFactor {
		d := &s.directories[table[0].ref()]
		if want <= mostDrawn {
			return s.draw(b, d, w, want, skip, rng)
		}
		if n >= mostChoice {
			return s.chooseSome(b, d, w, want, skip, rng)
		}
	}
	return s.choose(b, s.blocks(table), w, want, n, skip, rng)
}

// chooseSome chooses from some mostChoice peers of a large table, in blocks in a row, from a drawn one on.
func (s *swarms) chooseSome(b []byte, d *directory, w, want int, skip *peer, rng *rand.PCG) []byte {
	var room [mostChoice * 2 / thinPeers]slot
	some, n := room[:0], 0
	for i := int(d.draw(rng).place); len(some) < len(room) && n+d.blocks[i].count() < mostChoice; i = (i + 1) % len(d.blocks) {
		some = append(some, d.blocks[i])
		n += d.blocks[i].count()
	}
	if skip != nil && s.position(some, w, skip) < n {
		n--
	}
	return s.choose(b, some, w, min(want, n), n, skip, rng)
}

// choose takes want of the n peers besides skip in some blocks, fewer than mostChoice.
func (s *swarms) choose(b []byte, blocks []slot, w, want, n int, skip *peer, rng *rand.PCG) []byte {
	if want <= 0 {
		return b
	}
	hole := math.MaxInt // where skip is, as if the blocks were one
	if skip != nil {
		hole = s.position(blocks, w, skip)
	}
	if want >= n {
		return s.all(b, blocks, w, hole)
	}
	var room [mostChoice / 64]uint64
	chosen := room[:(n+63)/64]
	mark(chosen, want, n, rng)
	block := s.block(blocks[0], w)
	before := 0 // peers in the blocks before this one
	for i, set := range chosen {
		for ; set != 0; set &= set - 1 {
			at := i*64 + bits.TrailingZeros64(set) - before
			if at+before >= hole {
				at++
			}
			for at*w >= len(block) {
				at -= len(block) / w
				before += len(block) / w
				blocks = blocks[1:]
				block = s.block(blocks[0], w)
			}
			b = appendCompact(b, block[at*w:at*w+w])
		}
	}
	return b
}

// all takes all peers but the one in the hole.
func (s *swarms) all(b []byte, blocks []slot, w, hole int) []byte {
	for _, t := range blocks {
		for block := s.block(t, w); len(block) > 0; block = block[w:] {
			if hole != 0 {
				b = appendCompact(b, block[:w])
			}
			hole--
		}
	}
	return b
}

// position returns how many peers of a table are before p.
func (s *swarms) position(blocks []slot, w int, p *peer) (before int) {
	for _, t := range blocks {
		block := s.block(t, w)
		if i := p.in(block, w); i >= 0 {
			return before + i/w
		}
		before += len(block) / w
	}
	return before
}

// mark sets want of the first n bits of a set, each choice of them as likely as any other: first each bit with a probability that makes it about so
// many, 64 at a time, and then random ones are set or cleared until it is right. That treats all bits alike, and most of them at once.
func mark(set []uint64, want, n int, rng *rand.PCG) {
	quarters, marked := (want*4+n/2)/n, 0
	for i := range set {
		m := rng.Uint64()
		switch quarters {
		case 0:
			m = 0
		case 1:
			m &= rng.Uint64()
		case 3:
			m |= rng.Uint64()
		case 4:
			m = math.MaxUint64
		}
		m &= 1<<(n-i*64) - 1
		set[i] = m
		marked += bits.OnesCount64(m)
	}
	for marked != want {
		at := below(rng, n)
		m, bit := &set[at/64], uint64(1)<<(at%64)
		switch is := *m&bit != 0; {
		case !is && marked < want:
			*m |= bit
			marked++
		case is && marked > want:
			*m &^= bit
			marked--
		}
	}
}

// drawn is a block of which peers were taken already: some from the first one on, round its end.
type drawn struct {
	place        uint32
	first, taken uint8
}

// draw returns a random block, with a probability that is proportional to its peers, and a random one of those.
func (d *directory) draw(rng *rand.PCG) drawn {
	for {
		r := rng.Uint64()
		place := uint32(r >> 32 * uint64(len(d.blocks)) >> 32)
		first := uint8(r & (1<<32 - 1) * uint64(d.most) >> 32)
		if int(first) < d.blocks[place].count() {
			return drawn{place: place, first: first}
		}
	}
}

// draw takes peers from a few random blocks, a few of each, so that an answer costs the same whatever the size of the swarm. Of a block that is drawn
// again more are taken, so that every peer is as likely as any other.
func (s *swarms) draw(b []byte, d *directory, w, want int, skip *peer, rng *rand.PCG) []byte {
	var known [maxDraws]drawn
	draws := known[:0]
	for want > 0 && len(draws) < maxDraws {
		var one *drawn
		one, draws = again(draws, d.draw(rng))
		block := s.block(d.blocks[one.place], w)
		n := len(block) / w
		k := min(perDraw, want, n-int(one.taken))
		i := (int(one.first) + int(one.taken)) * w
		one.taken += uint8(k)
		for ; k > 0; k-- {
			if i >= len(block) {
				i -= len(block)
			}
			if words := block[i : i+w]; skip == nil || !skip.is(words) {
				b = appendCompact(b, words)
				want--
			}
			i += w
		}
	}
	return b
}

// again returns the entry of a block that was drawn before, or adds d.
func again(draws []drawn, d drawn) (*drawn, []drawn) {
	for i := range draws {
		if draws[i].place == d.place {
			return &draws[i], draws
		}
	}
	draws = append(draws, d)
	return &draws[len(draws)-1], draws
}

// below returns a random number of 0 to n - 1.
func below(rng *rand.PCG, n int) int {
	return int(rng.Uint64() >> 32 * uint64(n) >> 32)
}

// appendCompact appends a peer as it stands in an answer: 6 bytes or 18.
func appendCompact(b []byte, words []uint64) []byte {
	if len(words) == 1 {
		if n := len(b); cap(b)-n >= 8 { // two more are written, for it takes one step
			binary.BigEndian.PutUint64(b[n:n+8], words[0])
			return b[:n+wire.Compact4]
		}
		low := words[0]
		return append(b, byte(low>>56), byte(low>>48), byte(low>>40), byte(low>>32), byte(low>>24), byte(low>>16))
	}
	b = binary.BigEndian.AppendUint64(b, words[0])
	b = binary.BigEndian.AppendUint64(b, words[1])
	return binary.BigEndian.AppendUint16(b, uint16(words[2]>>metaBits))
}
