package tracker

import (
	"encoding/binary"

	"starling/wire"
)

// slot is where the peers of one table are: the number of a block's first word in the upper bits, the number
// of peers in the lower ones. The number [inDirectory] says that the upper bits are the number
// of a directory. The zero slot is a table without peers.
type slot uint32

const (
	countBits   = 7
	inDirectory = 1<<countBits - 1
	maxBlock    = inDirectory - 1 // peers in a block at most

	// A table of more than blockPeers gets a directory, which goes when foldPeers are left. A block in
	// a directory is split when there are more than bucketPeers for each, and two are joined when
	// there are fewer than thinPeers for each. The distances keep a peer that comes and goes from moving others each time.
	blockPeers  = 64
	foldPeers   = 32
	bucketPeers = 24
	thinPeers   = 16
)

func blockSlot(ref uint32, n int) slot { return slot(ref<<countBits | uint32(n)) }

func (t slot) ref() uint32       { return uint32(t >> countBits) }
func (t slot) count() int        { return int(t & inDirectory) }
func (t slot) isDirectory() bool { return t&inDirectory == inDirectory }

// peer is a peer as it lies in a block: IPv4 peers are the last word alone.
//
//	IPv6   address, upper half 64 | address, lower half 64 | 0 32         | port 16 | meta 16
//	IPv4                                                     address 32   | port 16 | meta 16
type peer [3]uint64

func peerOf(p *wire.Peer) (q peer) {
	q[2] = binary.BigEndian.Uint64(p[10:]) << metaBits // the two bytes before an IPv4 address fall out
	if !p.Is4() {
		q = peer{binary.BigEndian.Uint64(p[0:]), binary.BigEndian.Uint64(p[8:]), q[2] & (1<<32 - 1)}
	}
	return q
}

// words returns the w words of a peer that lie in a block.
func (p *peer) words(w int) []uint64 { return p[3-w:] }

// is reports whether the words in a block are those of p, whatever their meta bits.
func (p *peer) is(words []uint64) bool {
	if words[len(words)-1]>>metaBits != p[2]>>metaBits {
		return false
	}
	return len(words) == 1 || words[0] == p[0] && words[1] == p[1]
}

// in returns where in a block the word with the meta bits of p is, -1 when the block does not have p.
func (p *peer) in(block []uint64, w int) int {
	key := p[2] >> metaBits
	for i := w - 1; i < len(block); i += w {
		if block[i]>>metaBits == key && (w == 1 || block[i-2] == p[0] && block[i-1] == p[1]) {
			return i
		}
	}
	return -1
}

// swarms holds the peer tables of a shard. The number of words a peer has in a table is given as w.
type swarms struct {
	key         hashKey
	slab        slab
	directories []directory
	spare       []uint32 // numbers of unused directories
	places      int      // for blocks, in all directories
	keep        uint32   // directories from this number on are to get another; 0: all keep theirs
}

// block returns the words of a block.
func (s *swarms) block(t slot, w int) []uint64 {
	if t == 0 {
		return nil
	}
	return s.slab.words(t.ref(), t.count()*w)
}

// blocks returns the blocks of a table, which is given as a slice so that one without a directory is its own only block.
func (s *swarms) blocks(table []slot) []slot {
	if table[0].isDirectory() {
		return s.directories[table[0].ref()].blocks
	}
	return table
}

// count returns how many peers a table has.
func (s *swarms) count(t slot) int {
	if t.isDirectory() {
		return s.directories[t.ref()].peers
	}
	return t.count()
}

// find returns the word of a peer that holds its meta bits, nil when the table does not have the peer.
// It is good until the table changes.
func (s *swarms) find(t slot, w int, p *peer) *uint64 {
	if t.isDirectory() {
		t = *s.place(&s.directories[t.ref()], p.words(w))
	}
	block := s.block(t, w)
	if i := p.in(block, w); i >= 0 {
		return &block[i]
	}
	return nil
}

// placing is what became of a peer that was to be stored.
type placing uint8

const (
	placed  placing = iota
	sampled         // it is not in the sample that the table keeps
	noRoom
)

// insert adds a peer that the table does not have, with the meta bits it brings.
// Unless the peer is placed the table has the same peers as before.
func (s *swarms) insert(t *slot, w int, p *peer) placing {
	if !t.isDirectory() && t.count() >= blockPeers {
		s.spread(t, w)
	}
	if !t.isDirectory() {
		if !s.push(t, w, p) {
			return noRoom
		}
		return placed
	}
	d, hash := &s.directories[t.ref()], s.key.peer(p.words(w))
	if outside(hash, d.sample.keeps) {
		return sampled
	}
	block := &d.blocks[linear(hash, uint32(len(d.blocks)))]
	if !s.push(block, w, p) {
		if s.slab.mem == nil || d.size() < sampleLeast {
			return noRoom
		}
		if d.tighten(); outside(hash, d.sample.keeps) {
			return sampled
		}
		return noRoom
	}
	d.peers++
	d.grown(*block)
	d.note(hash, 1)
	if d.peers > len(d.blocks)*bucketPeers {
		s.split(d, w)
	}
	return placed
}

// remove takes a peer out of a table and returns its meta bits; ok is false when the table does not have it.
func (s *swarms) remove(t *slot, w int, p *peer) (meta uint64, ok bool) {
	if !t.isDirectory() {
		return s.pull(t, w, p)
	}
	d := &s.directories[t.ref()]
	hash := s.key.peer(p.words(w))
	meta, ok = s.pull(&d.blocks[linear(hash, uint32(len(d.blocks)))], w, p)
	if ok {
		d.peers--
		d.note(hash, -1)
		if d.swept == 0 && d.thin() {
			s.join(d, w)
		}
		s.fold(t, w)
	}
	return meta, ok
}

// push appends a peer to a block.
func (s *swarms) push(t *slot, w int, p *peer) bool {
	n := t.count()
	if n == maxBlock {
		return false
	}
	if n == 0 || blockSize(n*w) < (n+1)*w {
		ref, ok := s.slab.alloc((n + 1) * w)
		if !ok {
			return false
		}
		copy(s.slab.words(ref, n*w), s.block(*t, w))
		s.drop(*t, w)
		*t = blockSlot(ref, n)
	}
	*t++
	copy(s.block(*t, w)[n*w:], p.words(w))
	return true
}

// pull takes a peer out of a block; the last one takes its place.
func (s *swarms) pull(t *slot, w int, p *peer) (meta uint64, ok bool) {
	block := s.block(*t, w)
	i := p.in(block, w)
	if i < 0 {
		return 0, false
	}
	meta = block[i] & metaMask
	copy(block[i+1-w:i+1], block[len(block)-w:])
	s.cut(t, w, t.count()-1)
	return meta, true
}

// cut makes a block hold its first n peers only, in a smaller block when that saves memory.
func (s *swarms) cut(t *slot, w, n int) {
	block := s.block(*t, w)
	if blockSize(n*w) == blockSize(len(block)) {
		*t = blockSlot(t.ref(), n)
		return
	}
	kept, ok := s.store(block[:n*w], w)
	if ok {
		s.slab.release(t.ref(), len(block))
	} else {
		s.slab.trim(t.ref(), len(block), n*w)
		kept = blockSlot(t.ref(), n)
	}
	*t = kept
}

// store copies the words of some peers into a block of their own, none for no peers.
func (s *swarms) store(words []uint64, w int) (slot, bool) {
	if len(words) == 0 {
		return 0, true
	}
	ref, ok := s.slab.alloc(len(words))
	if !ok {
		return 0, false
	}
	copy(s.slab.words(ref, len(words)), words)
	return blockSlot(ref, len(words)/w), true
}

// drop gives a block back.
func (s *swarms) drop(t slot, w int) {
	if t != 0 {
		s.slab.release(t.ref(), t.count()*w)
	}
}

// bytes returns the memory of all tables.
func (s *swarms) bytes() uint64 { return s.slab.bytes() + uint64(s.directoryBytes()) }

// directoryBytes returns the memory of all directories.
func (s *swarms) directoryBytes() int64 {
	return int64(cap(s.directories))*directorySize + int64(s.places)*4
}
