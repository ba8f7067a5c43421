package tracker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// randomRecords returns records of a few torrents and peers, so that many are of the same peer and several do what the other
// undoes. Some are of peers that no client could reach.
func randomRecords(rng *rand.Rand, n, torrents, peers int) []wire.Record {
	rs := make([]wire.Record, n)
	for i := range rs {
		p := peer4(rng.IntN(peers))
		switch rng.IntN(10) {
		case 0, 1, 2:
			p = peer6(rng.IntN(peers))
		case 3:
			p = wire.Peer{}
		}
		flags := wire.Flags(rng.Uint32()) & (wire.Seeding | wire.Complete | wire.Stopped)
		rs[i] = wire.Record{InfoHash: hashOf(rng.IntN(torrents)), Peer: p, Flags: flags}
	}
	return rs
}

// TestApplyAllIsApply gives one store whole batches and another one record after the other: they must hold the same afterwards,
// down to the ticks in which peers were seen and told.
func TestApplyAllIsApply(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range fewer(300) {
		cfg := modelConfig
		cfg.Shards, cfg.Seed = 1<<rng.IntN(7), &[32]byte{byte(round)}
		all, one := New(cfg, epoch), New(cfg, epoch)
		now := epoch
		torrents, peers := 1+rng.IntN(200), 1+rng.IntN(300)
		for range 1 + rng.IntN(6) {
			rs := randomRecords(rng, rng.IntN(fewer(5000)), torrents, peers)
			given := slices.Clone(rs)
			all.ApplyAll(now, rs)
			if !slices.Equal(rs, given) {
				t.Fatalf("seed %d: ApplyAll changed the records", seed)
			}
			for _, r := range rs {
				one.Apply(now, r)
			}
			now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
			all.Expire(now)
			one.Expire(now)
		}
		a, b := contents(t, all), contents(t, one)
		if !maps.EqualFunc(a, b, maps.Equal) {
			t.Fatalf("seed %d, round %d: the stores differ", seed, round)
		}
		x, y := all.Stats(), one.Stats()
		if x.Bytes, y.Bytes = 0, 0; x != y {
			t.Fatalf("seed %d, round %d: %+v, one by one %+v", seed, round, x, y)
		}
	}
}

// contents returns the words of all peers, and the torrents' own figures under a peer that nobody is.
func contents(t *testing.T, tr *Tracker) map[wire.InfoHash]map[wire.Peer][2]uint64 {
	t.Helper()
	audit(t, tr)
	all := map[wire.InfoHash]map[wire.Peer][2]uint64{}
	for i := range tr.shards {
		s := &tr.shards[i]
		for id := uint32(1); id <= s.torrents.last(); id++ {
			r := s.torrents.live(id)
			if r == nil {
				continue
			}
			m := map[wire.Peer][2]uint64{{}: {r.downloaded, uint64(r.last)<<32 | uint64(r.partial)}}
			for table := range r.peers {
				w := width(table)
				for _, b := range s.swarms.blocks(r.peers[table : table+1]) {
					for block := s.swarms.block(b, w); len(block) > 0; block = block[w:] {
						m[clientOf(block[:w])] = [2]uint64{uint64(table), block[w-1]}
					}
				}
			}
			all[r.hash] = m
		}
	}
	return all
}

// TestApplyAllBesideAll runs batches beside each other, announces and sweeps. The race detector looks on, and no lock is
// waited for in a ring.
func TestApplyAllBesideAll(t *testing.T) {
	tr := New(Config{Shards: 4, PeerTimeout: time.Minute, Renew: time.Second}, epoch)
	var all sync.WaitGroup
	for n := range uint64(4) {
		rng := rand.New(rand.NewPCG(n, 1))
		all.Go(func() {
			for i := range fewer(100) {
				now := epoch.Add(time.Duration(i) * time.Second)
				if n == 3 {
					tr.Expire(now)
				}
				tr.ApplyAll(now, randomRecords(rng, 500, 50, 40))
				a := Announce{InfoHash: hashOf(rng.IntN(50)), Peer: peer4(rng.IntN(40)), NumWant: 50}
				tr.Announce(now, &a, &Answer{})
			}
		})
	}
	all.Wait()
	audit(t, tr)
}

func TestApplyAllDoesNotAllocate(t *testing.T) {
	tr := populate(100, 10)
	rs := make([]wire.Record, 3000)
	for i := range rs {
		rs[i] = wire.Record{InfoHash: hashOf(i % 100), Peer: peer4(i % 1000)}
	}
	tr.ApplyAll(epoch, rs)
	// The collector may take the scratch away once, and the race detector drops some of it on purpose.
	if n := testing.AllocsPerRun(100, func() { tr.ApplyAll(epoch, rs) }); n >= 1 && fewer(10) == 10 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkApplyAll measures batches of records with 1 M peers in 100,000 swarms, such that renew a peer and such
// of which half change its role.
func BenchmarkApplyAll(b *testing.B) {
	const torrents, peers = 100_000, 10
	for _, kind := range []string{"renew", "role"} {
		for _, size := range []int{52, 416, 1664} {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				t := populate(torrents, peers)
				rng := rand.New(rand.NewPCG(3, 4))
				rs := make([]wire.Record, torrents*peers)
				for n := range rs {
					i := rng.IntN(torrents * peers)
					rs[n] = wire.Record{InfoHash: hashOf(i % torrents), Peer: peer4(i)}
					if i%3 == 0 != (kind == "role" && n&1 != 0) {
						rs[n].Flags = wire.Seeding
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				at := 0
				for range b.N {
					if at+size > len(rs) {
						at = 0
					}
					t.ApplyAll(epoch, rs[at:at+size])
					at += size
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/record")
			})
		}
	}
}
