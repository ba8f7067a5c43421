package access

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"starling/wire"
)

// Hashes is a set of info hashes that does not change. The nil set is empty.
type Hashes struct {
	sorted []wire.InfoHash
	index  []uint32 // for each prefix the number of the first hash that has it or a later one; one more at the end
	shift  uint     // of a hash's first 64 bits to its prefix
}

// perPrefix is how many hashes share a prefix on average, at most.
const perPrefix = 4

// fewHashes is how many are looked through one by one.
const fewHashes = 8

// NewHashes makes a set of hashes in any order, doubles and all. The slice is the set's from then on.
func NewHashes(all []wire.InfoHash) *Hashes {
	sortHashes(all, 0)
	all = slices.Compact(all)
	width := uint(bits.Len(uint(len(all)) / perPrefix))
	s := &Hashes{sorted: all, shift: 64 - width, index: make([]uint32, 1<<width+1)}
	n := 0
	for prefix := range s.index {
		for n < len(all) && s.prefix(&all[n]) < uint64(prefix) {
			n++
		}
		s.index[prefix] = uint32(n)
	}
	return s
}

// prefix returns the number of the prefix of a hash.
func (s *Hashes) prefix(h *wire.InfoHash) uint64 { return binary.BigEndian.Uint64(h[:]) >> s.shift }

// Has reports whether a hash is in the set.
func (s *Hashes) Has(h *wire.InfoHash) bool {
	if s == nil {
		return false
	}
	p := s.prefix(h)
	some := s.sorted[s.index[p]:s.index[p+1]]
	if len(some) > fewHashes {
		return search(some, h)
	}
	first := binary.LittleEndian.Uint64(h[4:])
	for i := range some {
		if e := &some[i]; binary.LittleEndian.Uint64(e[4:]) == first && *e == *h {
			return true
		}
	}
	return false
}

// search looks a hash up in sorted ones. A function that is handed over, as package slices wants it, would move h to the heap.
func search(some []wire.InfoHash, h *wire.InfoHash) bool {
	for len(some) > 0 {
		middle := len(some) / 2
		switch c := bytes.Compare(some[middle][:], h[:]); {
		case c == 0:
			return true
		case c < 0:
			some = some[middle+1:]
		default:
			some = some[:middle]
		}
	}
	return false
}

// Len returns how many hashes are in the set.
func (s *Hashes) Len() int {
	if s == nil {
		return 0
	}
	return len(s.sorted)
}

// Bytes returns the memory of the set.
func (s *Hashes) Bytes() int {
	if s == nil {
		return 0
	}
	return 20*cap(s.sorted) + 4*cap(s.index)
}

// radixLeast is how many hashes are worth the counting of a step of radix sort.
const radixLeast = 1 << 10

// sortHashes sorts hashes that are equal in the bytes before at, in place and by their bytes from there (American flag sort), since a copy of ten
// million would be as large as they are. It is called by itself at most twenty times deep.
func sortHashes(all []wire.InfoHash, at int) {
	if len(all) < radixLeast || at == len(wire.InfoHash{}) {
		slices.SortFunc(all, compareHashes)
		return
	}
	var next, end [256]int
	for i := range all {
		end[all[i][at]]++
	}
	sum := 0
	for b := range end {
		next[b] = sum
		sum += end[b]
		end[b] = sum
	}
	for b := range next {
		for next[b] < end[b] {
			i := next[b]
			to := int(all[i][at])
			if to != b {
				all[i], all[next[to]] = all[next[to]], all[i]
			}
			next[to]++
		}
	}
	for b, start := 0, 0; b < len(end); b++ {
		sortHashes(all[start:end[b]], at+1)
		start = end[b]
	}
}

func compareHashes(a, b wire.InfoHash) int {
	if c := cmpUint64(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])); c != 0 {
		return c
	}
	return bytes.Compare(a[8:], b[8:])
}

func cmpUint64(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
