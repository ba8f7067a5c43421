package tracker

import (
	"math"
	"math/bits"
	"slices"
)

// What peers and torrents leave is given back to the system. A chunk without any goes to the collector at the end of the next sweep, and so
// to the system some minutes later. After a peak there is a little left in each chunk, so chunks are emptied: at its beginning a sweep chooses the emptiest ones,
// as many as the others have room for what is in them, and when it comes by a block or record in one of those it moves that elsewhere.
//
//	used    [#.#.....] [########] [.#......] [###.####] [........]
//	sweep    leaving              leaving                empty
//	after              [########]            [########]                to the collector: 3 of 5
//
// That costs a sweep, which looks at each of them anyway, a copy of what moves, and whoever waits for a shard's lock no more than the pieces
// of the sweep. Nothing is moved unless at least an eighth of the chunks become free: peers that come and go move nothing.

// fillSteps is how finely the chunks are told apart by how full they are.
const fillSteps = 16

// census counts chunks by how full they are.
type census struct {
	size   uint64 // of a chunk
	used   uint64
	chunks int
	by     [fillSteps + 1]int
}

func (c *census) count(used uint64) {
	c.chunks++
	c.used += used
	c.by[used*fillSteps/c.size]++
}

// leavers chooses the chunks to be emptied, if it is worth while.
func (c *census) leavers() (l leavers) {
	needed := int(c.used*9/8/c.size) + 1
	surplus := c.chunks - needed
	if surplus*8 < c.chunks || surplus <= 0 {
		return leavers{}
	}
	l.size = c.size
	for surplus >= c.by[l.below] {
		surplus -= c.by[l.below]
		l.below++
	}
	l.more = surplus
	return l
}

// leavers says which chunks are to be emptied: those that are filled to fewer steps than below, and some more of those with as many.
type leavers struct {
	size  uint64
	below uint64
	more  int
}

// has reports whether a chunk is to be emptied. It is asked for each chunk once.
func (l *leavers) has(used uint64) bool {
	if l.size == 0 {
		return false
	}
	step := used * fillSteps / l.size
	if step == l.below && l.more > 0 {
		l.more--
		return true
	}
	return step < l.below
}

// leavers chooses which chunks are to be emptied.
func (s *slab) leavers() leavers {
	c := census{size: chunkWords}
	for i := range s.chunks {
		if s.chunks[i].words != nil {
			c.count(uint64(s.chunks[i].used))
		}
	}
	return c.leavers()
}

// settle gives chunk i back if it is empty, and else says whether it is to be emptied.
func (s *slab) settle(i uint32, l *leavers) {
	c := &s.chunks[i]
	if c.words == nil {
		return
	}
	leaving := l.has(uint64(c.used))
	switch {
	case c.used == 0:
		s.vacate(i)
	case leaving && !c.leaving:
		s.eachRun(i, func(ref uint32) { s.unlist(ref) })
		c.leaving = true
		s.leaving++
	case !leaving && c.leaving:
		s.stay(i)
	}
}

// stay makes a chunk that is being emptied one like the others.
func (s *slab) stay(i uint32) {
	s.chunks[i].leaving = false
	s.leaving--
	s.eachRun(i, func(ref uint32) { s.list(ref, s.size(ref)) })
}

// stayAny does so with one of those that are being emptied, if there are any: the slab may not grow and needs what is free in them.
func (s *slab) stayAny() bool {
	if s.leaving == 0 {
		return false
	}
	for i := range s.chunks {
		if s.chunks[i].leaving {
			s.stay(uint32(i))
			return true
		}
	}
	return false
}

// eachRun calls do with the place of each run of a chunk.
func (s *slab) eachRun(i uint32, do func(ref uint32)) {
	for at := uint32(0); at < chunkWords; {
		ends := s.chunks[i].ends[at/64] >> (at % 64)
		if ends == 0 {
			at = (at/64 + 1) * 64
			continue
		}
		ref := i<<chunkBits + at + uint32(bits.TrailingZeros64(ends))
		at = ref%chunkWords + s.size(ref)
		do(ref)
	}
}

// vacate gives a chunk without blocks back.
func (s *slab) vacate(i uint32) {
	if s.chunks[i].leaving {
		s.leaving--
	} else {
		s.unlist(i << chunkBits)
	}
	s.chunks[i] = chunk{}
	s.vacant = append(s.vacant, i)
	s.mem.give(blocksHeld)
}

// shorten forgets the numbers of vacant chunks behind the last one there is.
func (s *slab) shorten() {
	n := len(s.chunks)
	for n > 0 && s.chunks[n-1].words == nil {
		n--
	}
	if n == len(s.chunks) {
		return
	}
	s.chunks, s.vacant = clipped(s.chunks[:n]), under(s.vacant, n)
}

// under returns the numbers of a list that are less than n.
func under(list []uint32, n int) []uint32 {
	return clipped(slices.DeleteFunc(list, func(i uint32) bool { return int(i) >= n }))
}

// clipped returns a slice, or a copy that takes less memory when much of the slice is not used.
func clipped[T any](s []T) []T {
	switch {
	case len(s) == 0:
		return nil
	case len(s) < cap(s)/4:
		return append(make([]T, 0, len(s)), s...)
	}
	return s
}

// compaction is what a sweep does besides.
type compaction struct {
	slab, records leavers
	settled       uint32 // chunks of both that were settled
	looked        int    // chunks of both that were looked at in the end
}

// settleWork is what it is to settle a chunk, in blocks looked at.
const settleWork = 8

// compaction chooses what is to move.
func (s *shard) compaction() compaction {
	s.swarms.keep = 0
	if n := len(s.swarms.directories); n >= 64 && len(s.swarms.spare) > n/2 {
		s.swarms.listSpare()
		s.swarms.keep = uint32(n - len(s.swarms.spare))
	}
	return compaction{slab: s.swarms.slab.leavers(), records: s.torrents.leavers()}
}

// settle says of each chunk whether it is to be emptied, and reports whether it came to the end.
func (s *shard) settle() bool {
	at, slab := &s.sweep.compaction, &s.swarms.slab
	for n := uint32(len(slab.chunks)); at.settled < n+uint32(len(s.torrents.chunks)); at.settled++ {
		if s.sweep.work -= settleWork; s.sweep.work < 0 {
			return false
		}
		if at.settled < n {
			slab.settle(at.settled, &at.slab)
		} else {
			s.torrents.settle(at.settled-n, &at.records)
		}
	}
	at.settled = math.MaxUint32 / 2 // more chunks may come
	return true
}

// giveBack ends a sweep: what it has emptied is given back. It reports whether it came to the end.
func (s *shard) giveBack() bool {
	at, slab := &s.sweep.compaction, &s.swarms.slab
	for n := len(slab.chunks); at.looked < n+len(s.torrents.chunks); at.looked++ {
		if s.sweep.work--; s.sweep.work < 0 {
			return false
		}
		if i := at.looked; i < n {
			if c := &slab.chunks[i]; c.words != nil && c.used == 0 {
				slab.vacate(uint32(i))
			}
		} else if i -= n; s.torrents.records[i] != nil && s.torrents.chunks[i].used == 0 {
			s.torrents.vacate(uint32(i))
		}
	}
	slab.shorten()
	s.torrents.shorten()
	if s.swarms.keep != 0 {
		s.swarms.keep = 0
		s.swarms.listSpare()
	}
	return true
}

// renumber gives the directory of a table a lower number, if it is to get one.
func (s *swarms) renumber(t *slot) {
	last := len(s.spare) - 1
	if s.keep == 0 || !t.isDirectory() || t.ref() < s.keep || last < 0 || s.spare[last] >= t.ref() {
		return
	}
	to, from := s.spare[last], t.ref()
	s.spare = s.spare[:last]
	s.directories[to], s.directories[from] = s.directories[from], directory{}
	*t = slot(to<<countBits | inDirectory)
}

// listSpare lists the unused directories anew, so that the lowest numbers are taken first, and forgets those behind the last one in use.
func (s *swarms) listSpare() {
	n := len(s.directories)
	for n > 0 && s.directories[n-1].blocks == nil {
		n--
	}
	s.directories = clipped(s.directories[:n])
	s.spare = clipped(s.spare[:0])
	for i := n - 1; i >= 0; i-- {
		if s.directories[i].blocks == nil {
			s.spare = append(s.spare, uint32(i))
		}
	}
}

// relocate moves a block out of a chunk that is being emptied.
func (s *swarms) relocate(t *slot, w int) {
	if *t == 0 || !s.slab.chunks[t.ref()>>chunkBits].leaving {
		return
	}
	if s.slab.filled>>classOf(t.count()*w) == 0 {
		return // nowhere to go without a new chunk
	}
	moved, _ := s.store(s.block(*t, w), w)
	s.drop(*t, w)
	*t = moved
}
