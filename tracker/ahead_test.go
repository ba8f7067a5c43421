package tracker

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"starling/wire"
)

// TestReadAhead gives two stores that choose alike the same announces. One of them reads ahead, also for torrents that nobody knows or that come
// meanwhile, and beside it others do; its answers are the same.
func TestReadAhead(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	cfg := Config{Seed: &[32]byte{2}, Shards: 8}
	plain, tr := New(cfg, epoch), New(cfg, epoch)
	var wg sync.WaitGroup
	end := make(chan struct{})
	for k := range 2 {
		wg.Go(func() {
			var a ahead
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				for j := range batch {
					h := hashOf((i*7 + j*(k+1)) % 600)
					a.add(tr, &h)
				}
				tr.readAhead(epoch, &a)
			}
		})
	}
	var a ahead
	for i := range fewer(20_000) {
		n := rng.IntN(1 << 16)
		an := Announce{InfoHash: hashOf([]int{n % 3, n % 600}[n%2]), Peer: peer4(n), Seeder: n%3 == 0, Event: wire.Event(rng.IntN(4)), NumWant: 20}
		if n%5 == 0 {
			an.Peer = peer6(n)
		}
		if a.add(tr, &an.InfoHash); a.count == batch || rng.IntN(20) == 0 {
			tr.readAhead(epoch, &a)
		}
		var want, got Answer
		plain.Announce(epoch, &an, &want)
		tr.Announce(epoch, &an, &got)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: announce %d is answered %+v, not %+v", seed, i, got, want)
		}
	}
	close(end)
	wg.Wait()
	audit(t, tr)
}

// BenchmarkAnnounceBatch announces peers that are known, in batches as they come over UDP, with and without reading ahead.
func BenchmarkAnnounceBatch(b *testing.B) {
	for _, peers := range []int{100_000, 10_000_000} {
		for _, per := range []int{10, 100} {
			tr := New(Config{Seed: &[32]byte{1}}, epoch)
			rs := make([]wire.Record, 0, 1024)
			for i := range peers {
				rs = append(rs, wire.Record{InfoHash: hashOf(i / per), Peer: peer4(i), Flags: wire.Flags(i%2) * wire.Seeding})
				if len(rs) == cap(rs) || i+1 == peers {
					tr.ApplyAll(epoch, rs)
					rs = rs[:0]
				}
			}
			for _, reads := range []bool{false, true} {
				b.Run(fmt.Sprintf("%dx%d/ahead=%v", peers/per, per, reads), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 2))
					var as [batch]Announce
					var a ahead
					room := make([]byte, 0, 2048)
					for i := 0; i < b.N; i += batch {
						for j := range as {
							n := rng.IntN(peers)
							as[j] = Announce{InfoHash: hashOf(n / per), Peer: peer4(n), Seeder: n%2 == 1, NumWant: 50}
							if reads {
								a.add(tr, &as[j].InfoHash)
							}
						}
						tr.readAhead(epoch, &a)
						for j := range as {
							ans := Answer{Peers4: room}
							tr.Announce(epoch, &as[j], &ans)
						}
					}
				})
			}
		}
	}
}
