package tracker

import (
	"math/bits"
	"slices"
	"testing"

	"starling/wire"
)

// member is what the store knows of a peer, read out of its tables.
type member struct {
	seeder, partial, completed bool
}

// audit walks all that a tracker holds and fails the test when anything is not as the layout says: a record in the
// wrong chain, a peer in the wrong block, a word that is in two blocks or in none. It returns all torrents with their peers.
func audit(t *testing.T, tr *Tracker) map[wire.InfoHash]map[wire.Peer]member {
	t.Helper()
	all := map[wire.InfoHash]map[wire.Peer]member{}
	for i := range tr.shards {
		s := &tr.shards[i]
		owned := newOwners(&s.swarms.slab)
		used := 0
		var peers [tables]uint64
		for _, r := range auditTable(t, &s.torrents) {
			members := map[wire.Peer]member{}
			all[r.hash] = members
			for table := range r.peers {
				if r.peers[table].isDirectory() {
					used++
				}
				peers[table] += auditPeers(t, &s.swarms, r, table, owned, members)
			}
			n := uint32(0)
			for _, m := range members {
				if m.partial {
					n++
				}
			}
			if n != r.partial {
				t.Fatalf("torrent has %d partial seeds and counts %d", n, r.partial)
			}
		}
		auditSketch(t, s)
		if peers != s.peers {
			t.Fatalf("shard has peers %v and counts %v", peers, s.peers)
		}
		if s.swarms.keep == 0 && used+len(s.swarms.spare) != len(s.swarms.directories) {
			t.Fatalf("%d directories, %d used, %d spare", len(s.swarms.directories), used, len(s.swarms.spare))
		}
		auditSlab(t, &s.swarms.slab, owned)
	}
	return all
}

// auditSketch reckons the sums anew.
func auditSketch(t *testing.T, s *shard) {
	t.Helper()
	if s.sketch == nil {
		return
	}
	anew := sketch{key: s.sketch.key}
	for id := uint32(1); id <= s.torrents.last(); id++ {
		r := s.torrents.live(id)
		if r == nil {
			continue
		}
		for table := range r.peers {
			w := width(table)
			for _, b := range s.swarms.blocks(r.peers[table : table+1]) {
				for block := s.swarms.block(b, w); len(block) > 0; block = block[w:] {
					anew.add(&r.hash, table, block[:w], 1)
				}
			}
		}
	}
	if anew.sums != s.sketch.sums {
		t.Fatal("the sketch is not that of the peers")
	}
}

// auditTable checks chains and free list and returns the live records.
func auditTable(t *testing.T, tt *torrents) (live []*torrent) {
	t.Helper()
	for i := range tt.count {
		for id := *tt.head(i); id != 0; id = tt.record(id).next {
			r := tt.record(id)
			if linear(tt.key.infoHash(&r.hash), tt.count) != i {
				t.Fatalf("record %d is in chain %d", id, i)
			}
			if r.last == 0 {
				t.Fatalf("record %d in a chain is marked free", id)
			}
			live = append(live, r)
		}
	}
	free, made, used := 0, 0, 0
	for i, c := range tt.chunks {
		there := 0
		for id := c.free; id != 0; id = tt.record(id).next {
			there++
			if r := tt.record(id); r.last != 0 || r.peers != [tables]slot{} || int(id-1)/recordsChunk != i {
				t.Fatalf("free record %d is not empty, or of another chunk than %d", id, i)
			}
		}
		if int(c.used)+there != int(c.made) || int(c.made) > len(tt.records[i]) || (tt.records[i] == nil) != slices.Contains(tt.vacant, uint32(i)) {
			t.Fatalf("chunk %d of %d records has %d used, %d free, %d made", i, len(tt.records[i]), c.used, there, c.made)
		}
		if c.open != slices.Contains(tt.open, uint32(i)) || !c.open && !c.leaving && tt.records[i] != nil && c.used < recordsChunk {
			t.Fatalf("chunk %d of records has room and is not listed", i)
		}
		free, made, used = free+there, made+int(c.made), used+int(c.used)
	}
	if len(live) != int(tt.count) || used != int(tt.count) || int(tt.count)+free != made {
		t.Fatalf("%d records in chains, %d used, %d counted, %d free, %d made", len(live), used, tt.count, free, made)
	}
	return live
}

// auditPeers adds the peers of a table to members and returns how many there are.
func auditPeers(t *testing.T, s *swarms, r *torrent, table int, owned *owners, members map[wire.Peer]member) (n uint64) {
	t.Helper()
	w := width(table)
	for i, b := range s.blocks(r.peers[table : table+1]) {
		if b == 0 {
			continue
		}
		if b.count() == 0 {
			t.Fatal("a block without peers")
		}
		owned.own(t, b.ref(), blockSize(b.count()*w))
		block := s.block(b, w)
		for j := 0; j < len(block); j += w {
			words := block[j : j+w]
			if r.peers[table].isDirectory() {
				d := &s.directories[r.peers[table].ref()]
				if want := linear(s.key.peer(words), uint32(len(d.blocks))); want != uint32(i) {
					t.Fatalf("a peer of block %d is in block %d", want, i)
				}
				if n := b.count(); n > int(d.most) || uint32(i) < d.swept && n > int(d.next) {
					t.Fatalf("a block has %d peers, of %d seen by the sweep none has more than %d, and none at all more than %d", n, d.swept, d.next, d.most)
				}
			}
			p := peerOfWords(words)
			if _, twice := members[p]; twice {
				t.Fatalf("peer %v is stored twice", p)
			}
			low := words[w-1]
			members[p] = member{seeder: table&roleBit != 0, partial: low&partial != 0, completed: low&completed != 0}
			n++
		}
	}
	if n != uint64(s.count(r.peers[table])) {
		t.Fatalf("table has %d peers and counts %d", n, s.count(r.peers[table]))
	}
	return n
}

func peerOfWords(words []uint64) wire.Peer {
	b := appendCompact(nil, words)
	if len(b) == wire.Compact4 {
		return wire.PeerFrom4(b)
	}
	return wire.PeerFrom6(b)
}

// owners says of each word of a slab whether a block or a run has it.
type owners struct {
	words []byte
	live  uint32
}

const (
	nobody = iota
	byBlock
	byRun
)

func newOwners(s *slab) *owners { return &owners{words: make([]byte, len(s.chunks)*chunkWords)} }

// leaveOut counts the runs of chunks that are being emptied, which are in no list, and the words of chunks that were given back.
func (o *owners) leaveOut(s *slab) {
	for i, c := range s.chunks {
		words := o.words[i*chunkWords:][:chunkWords]
		if c.words == nil {
			for j := range words {
				words[j] = byRun
			}
		}
		if c.leaving {
			s.eachRun(uint32(i), func(ref uint32) {
				for j := range s.size(ref) {
					words[ref%chunkWords+j] = byRun
				}
			})
		}
	}
}

func (o *owners) own(t *testing.T, ref uint32, n int) {
	t.Helper()
	o.live += uint32(n)
	o.take(t, ref, n, byBlock)
}

func (o *owners) take(t *testing.T, ref uint32, n int, by byte) {
	t.Helper()
	if ref>>chunkBits != (ref+uint32(n)-1)>>chunkBits {
		t.Fatalf("%d words at %d cross the end of a chunk", n, ref)
	}
	for i := range n {
		if o.words[int(ref)+i] != nobody {
			t.Fatalf("word %d has two owners", int(ref)+i)
		}
		o.words[int(ref)+i] = by
	}
}

// auditSlab checks that what no block owns lies in runs, that those are as long as can be, and listed and marked as they should.
func auditSlab(t *testing.T, s *slab, owned *owners) {
	t.Helper()
	owned.leaveOut(s)
	if owned.live != s.used {
		t.Fatalf("blocks have %d words, %d are counted", owned.live, s.used)
	}
	ends := make([][chunkWords / 64]uint64, len(s.chunks))
	used, leaving, vacant := make([]uint16, len(s.chunks)), 0, 0
	for i, by := range owned.words {
		if by == byBlock {
			used[i/chunkWords]++
		}
	}
	for i, c := range s.chunks {
		if c.used != used[i] || c.words == nil && c.used != 0 {
			t.Fatalf("chunk %d has %d words used and counts %d", i, used[i], c.used)
		}
		if c.leaving {
			leaving++
		}
		if c.words == nil {
			vacant++
		}
	}
	if leaving != s.leaving || vacant != len(s.vacant) {
		t.Fatalf("%d chunks are being emptied and %d vacant, %d and %d counted", leaving, vacant, s.leaving, len(s.vacant))
	}
	for class, first := range s.first {
		if (first != 0) != (s.filled>>class&1 != 0) {
			t.Fatalf("class %d begins with %d, filled is %b", class, first, s.filled)
		}
		previous := uint32(0)
		for at := first; at != 0; {
			ref, w := at-1, *s.word(at - 1)
			size := uint32(w & runMask)
			owned.take(t, ref, int(size), byRun)
			if runClass(size) != class || classSize(class) > int(size) || s.size(ref+size-1) != size || uint32(w>>(runBits+linkBits)) != previous {
				t.Fatalf("run of %d words at %d in class %d is not listed well", size, ref, class)
			}
			if s.chunks[ref>>chunkBits].leaving {
				t.Fatalf("run at %d of a chunk that is being emptied is listed", ref)
			}
			if behind := ref + size; behind%chunkWords != 0 && owned.words[behind] == byRun || ref%chunkWords != 0 && owned.words[ref-1] == byRun {
				t.Fatalf("run at %d has a run as neighbour", ref)
			}
			for _, end := range []uint32{ref, ref + size - 1} {
				ends[end>>chunkBits][end%chunkWords/64] |= 1 << (end % 64)
			}
			previous, at = at, uint32(w>>runBits&linkMask)
		}
	}
	for i, c := range s.chunks {
		if c.leaving {
			ends[i] = *c.ends
		}
		if c.words != nil && *c.ends != ends[i] {
			t.Fatalf("chunk %d marks ends that are none, or not all", i)
		}
	}
	if i := slices.Index(owned.words, nobody); i >= 0 {
		t.Fatalf("word %d has no owner", i)
	}
}

func TestClasses(t *testing.T) {
	for words := 1; words <= maxBlock*3; words++ {
		c := classOf(words)
		if c >= classes || classSize(c) < words || c > 0 && classSize(c-1) >= words {
			t.Fatalf("%d words: class %d of %d words", words, c, classSize(c))
		}
		if blockSize(words) > words+words/8 {
			t.Fatalf("%d words take %d", words, blockSize(words))
		}
	}
	for size := uint32(1); size <= chunkWords; size++ {
		c := runClass(size)
		if classSize(c) > int(size) || c+1 < classes && classSize(c+1) <= int(size) {
			t.Fatalf("run of %d words: class %d", size, c)
		}
	}
	if bits.Len(uint(chunkWords)) > runBits || refBits+1 > linkBits || runBits+2*linkBits != 64 {
		t.Fatal("a run's fields do not hold its size and links")
	}
}
