package tracker

import (
	"math/rand/v2"
	"testing"

	"starling/wire"
)

// TestSlab allocates, trims and releases blocks of all sizes at random, up to and beyond what a small slab holds.
func TestSlab(t *testing.T) {
	type held struct {
		ref   uint32
		words int
		mark  uint64
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	s := slab{max: 8 * chunkWords}
	var blocks []held
	refused := 0
	for i := range 100_000 {
		switch k := rng.IntN(len(blocks) + 1); {
		case k == len(blocks) || rng.IntN(5) < 2+i/10_000%2:
			words := 1 + rng.IntN(maxBlock*3)
			if rng.IntN(2) == 0 {
				words = 1 + rng.IntN(30)
			}
			ref, ok := s.alloc(words)
			if !ok {
				refused++
				continue
			}
			b := held{ref, words, rng.Uint64()}
			for j := range words {
				s.words(ref, words)[j] = b.mark + uint64(j)
			}
			blocks = append(blocks, b)
		case rng.IntN(4) == 0:
			fewer := rng.IntN(blocks[k].words) + 1
			s.trim(blocks[k].ref, blocks[k].words, fewer)
			blocks[k].words = fewer
		default:
			s.release(blocks[k].ref, blocks[k].words)
			blocks[k] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		if i%1000 != 0 {
			continue
		}
		owned := newOwners(&s)
		for _, b := range blocks {
			owned.own(t, b.ref, blockSize(b.words))
			for j, w := range s.words(b.ref, b.words) {
				if w != b.mark+uint64(j) {
					t.Fatalf("seed %d: a block lost its content", seed)
				}
			}
		}
		auditSlab(t, &s, owned)
	}
	if refused == 0 {
		t.Error("the slab was never full")
	}
	for _, b := range blocks {
		s.release(b.ref, b.words)
	}
	auditSlab(t, &s, newOwners(&s))
	for i := range s.chunks {
		if n := s.size(uint32(i) << chunkBits); n != chunkWords {
			t.Errorf("an empty chunk has a run of %d words", n)
		}
	}
}

// TestFull fills a shard until peers are refused, and goes on in it: what is there stays right, leaving works, and so does
// coming when there is room again.
func TestFull(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	told := 0
	tr := New(Config{Shards: 1, Seed: &[32]byte{5}, OnChange: func(wire.Record) { told++ }}, epoch)
	s := &tr.shards[0]
	s.swarms.slab.max = 3 * chunkWords
	there := map[wire.Peer]bool{} // of torrent 0
	for i := range 60_000 {
		n := rng.IntN(8000)
		p, h := peer4(n), hashOf(n%2*(n%40))
		if n%3 == 0 {
			p = peer6(n)
		}
		a := Announce{InfoHash: h, Peer: p, Seeder: rng.IntN(2) == 0, NumWant: 30}
		if rng.IntN(10) < 3+i/15_000 {
			a.Event = wire.EventStopped
		}
		refused, before := s.unstored.Refused(), told
		var ans Answer
		tr.Announce(epoch, &a, &ans)
		if s.unstored.Refused() > refused && told != before {
			t.Fatal("a peer that was refused was told")
		}
		if h == hashOf(0) {
			switch {
			case a.Event == wire.EventStopped:
				delete(there, p)
			case s.unstored.Refused() > refused: // also a peer that was there, if it changes its role
				delete(there, p)
			default:
				there[p] = true
			}
		}
		if i%500 == 0 {
			all := audit(t, tr)
			if len(all[hashOf(0)]) != len(there) {
				t.Fatalf("seed %d: %d peers are there, not %d", seed, len(all[hashOf(0)]), len(there))
			}
			for p := range there {
				if _, ok := all[hashOf(0)][p]; !ok {
					t.Fatalf("seed %d: %v is missing", seed, p)
				}
			}
		}
	}
	if tr.Stats().Unstored.Shard == 0 {
		t.Error("nothing was refused")
	}
	tr.Expire(epoch.Add(2 * DefaultPeerTimeout))
	audit(t, tr)
	if s.swarms.slab.used != 0 {
		t.Errorf("%d words are in use without peers", s.swarms.slab.used)
	}
}

// TestRefusedIsAnswered announces to a shard without a word to spare: the client is not stored but gets its peers.
func TestRefusedIsAnswered(t *testing.T) {
	tr := New(Config{Shards: 1, Seed: &[32]byte{5}}, epoch)
	s := &tr.shards[0]
	s.swarms.slab.max = chunkWords
	for n := 0; s.unstored.Refused() == 0; n++ {
		seen(tr, epoch, hashOf(n), peer4(1))
	}
	ans := seen(tr, epoch, hashOf(0), peer4(2))
	if p := peer4(1); s.unstored.Refused() != 2 || ans.Leechers != 1 || string(ans.Peers4) != string(p.Compact()) {
		t.Fatalf("%d refused, answer %+v", s.unstored.Refused(), ans)
	}
}

// TestJoinTooLarge asks for two blocks to be joined that would not fit in one.
func TestJoinTooLarge(t *testing.T) {
	s := swarms{slab: slab{max: chunkWords}}
	d := directory{blocks: make([]slot, 2)}
	for i := range 2 * (maxBlock/2 + 1) {
		p := peerOf(new(peer4(i)))
		s.push(&d.blocks[i%2], 1, &p)
	}
	before := [2]slot(d.blocks)
	if s.join(&d, 1) || len(d.blocks) != 2 || [2]slot(d.blocks) != before {
		t.Fatal("joined")
	}
}

// TestLinear checks linear hashing's rule: one more place takes from exactly one other.
func TestLinear(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		h := rng.Uint32()
		at := uint32(0)
		for n := uint32(1); n < 3000; n++ {
			next := linear(h, n)
			if next >= n || next != at && (next != n-1 || at != next-topBit(next)) {
				t.Fatalf("hash %x goes from place %d to %d of %d", h, at, next, n)
			}
			at = next
		}
		if linear(h, 1<<31) != h&(1<<31-1) || linear(h, 1<<31+1) == 1<<31 != (h == 1<<31) {
			t.Fatalf("hash %x is wrong among 2^31", h)
		}
	}
}

// TestHashSpread hashes names that differ little, as an attacker or a test may send, and finds no place crowded.
func TestHashSpread(t *testing.T) {
	k := newHashKey(rand.NewChaCha8([32]byte{4}))
	const n = 1 << 14
	for byteAt := range 19 {
		var names, low [n]uint8
		for i := range n {
			var h wire.InfoHash
			h[byteAt], h[byteAt+1] = byte(i>>8), byte(i)
			hash := k.infoHash(&h)
			names[hash%n]++
			low[hash>>18]++
		}
		for i := range n {
			if names[i] > 24 || low[i] > 24 {
				t.Fatalf("bytes %d and %d: %d names in one place", byteAt, byteAt+1, max(names[i], low[i]))
			}
		}
	}
	p := wire.Peer{0: 0x20, 17: 1}
	q := peerOf(&p)
	before := k.peer(q.words(3))
	for bit := range 128 + 16 {
		p[bit/8] ^= 1 << (bit % 8)
		if q := peerOf(&p); k.peer(q.words(3)) == before {
			t.Errorf("bit %d does not change the hash", bit)
		}
		p[bit/8] ^= 1 << (bit % 8)
	}
}
