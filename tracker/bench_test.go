package tracker

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"starling/wire"
)

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// hashOf returns the n-th info hash of the tests.
func hashOf(n int) (h wire.InfoHash) {
	binary.BigEndian.PutUint64(h[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(h[16:], uint32(n))
	return h
}

// peer4 and peer6 return the n-th peer of the tests; there are 2^24 of each.
func peer4(n int) wire.Peer {
	return wire.PeerFrom4([]byte{10, byte(n >> 16), byte(n >> 8), byte(n), 0x1a, 0xe1})
}

func peer6(n int) wire.Peer {
	return wire.Peer{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 7: byte(n >> 16), 14: byte(n >> 8), 15: byte(n), 16: 0x1a, 17: 0xe1}
}

// populate fills a tracker with so many torrents of so many IPv4 peers, in random order, every third of them a seeder.
func populate(torrents, peers int) *Tracker {
	t := New(Config{Seed: &[32]byte{1}}, epoch)
	order := rand.New(rand.NewPCG(1, 2)).Perm(torrents * peers)
	for _, i := range order {
		r := wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i)}
		if i%3 == 0 {
			r.Flags = wire.Seeding
		}
		t.Apply(epoch, r)
	}
	return t
}

// BenchmarkAnnounce measures regular announces of peers that are known, each in a swarm of the given size.
func BenchmarkAnnounce(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{
		{100_000, 10}, {1000, 1000}, {10, 100_000}, {1, 1_000_000},
		{10_000, 10}, {100, 1000}, {1_000_000, 10}, {10_000, 1000},
	} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			t := populate(size.torrents, size.peers)
			rng := rand.New(rand.NewPCG(3, 4))
			buffer := make([]byte, 0, 50*wire.Compact4)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				i := rng.IntN(size.torrents * size.peers)
				a := Announce{InfoHash: hashOf(i % size.torrents), Peer: peer4(i), Seeder: i%3 == 0, NumWant: 50}
				ans := Answer{Peers4: buffer}
				t.Announce(epoch, &a, &ans)
			}
		})
	}
}

// BenchmarkApply measures records of other nodes with 1 M peers in 100,000 swarms: such that renew a peer, that change
// its role, and pairs of a stop and a start.
func BenchmarkApply(b *testing.B) {
	const torrents, peers = 100_000, 10
	for _, kind := range []string{"renew", "role", "stop+start"} {
		b.Run(kind, func(b *testing.B) {
			t := populate(torrents, peers)
			rng := rand.New(rand.NewPCG(3, 4))
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				i := rng.IntN(torrents * peers)
				r := wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i)}
				if i%3 == 0 != (kind == "role" && n&1 != 0) {
					r.Flags = wire.Seeding
				}
				if kind == "stop+start" {
					stop := r
					stop.Flags = wire.Stopped
					t.Apply(epoch, stop)
				}
				t.Apply(epoch, r)
			}
		})
	}
}

// BenchmarkSweep measures a sweep over 1 M peers that forgets none.
func BenchmarkSweep(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{{1_000_000, 1}, {100_000, 10}, {1000, 1000}, {1, 1_000_000}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			t := populate(size.torrents, size.peers)
			now := epoch
			b.ResetTimer()
			for i := range b.N {
				now = now.Add(t.sweeps.unit)
				if i%50 == 49 {
					b.StopTimer()
					t = populate(size.torrents, size.peers)
					now = epoch.Add(t.sweeps.unit)
					b.StartTimer()
				}
				t.Expire(now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/peer")
		})
	}
}

// BenchmarkMemory reports what a peer costs, by the store's own account and by the heap's growth.
func BenchmarkMemory(b *testing.B) {
	for _, size := range []struct{ torrents, peers int }{{1000, 1000}, {1, 1000}, {100_000, 10}, {500_000, 1}, {1, 1_000_000}} {
		b.Run(fmt.Sprintf("%dx%d", size.torrents, size.peers), func(b *testing.B) {
			for range b.N {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				t := populate(size.torrents, size.peers)
				runtime.GC()
				runtime.GC()
				runtime.ReadMemStats(&after)
				n := float64(size.torrents * size.peers)
				b.ReportMetric(float64(t.Stats().Bytes)/n, "store-B/peer")
				b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/n, "heap-B/peer")
				runtime.KeepAlive(t)
			}
		})
	}
}
