package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math"

	"starling/wire"
)

// tagger makes and checks the tags of one (id, epoch).
type tagger struct {
	aead  cipher.AEAD
	nonce [12]byte // scratch, like tag: on the heap once, not for each packet
	tag   [wire.TagSize]byte
}

func newTagger(k *Key, id wire.NodeID, epoch uint64) tagger {
	key := k.sender(id, epoch)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("seal: " + err.Error()) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithTagSize(block, wire.TagSize)
	if err != nil {
		panic("seal: " + err.Error()) // only for tags of another length
	}
	return tagger{aead: aead}
}

func (t *tagger) setNonce(space wire.Space, seq uint32) {
	t.nonce[0] = byte(space)
	binary.BigEndian.PutUint32(t.nonce[8:], seq)
}

// verify reports whether the packet's tag is right.
func (t *tagger) verify(p *wire.Packet, space wire.Space) bool {
	t.setNonce(space, p.Seq)
	t.tag = p.Tag
	_, err := t.aead.Open(nil, t.nonce[:], t.tag[:], p.Sealed)
	return err == nil
}

// lastSeq is never used: before a space comes to it, another epoch begins.
const lastSeq = math.MaxUint32

// turnRoom is how many packets may still be sealed between [Sealer.Turn] and the end of a space: more than leave in a few seconds.
const turnRoom = 1 << 20

// Sealer seals the packets of one node. Its methods must not run at the same time.
type Sealer struct {
	key    Key
	id     wire.NodeID
	epoch  uint64
	next   [wire.Spaces]uint32
	tagger tagger
}

// NewSealer returns the sealer of a node that starts. No two starts of the same id may have the same epoch.
func NewSealer(key Key, id wire.NodeID, epoch uint64) *Sealer {
	return &Sealer{key: key, id: id, epoch: epoch, tagger: newTagger(&key, id, epoch)}
}

// ID returns whose packets are sealed.
func (s *Sealer) ID() wire.NodeID { return s.id }

// Epoch returns the present epoch.
func (s *Sealer) Epoch() uint64 { return s.epoch }

// Turn begins another epoch if a space comes to its end soon. It is called before a STATE is made, so that an epoch's first packet
// is a STATE, and what is sealed before the next one finds room.
func (s *Sealer) Turn() {
	for _, next := range s.next {
		if next > lastSeq-turnRoom {
			s.turn()
			return
		}
	}
}

// turn begins another epoch: all spaces start anew.
func (s *Sealer) turn() {
	s.epoch++
	s.next = [wire.Spaces]uint32{}
	s.tagger = newTagger(&s.key, s.id, s.epoch)
}

// Next returns the sequence that the next packet of a space gets, if no other epoch begins before.
func (s *Sealer) Next(space wire.Space) uint32 { return s.next[space] }

// Seal appends the trailer to a packet, which begins with a header of this node. It does not allocate when b has room for it.
func (s *Sealer) Seal(b []byte) []byte {
	space := wire.SpaceOf(b)
	seq := s.Burn(space)
	b = wire.AppendTrailer(b, s.epoch, seq)
	s.tagger.setNonce(space, seq)
	return s.tagger.aead.Seal(b, s.tagger.nonce[:], nil, b)
}

// Burn uses up a sequence and returns it: for the packet that is sealed, or for one that was discarded instead, so
// that the others see a gap. At the end of the space another epoch begins.
func (s *Sealer) Burn(space wire.Space) uint32 {
	if s.next[space] == lastSeq {
		s.turn()
	}
	seq := s.next[space]
	s.next[space]++
	return seq
}

// Skip makes a space go on at a sequence, if that is ahead. Tests come to the end of a space with it.
func (s *Sealer) Skip(space wire.Space, seq uint32) { s.next[space] = max(s.next[space], seq) }
