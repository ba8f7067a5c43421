package tracker

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"starling/wire"
)

// The stages of [BenchmarkAnnounce] one by one, each on a random torrent and peer of those there are, so that the memory's time is in the figures.
// Processor time is told beside, for a machine that does other things as well.

// BenchmarkHashTorrent is the way from an info hash to its shard.
func BenchmarkHashTorrent(b *testing.B) {
	t := populate(1, 1)
	h := hashOf(1)
	sum := uint32(0)
	for b.Loop() {
		_, hash := t.shard(&h)
		sum += hash
	}
	if sum == 1 {
		b.Log("the sum is needed")
	}
}

// BenchmarkFindTorrent is the way from an info hash to the record of its torrent, of 1,000 and of 1,000,000.
func BenchmarkFindTorrent(b *testing.B) {
	for _, torrents := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(torrents), func(b *testing.B) {
			t := populate(torrents, 1)
			rng := rand.New(rand.NewPCG(3, 4))
			for b.Loop() {
				h := hashOf(rng.IntN(torrents))
				s, hash := t.shard(&h)
				if s.torrents.find(hash, &h) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkStorePeer is the renewal of a known peer in its torrent's record; BenchmarkPickPeers the choice of 50 others.
func BenchmarkStorePeer(b *testing.B) {
	eachSwarm(b, func(t *Tracker, s *shard, r *torrent, a *Announce, ans *Answer) {
		s.put(r, &a.Peer, news{seeder: a.Seeder})
	})
}

// See BenchmarkStorePeer.
func BenchmarkPickPeers(b *testing.B) {
	eachSwarm(b, func(t *Tracker, s *shard, r *torrent, a *Announce, ans *Answer) {
		t.pick(s, r, a, true, ans)
	})
}

// eachSwarm measures one stage of an announce in swarms of several sizes.
func eachSwarm(b *testing.B, stage func(*Tracker, *shard, *torrent, *Announce, *Answer)) {
	for _, size := range []struct{ torrents, peers int }{{100_000, 10}, {1000, 1000}, {1, 1_000_000}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			t := populate(size.torrents, size.peers)
			rng := rand.New(rand.NewPCG(3, 4))
			buffer := make([]byte, 0, 50*wire.Compact4)
			var a Announce
			var ans Answer
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := threadTime(b)
			for b.Loop() {
				i := rng.IntN(size.torrents * size.peers)
				a = Announce{InfoHash: hashOf(i % size.torrents), Peer: peer4(i), Seeder: i%3 == 0, NumWant: 50}
				s, hash := t.shard(&a.InfoHash)
				ans = Answer{Peers4: buffer}
				stage(t, s, s.torrents.find(hash, &a.InfoHash), &a, &ans)
			}
			b.ReportMetric(float64(threadTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkScrape is the counts of one torrent.
func BenchmarkScrape(b *testing.B) {
	const torrents = 100_000
	t := populate(torrents, 10)
	rng := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		if _, known := t.Scrape(hashOf(rng.IntN(torrents))); !known {
			b.Fatal("not known")
		}
	}
}
