package tracker

// directory holds a table of many peers in blocks, by linear hashing as in [torrents].
type directory struct {
	blocks []slot // as many as there are places, in the order of linear hashing
	peers  int    // in all blocks
	swept  uint32 // blocks that the sweep going on has seen; meanwhile none are joined, lest one is passed over
	most   uint8  // no block has more peers
	next   uint8  // no block that the sweep going on has seen, and none that grew since, has more: what most becomes when it has seen all
	sample sampling
}

const directorySize = 56 // of a directory itself

// place returns the block a peer belongs to.
func (s *swarms) place(d *directory, words []uint64) *slot {
	return &d.blocks[linear(s.key.peer(words), uint32(len(d.blocks)))]
}

// thin reports whether there are few enough peers to join two blocks.
func (d *directory) thin() bool { return len(d.blocks) > 1 && d.peers < len(d.blocks)*thinPeers }

// grown takes note of a block that has become larger.
func (d *directory) grown(t slot) {
	n := uint8(t.count())
	d.most, d.next = max(d.most, n), max(d.next, n)
}

// spread gives a table a directory, whose first block is the one the table was.
func (s *swarms) spread(t *slot, w int) {
	var id uint32
	if n := len(s.spare); n > 0 {
		id = s.spare[n-1]
		s.spare = s.spare[:n-1]
	} else {
		id = uint32(len(s.directories))
		s.directories = append(s.directories, directory{})
	}
	d := &s.directories[id]
	*d = directory{blocks: []slot{*t}, peers: t.count(), most: uint8(t.count())}
	s.places++
	*t = slot(id<<countBits | inDirectory)
	for d.peers > len(d.blocks)*bucketPeers && s.split(d, w) {
	}
}

// fold takes the directory away from a table that has become small. A sweep that was inside begins anew with the block that is left.
func (s *swarms) fold(t *slot, w int) {
	id := t.ref()
	d := &s.directories[id]
	if d.peers > foldPeers || d.sample.counts > 0 && d.peers > 0 {
		return
	}
	for len(d.blocks) > 1 {
		if !s.join(d, w) {
			return
		}
	}
	*t = d.blocks[0]
	s.places -= cap(d.blocks)
	*d = directory{}
	s.spare = append(s.spare, id)
}

// split adds a block and fills it from the one whose upper half it is. Without room for it all stays as it was.
func (s *swarms) split(d *directory, w int) bool {
	added := uint32(len(d.blocks))
	from := &d.blocks[added-topBit(added)]
	block := s.block(*from, w)
	stay, end := 0, len(block) // what stays is moved to the front
	for stay < end {
		if linear(s.key.peer(block[stay:stay+w]), added+1) != added {
			stay += w
			continue
		}
		end -= w
		for i := range w {
			block[stay+i], block[end+i] = block[end+i], block[stay+i]
		}
	}
	moved, ok := s.store(block[stay:], w)
	if !ok {
		return false
	}
	s.cut(from, w, stay/w)
	s.places -= cap(d.blocks)
	d.blocks = append(d.blocks, moved)
	s.places += cap(d.blocks)
	return true
}

// join takes the last block away and puts its peers back into the one it was split from. It fails when that
// block would grow too large, or there is no room for it, and changes nothing then.
func (s *swarms) join(d *directory, w int) bool {
	last := uint32(len(d.blocks) - 1)
	from, to := d.blocks[last], &d.blocks[last-topBit(last)]
	n := to.count() + from.count()
	if n > maxBlock {
		return false
	}
	if from != 0 {
		ref, ok := s.slab.alloc(n * w)
		if !ok {
			return false
		}
		words := s.slab.words(ref, n*w)
		copy(words[copy(words, s.block(*to, w)):], s.block(from, w))
		s.drop(*to, w)
		s.drop(from, w)
		*to = blockSlot(ref, n)
		d.grown(*to)
	}
	d.blocks = d.blocks[:last]
	if cap(d.blocks) >= 64 && len(d.blocks) < cap(d.blocks)/4 {
		s.places -= cap(d.blocks)
		d.blocks = append(make([]slot, 0, len(d.blocks)), d.blocks...)
		s.places += cap(d.blocks)
	}
	return true
}
