package tracker

import (
	"encoding/binary"
	"math/rand/v2"

	"starling/wire"
)

// hashKey is the secret of a multilinear hash: a sum of 32-bit pieces, each
// times a random number of its own, of which the upper half counts. For any two different inputs
// every pair of results is equally likely (Lemire and Kaser, "Strongly universal string hashing is
// fast"), so whoever chooses the info hashes without knowing the key cannot make chains long.
type hashKey [6]uint64

func newHashKey(rng *rand.ChaCha8) (k hashKey) {
	for i := range k {
		k[i] = rng.Uint64()
	}
	return k
}

// infoHash hashes the name of a torrent.
func (k *hashKey) infoHash(h *wire.InfoHash) uint32 {
	sum := k[0] +
		k[1]*uint64(binary.BigEndian.Uint32(h[0:])) +
		k[2]*uint64(binary.BigEndian.Uint32(h[4:])) +
		k[3]*uint64(binary.BigEndian.Uint32(h[8:])) +
		k[4]*uint64(binary.BigEndian.Uint32(h[12:])) +
		k[5]*uint64(binary.BigEndian.Uint32(h[16:]))
	return uint32(sum >> 32)
}

// peer hashes address and port of a peer that is given as it lies in a block, one word or three.
func (k *hashKey) peer(words []uint64) uint32 {
	low := words[len(words)-1]
	sum := k[0] + k[1]*(low>>16&0xffff)
	if len(words) == 1 {
		return uint32((sum + k[2]*(low>>32)) >> 32)
	}
	const half = 1<<32 - 1
	sum += k[2]*(words[0]>>32) + k[3]*(words[0]&half) + k[4]*(words[1]>>32) + k[5]*(words[1]&half)
	return uint32(sum >> 32)
}

// linear is linear hashing's rule for n places: which place a hash belongs to.
// The places beyond the largest power of two are the upper halves of places that were split.
func linear(hash, n uint32) uint32 {
	top := topBit(n)
	if i := hash & (top<<1 - 1); i < n {
		return i
	}
	return hash & (top - 1)
}
