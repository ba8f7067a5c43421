package tracker

import (
	"encoding/binary"
	"math/rand/v2"
)

// A table of many peers is sampled: of a few random blocks a few peers each are drawn, so that an answer costs the same whatever the size of the swarm.
const (
	// perDraw is how many peers a draw takes from its block. More saves memory accesses, fewer makes
	// it rarer that the same clients meet.
	perDraw = 4
	// maxDraws bounds the draws of one answer.
	maxDraws = 128
	// A table is gone through whole unless it has drawFactor times the peers wanted.
	drawFactor = 4
)

// take appends want peers of a table, each choice of them as likely as any other
// (for large tables: each peer as likely as any other). The table has n peers besides skip,
// which is never taken and may be nil when the table does not have it.
func (s *swarms) take(b []byte, table []slot, w, want, n int, skip *peer, rng *rand.PCG) []byte {
	blocks := s.blocks(table)
	if len(blocks) > 1 && n >= want*drawFactor && want <= perDraw*maxDraws/2 {
		return s.draw(b, blocks, w, want, skip, rng)
	}
	return s.choose(b, blocks, w, want, n, skip, rng)
}

// choose goes through all blocks and takes each peer with the probability that
// makes it want of n in the end (Knuth, The Art of Computer Programming, 3.4.2, algorithm S).
func (s *swarms) choose(b []byte, blocks []slot, w, want, n int, skip *peer, rng *rand.PCG) []byte {
	for _, t := range blocks {
		block := s.block(t, w)
		for i := w; i <= len(block); i += w {
			if want == 0 {
				return b
			}
			words := block[i-w : i]
			if skip != nil && skip.is(words) {
				continue
			}
			if want >= n || below(rng, n) < want {
				b = appendCompact(b, words)
				want--
			}
			n--
		}
	}
	return b
}

// drawn is a block of which peers were taken already: some from the first one on, round its end.
type drawn struct {
	place        uint32
	first, taken uint8
}

// draw takes peers from random blocks until there are enough. A block is drawn with a
// probability that is proportional to its peers, and more of it are taken when it is drawn again,
// so that every peer is as likely as any other.
func (s *swarms) draw(b []byte, blocks []slot, w, want int, skip *peer, rng *rand.PCG) []byte {
	var known [maxDraws]drawn
	draws := known[:0]
	for want > 0 && len(draws) < maxDraws {
		r := rng.Uint64()
		place := uint32(r >> 32 * uint64(len(blocks)) >> 32)
		first := uint8(r & (1<<32 - 1) * maxBlock >> 32)
		n := blocks[place].count()
		if int(first) >= n {
			continue
		}
		var d *drawn
		d, draws = again(draws, drawn{place: place, first: first})
		block := s.block(blocks[place], w)
		for range min(perDraw, want, n-int(d.taken)) {
			i := (int(d.first) + int(d.taken)) % n * w
			d.taken++
			if words := block[i : i+w]; skip == nil || !skip.is(words) {
				b = appendCompact(b, words)
				want--
			}
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
		low := words[0]
		return append(b, byte(low>>56), byte(low>>48), byte(low>>40), byte(low>>32), byte(low>>24), byte(low>>16))
	}
	b = binary.BigEndian.AppendUint64(b, words[0])
	b = binary.BigEndian.AppendUint64(b, words[1])
	return binary.BigEndian.AppendUint16(b, uint16(words[2]>>metaBits))
}
