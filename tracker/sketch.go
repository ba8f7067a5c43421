package tracker

import (
	"math/rand/v2"

	"starling/wire"
)

// sketchSums is how many sums a sketch has: the groups of all rounds.
const sketchSums = wire.SketchGroup * wire.SketchGroups

// sketch is what a shard adds to the answer to "do two trackers hold the same peers?". A keyed hash of (info hash, peer, role)
// chooses one of the sums, and whether the peer counts +1 or -1 in it. So the sums of two trackers differ by those peers only that one
// of them has, or has in another role, and each such peer moves the difference of one sum one step up or down, by chance: its square
// is on average the number of them, and so is the sum of all squares the number of all that differ (Alon, Matias and Szegedy, "The space complexity
// of approximating the frequency moments"). With 256 sums the standard error is 9 % of it, and less when few differ.
//
// A sum changes when a peer comes, leaves or changes its role, not when it announces again.
type sketch struct {
	key  *sketchKey
	sums [sketchSums]int32
}

// sketchKey is the same on all nodes that are compared. Whoever chooses addresses and info hashes without knowing it cannot choose
// peers that cancel out.
type sketchKey struct {
	torrent, peer hashKey
	mixed         [2]uint64 // factors of the two hashes
	seeder        uint64
}

func newSketchKey(secret *[32]byte) *sketchKey {
	rng := rand.NewChaCha8(*secret)
	k := &sketchKey{torrent: newHashKey(rng), peer: newHashKey(rng)}
	k.mixed = [2]uint64{rng.Uint64() | 1, rng.Uint64() | 1}
	k.seeder = rng.Uint64()
	return k
}

// hash returns the hash of a peer of a torrent, whose words are given as they lie in a block of that table.
func (k *sketchKey) hash(h *wire.InfoHash, table int, words []uint64) uint32 {
	sum := k.mixed[0]*uint64(k.torrent.infoHash(h)) + k.mixed[1]*uint64(k.peer.peer(words))
	if table&roleBit != 0 {
		sum += k.seeder
	}
	return mix(sum)
}

// add counts a peer n times, which is 1 or -1.
func (s *sketch) add(h *wire.InfoHash, table int, words []uint64, n int32) {
	hash := s.key.hash(h, table, words)
	if hash>>31 != 0 {
		n = -n
	}
	s.sums[hash%sketchSums] += n
}

// came counts a peer that was put into a table of a torrent.
func (s *shard) came(r *torrent, table int, words []uint64) {
	s.peers[table]++
	if s.sketch != nil {
		s.sketch.add(&r.hash, table, words, 1)
	}
}

// left counts a peer that was taken out of one.
func (s *shard) left(r *torrent, table int, words []uint64) {
	s.peers[table]--
	if s.sketch != nil {
		s.sketch.add(&r.hash, table, words, -1)
	}
}

// Sketch returns one group of the sums by which other nodes see how many peers they hold differently: below
// [wire.SketchGroups]. They are zeros without [Config.SketchKey].
func (t *Tracker) Sketch(group int) (sums [wire.SketchGroup]int32) {
	for i := range t.shards {
		s := &t.shards[i]
		if s.sketch == nil {
			return sums
		}
		s.mu.Lock()
		for j := range sums {
			sums[j] += s.sketch.sums[group*wire.SketchGroup+j]
		}
		s.mu.Unlock()
	}
	return sums
}
