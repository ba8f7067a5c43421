package tracker

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// TestCompaction lets most of a random crowd fall silent while walks go on: those who stay are seen exactly once, and in the end the
// store takes hardly more memory than one into which they came first.
func TestCompaction(t *testing.T) {
	const tick = DefaultPeerTimeout / 60
	for round := range fewer(12) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		tr := New(Config{Shards: 1 + rng.IntN(2), Seed: &[32]byte{3}}, epoch)
		torrents, peers := []int{1, 4, 100, 3000, 20_000}[round%5], 20_000+rng.IntN(20_000)
		record := func(i int) wire.Record {
			r := wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i), Flags: wire.Flags(i%2) * wire.Seeding}
			if i%7 == 0 {
				r.Peer = peer6(i)
			}
			return r
		}
		stay := map[int]bool{}
		for i := range peers {
			tr.Apply(epoch, record(i))
			if rng.IntN(12) == 0 {
				stay[i] = true
			}
		}
		now := epoch
		renew := func() {
			for range 40 {
				now = now.Add(tick)
				tr.Expire(now)
			}
			for i := range stay {
				tr.Apply(now, record(i))
			}
		}
		full := tr.Stats().Bytes
		renew()
		pieces := 0
		seen, _ := walkAll(t, tr, func() time.Time { return now }, Cursor{}, func() {
			if pieces++; pieces%4 == 0 && pieces < 200 {
				now = now.Add(tick)
				tr.Expire(now)
			}
		})
		checkThere(t, seed, stay, seen, record)
		renew()
		renew()
		audit(t, tr)
		anew := New(Config{Shards: len(tr.shards), Seed: &[32]byte{3}}, epoch)
		for i := range stay {
			anew.Apply(epoch, record(i))
		}
		got, want := tr.Stats(), anew.Stats()
		if got.Peers4 != want.Peers4 || got.Peers6 != want.Peers6 || got.Torrents != want.Torrents || got.Seeders != want.Seeders {
			t.Fatalf("seed %d: %+v are left, not %+v", seed, got, want)
		}
		if got.Bytes > want.Bytes*5/4+200_000 {
			t.Errorf("seed %d: %d torrents of %d peers took %d bytes; %d peers are left and take %d, from the start %d",
				seed, torrents, peers/torrents, full, len(stay), got.Bytes, want.Bytes)
		}
	}
}

// checkThere checks that a walk saw those who stayed exactly once.
func checkThere(t *testing.T, seed uint64, stay map[int]bool, seen map[peerKey][]wire.Member, record func(i int) wire.Record) {
	t.Helper()
	for i := range stay {
		r := record(i)
		if n := len(seen[peerKey{r.InfoHash, r.Peer}]); n != 1 {
			t.Fatalf("seed %d: peer %d was seen %d times", seed, i, n)
		}
	}
}

// TestGivenBack fills a store and lets all fall silent: nothing of what they took is kept.
func TestGivenBack(t *testing.T) {
	for _, torrents := range []int{1, 300, 50_000} {
		tr := New(Config{Shards: 4, Seed: &[32]byte{3}}, epoch)
		empty := tr.Stats().Bytes
		for i := range 50_000 {
			tr.Apply(epoch, wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i)})
		}
		full := tr.Stats().Bytes
		for i := range 3 {
			tr.Expire(epoch.Add(2*DefaultPeerTimeout + time.Duration(i)*time.Minute))
		}
		if got := tr.Stats().Bytes; got > empty+4096 || full < 50_000*8 {
			t.Errorf("%d torrents: %d bytes when empty, %d when full, %d afterwards", torrents, empty, full, got)
		}
		audit(t, tr)
	}
}

// TestSettle empties the chunks of a slab at random, as a sweep does, while blocks come and go.
func TestSettle(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	s := swarms{slab: slab{max: 40 * chunkWords}}
	var blocks []slot
	for i := range fewer(60_000) {
		switch k := rng.IntN(len(blocks) + 1); {
		case i%20_000 < 10_000 && rng.IntN(4) > 0:
			var words [60]uint64
			n := 1 + rng.IntN(len(words))
			words[0] = uint64(len(blocks))
			if b, ok := s.store(words[:n], 1); ok {
				blocks = append(blocks, b)
			}
		case k < len(blocks):
			s.drop(blocks[k], 1)
			blocks[k] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		if i%500 != 0 {
			continue
		}
		l := s.slab.leavers()
		for i := range s.slab.chunks {
			s.slab.settle(uint32(i), &l)
		}
		for i := range blocks {
			if rng.IntN(8) > 0 {
				s.relocate(&blocks[i], 1)
			}
		}
		s.slab.shorten()
		owned := newOwners(&s.slab)
		for _, b := range blocks {
			owned.own(t, b.ref(), blockSize(b.count()))
		}
		auditSlab(t, &s.slab, owned)
	}
}
