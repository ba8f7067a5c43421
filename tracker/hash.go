package tracker

import (
	"encoding/binary"
	"math/rand/v2"

	"starling/wire"
)

// hashKey is the secret of a multilinear hash: a sum of 32-bit pieces, each
// times a random number of its own (Lemire and Kaser, "Strongly universal string hashing is
// fast"), so whoever chooses the info hashes without knowing the key cannot choose any two that collide.
//
// That is a promise for pairs only. The sums of inputs that count up, as the ports of a client or the addresses of a
// network do, are evenly spaced, and for one key in some hundred all of them would fall into few places; [mix] scatters them.
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
	return mix(sum)
}

// peer hashes address and port of a peer that is given as it lies in a block, one word or three.
func (k *hashKey) peer(words []uint64) uint32 {
	low := words[len(words)-1]
	sum := k[0] + k[1]*(low>>16&0xffff)
	if len(words) == 1 {
		return mix(sum + k[2]*(low>>32))
	}
	const half = 1<<32 - 1
	sum += k[2]*(words[0]>>32) + k[3]*(words[0]&half) + k[4]*(words[1]>>32) + k[5]*(words[1]&half)
	return mix(sum)
}

// mix makes every bit of the result depend on every bit of a sum. It maps different sums to different numbers
// before the lower half is cut off.
func mix(sum uint64) uint32 {
	const odd = 0xd6e8feb86659fd93 // Wellons, "Prospecting for hash functions"; its own finishing steps are left out
	sum = (sum ^ sum>>32) * odd
	sum = (sum ^ sum>>32) * odd
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
