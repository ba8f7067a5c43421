package tracker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"starling/wire"
)

// TestRank finds the same torrents as a look at each of them does, whatever there are.
func TestRank(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		tr, torrents, most := New(Config{Shards: 4, Seed: &[32]byte{6}}, epoch), rng.IntN(3000), rng.IntN(20)
		var sizes []uint64
		for n := range torrents {
			size := rng.IntN(rng.IntN(8) + 1)
			for p := range size {
				seen(tr, epoch, hashOf(n), peer4(p+1))
			}
			if size > 0 {
				sizes = append(sizes, uint64(size))
			}
		}
		slices.Sort(sizes)
		slices.Reverse(sizes)
		r, c := NewRanking(most, (*Counted).Peers), new(Census)
		for tr.Count(c, r.Add) {
		}
		best := r.Best()
		if want := sizes[:min(most, len(sizes))]; len(best) != len(want) {
			t.Fatalf("seed %d: %d found, want %d", seed, len(best), len(want))
		}
		for i, b := range best {
			if counts, ok := tr.Scrape(b.InfoHash); b.Peers() != sizes[i] || !ok || counts != b.Counts {
				t.Fatalf("seed %d: place %d has %d peers, want %d", seed, i, b.Peers(), sizes[i])
			}
		}
		if tr.Count(c, r.Add) {
			t.Fatalf("seed %d: a walk that is over goes on", seed)
		}
	}
}

// TestRankWhileTorrentsChange finds those that are there all the while, once each.
func TestRankWhileTorrentsChange(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	tr := New(Config{Shards: 2, Seed: &[32]byte{6}}, epoch)
	for n := range 5 {
		for p := range 10 + n {
			seen(tr, epoch, hashOf(10_000+n), peer4(p+1))
		}
	}
	for n := range 5000 {
		seen(tr, epoch, hashOf(n), peer4(1))
	}
	r, c := NewRanking(5, (*Counted).Peers), new(Census)
	for tr.Count(c, r.Add) {
		for range 300 {
			a := Announce{InfoHash: hashOf(rng.IntN(9000)), Peer: peer4(1)}
			if rng.IntN(2) == 0 {
				a.Event = wire.EventStopped
			}
			tr.Announce(epoch, &a, &Answer{})
		}
	}
	for i, b := range r.Best() {
		if want := hashOf(10_004 - i); b.InfoHash != want || b.Peers() != uint64(14-i) {
			t.Errorf("seed %d: place %d is %s with %d", seed, i, b.InfoHash, b.Peers())
		}
	}
}
