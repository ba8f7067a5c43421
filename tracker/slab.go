package tracker

import "math/bits"

const (
	chunkBits  = 11
	chunkWords = 1 << chunkBits              // 16 KiB: a size that Go's allocator hands out without waste
	chunkBytes = chunkWords*8 + chunkWords/8 // with the marks of its runs
	refBits    = 32 - countBits              // of a block's place in a slot

	// The words of a block: 1 to 16 by one, then 8 sizes for each doubling, up to 384: room for a
	// full block of IPv6 peers. Class c of free runs has those of classSize(c) words or more, but fewer than classSize(c+1).
	classes = 52
)

// slab hands out blocks of words from chunks that never move. The owner knows a block's size from what lies in it, so
// that a block has no header. What is free lies in runs, as long as they can be: no two runs are neighbours.
//
//	first word of a run   size 12 | next 26 | previous 26   neighbours in the list of its class, each one more than the
//	                                                        place of its first word, 0: none
//	last word of a run    size 12 | anything
//	ends, a bit a word    set for the first and the last word of each run
//
// A block is cut from the front of a run of the smallest class that surely has room, and joined with the
// runs before and behind it when it is released (Masmano and others, "TLSF: a new dynamic memory allocator for
// real-time systems"). Both cost a few memory accesses, however large the slab is. The runs of a chunk that is being emptied
// (see compact.go) are marked, but in no list.
type slab struct {
	chunks  []chunk
	vacant  []uint32        // numbers of chunks that were given back
	leaving int             // chunks that are being emptied
	max     uint32          // words the chunks may hold in all
	mem     *allowance      // from which chunks are taken; nil: there is no limit
	used    uint32          // words in blocks
	filled  uint64          // bit c is set when class c has a run
	first   [classes]uint32 // one more than the place of the first run of a class, 0: none
}

// chunk has pointers to both arrays, so that each has a size that is not rounded up. They are nil in one that was given back.
type chunk struct {
	words   *[chunkWords]uint64
	ends    *[chunkWords / 64]uint64
	used    uint16 // words in blocks
	leaving bool   // no block is put here, and those that are here go elsewhere
}

// classOf returns the smallest class of which every run has room for that many words, at least 1.
func classOf(words int) int {
	e := max(bits.Len(uint(words-1))-4, 0)
	return e*8 + (words-1)>>e
}

// classSize returns the smallest number of words in a run of a class.
func classSize(c int) int {
	if c < 16 {
		return c + 1
	}
	e := c/8 - 1
	return (c - e*8 + 1) << e
}

// blockSize returns how many words a block for that many words has.
func blockSize(words int) int {
	if words == 0 {
		return 0
	}
	return classSize(classOf(words))
}

// words returns n words from place ref on, all in one block.
func (s *slab) words(ref uint32, n int) []uint64 {
	return s.chunks[ref>>chunkBits].words[ref%chunkWords:][:n]
}

// alloc returns the place of a block for that many words. It fails when the slab must not grow further.
func (s *slab) alloc(words int) (ref uint32, ok bool) {
	class := classOf(words)
	for s.filled>>class == 0 {
		if !s.grow() && !s.stayAny() {
			return 0, false
		}
	}
	ref = s.first[class+bits.TrailingZeros64(s.filled>>class)] - 1
	n, size := s.unlink(ref), uint32(classSize(class))
	if n > size {
		s.link(ref+size, n-size)
	}
	s.used += size
	s.chunks[ref>>chunkBits].used += uint16(size)
	return ref, true
}

// release takes back a block for that many words.
func (s *slab) release(ref uint32, words int) { s.trim(ref, words, 0) }

// trim makes a block for n words one for fewer, where it lies. Its content stays.
func (s *slab) trim(ref uint32, n, fewer int) {
	keep := uint32(blockSize(fewer))
	size := uint32(blockSize(n)) - keep
	if size == 0 {
		return
	}
	ref += keep
	s.used -= size
	c := &s.chunks[ref>>chunkBits]
	c.used -= uint16(size)
	if ref%chunkWords != 0 && s.isEnd(ref-1) {
		before := s.size(ref - 1)
		ref -= before
		size += s.unlink(ref)
	}
	if behind := ref + size; behind%chunkWords != 0 && s.isEnd(behind) {
		size += s.unlink(behind)
	}
	s.link(ref, size)
	if c.leaving && c.used == 0 {
		s.vacate(ref >> chunkBits)
	}
}

// grow adds a chunk, one free run, if there may be one more.
func (s *slab) grow() bool {
	if s.held()*chunkWords >= s.max || !s.mem.take(blocksHeld) {
		return false
	}
	i := uint32(len(s.chunks))
	if last := len(s.vacant) - 1; last >= 0 {
		i, s.vacant = s.vacant[last], s.vacant[:last]
	} else {
		s.chunks = append(s.chunks, chunk{})
	}
	s.chunks[i] = chunk{words: new([chunkWords]uint64), ends: new([chunkWords / 64]uint64)}
	s.link(i<<chunkBits, chunkWords)
	return true
}

// held returns how many chunks there are.
func (s *slab) held() uint32 { return uint32(len(s.chunks) - len(s.vacant)) }

// Fields of a run's first word.
const (
	runBits  = 12
	linkBits = 26
	runMask  = 1<<runBits - 1
	linkMask = 1<<linkBits - 1
)

// size returns the length of the run that has its first or last word at ref.
func (s *slab) size(ref uint32) uint32 { return uint32(*s.word(ref) & runMask) }

func (s *slab) word(ref uint32) *uint64 {
	return &s.chunks[ref>>chunkBits].words[ref%chunkWords]
}

func (s *slab) isEnd(ref uint32) bool {
	return s.chunks[ref>>chunkBits].ends[ref%chunkWords/64]>>(ref%64)&1 != 0
}

// flip marks the first or last word of a run, or unmarks it.
func (s *slab) flip(ref uint32) {
	s.chunks[ref>>chunkBits].ends[ref%chunkWords/64] ^= 1 << (ref % 64)
}

// runClass returns the class of a run.
func runClass(size uint32) int {
	if size >= uint32(classSize(classes-1)) {
		return classes - 1
	}
	return classOf(int(size)+1) - 1
}

// link makes a run of words that are neither in a block nor in a run.
func (s *slab) link(ref, size uint32) {
	last := ref + size - 1
	*s.word(last) = uint64(size)
	*s.word(ref) = uint64(size)
	s.flip(ref)
	if last != ref {
		s.flip(last)
	}
	if !s.chunks[ref>>chunkBits].leaving {
		s.list(ref, size)
	}
}

// unlink takes a run away, the words of which will be in a block or in a longer run, and returns its size.
func (s *slab) unlink(ref uint32) (size uint32) {
	if s.chunks[ref>>chunkBits].leaving {
		size = s.size(ref)
	} else {
		size = s.unlist(ref)
	}
	s.flip(ref)
	if size > 1 {
		s.flip(ref + size - 1)
	}
	return size
}

// list puts a run at the front of the list of its class.
func (s *slab) list(ref, size uint32) {
	class := runClass(size)
	next := s.first[class]
	s.first[class] = ref + 1
	s.filled |= 1 << class
	if next != 0 {
		*s.word(next - 1) |= uint64(ref+1) << (runBits + linkBits)
	}
	*s.word(ref) = uint64(size) | uint64(next)<<runBits
}

// unlist takes a run out of the list of its class and returns its size.
func (s *slab) unlist(ref uint32) (size uint32) {
	w := *s.word(ref)
	size = uint32(w & runMask)
	next, previous := uint32(w>>runBits&linkMask), uint32(w>>(runBits+linkBits))
	if next != 0 {
		*s.word(next - 1) = *s.word(next - 1)&(1<<(runBits+linkBits)-1) | uint64(previous)<<(runBits+linkBits)
	}
	if previous != 0 {
		*s.word(previous - 1) = *s.word(previous - 1)&^(linkMask<<runBits) | uint64(next)<<runBits
	} else {
		class := runClass(size)
		s.first[class] = next
		if next == 0 {
			s.filled &^= 1 << class
		}
	}
	return size
}

// bytes returns the memory the slab holds.
func (s *slab) bytes() uint64 {
	return uint64(s.held())*chunkBytes + uint64(cap(s.chunks))*24 + uint64(cap(s.vacant))*4
}
