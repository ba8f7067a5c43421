package seal

// windowSize is how far behind the highest a sequence may come and still be told apart from one that was seen.
const windowSize = 4096

// Window remembers which sequences of a space were seen. The zero value has seen none.
type Window struct {
	bits [windowSize / 64]uint64 // of the sequences in [next-windowSize, next), each at its place modulo windowSize
	low  uint64                  // all below were seen, or count as such
	next uint64                  // one above the highest that was seen
}

// Start makes all sequences below seq count as seen.
func (w *Window) Start(seq uint32) { *w = Window{low: uint64(seq), next: uint64(seq)} }

// Fresh reports whether a sequence was not seen before, and remembers it. What lies further back than the window counts as seen.
func (w *Window) Fresh(seq uint32) bool {
	s := uint64(seq)
	if s < w.low || s+windowSize < w.next {
		return false
	}
	if s >= w.next {
		w.clear(w.next, s)
		w.next = s + 1
	}
	word, bit := &w.bits[s/64%uint64(len(w.bits))], uint64(1)<<(s%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// clear forgets what stood at the places of sequences first to last.
func (w *Window) clear(first, last uint64) {
	if last-first >= windowSize {
		w.bits = [len(w.bits)]uint64{}
		return
	}
	for s := first; s <= last; s++ {
		w.bits[s/64%uint64(len(w.bits))] &^= 1 << (s % 64)
	}
}
