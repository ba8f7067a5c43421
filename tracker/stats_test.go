package tracker

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"starling/wire"
)

// TestTellsWhileTableChanges walks over the torrents while others come and go. Those that are there all
// the while are seen exactly once.
func TestTellsWhileTableChanges(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, step := range []int{1, 7, wire.MaxTells, 5000} {
		tr := New(Config{Shards: 4, Seed: &[32]byte{6}}, epoch)
		const stay, others = 1000, 4000
		for n := range stay {
			tr.Learn(epoch, wire.Tell{InfoHash: hashOf(n * 5), Downloaded: uint64(n)})
			seen(tr, epoch, hashOf(n*5+1), peer4(1)) // has no completions: goes when it stops
		}
		count := map[wire.InfoHash]int{}
		dst := make([]wire.Tell, step)
		for cursor := uint64(0); ; {
			n, next := tr.Tells(epoch, cursor, dst)
			for _, e := range dst[:n] {
				count[e.InfoHash]++
			}
			if cursor = next; next == 0 {
				break
			}
			for range 5 {
				h := hashOf(rng.IntN(others)*5 + 1)
				a := Announce{InfoHash: h, Peer: peer4(1)}
				if rng.IntN(2) == 0 {
					a.Event = wire.EventStopped
				}
				tr.Announce(epoch, &a, &Answer{})
			}
		}
		for n := range stay {
			if c := count[hashOf(n*5)]; c != 1 {
				t.Fatalf("seed %d, %d a step: torrent %d was seen %d times", seed, step, n, c)
			}
		}
		audit(t, tr)
	}
}

// TestTellsOfSameHash: torrents of the same hash are told once each, wherever they come to lie in what there is room for, and a walk that
// has no room for all of them comes back to say so.
func TestTellsOfSameHash(t *testing.T) {
	for room := 8; room <= wire.MaxTells; room++ {
		tr := New(Config{Shards: 2, Seed: &[32]byte{byte(room)}}, epoch)
		clear(tr.key[2:]) // the first four bytes count
		for i := range tr.shards {
			tr.shards[i].torrents.key = tr.key
		}
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		all := 0
		for n := range 200 {
			for same := range 1 + rng.IntN(3) {
				tr.Learn(epoch, wire.Tell{InfoHash: wire.InfoHash{byte(n), 18: byte(same)}})
				all++
			}
		}
		count := map[wire.InfoHash]int{}
		packet := make([]wire.Tell, room)
		n, cursor, calls := 0, uint64(0), 0
		for more := true; more; {
			k, next := tr.Tells(epoch, cursor, packet[n:])
			n, cursor, more = n+k, next, next != 0
			if calls++; calls > 2000 {
				t.Fatalf("seed %d, room for %d: no end", seed, room)
			}
			if k > 0 && more {
				continue // as who fills a packet
			}
			for _, e := range packet[:n] {
				count[e.InfoHash]++
			}
			n = 0
		}
		for h, c := range count {
			if c != 1 {
				t.Errorf("seed %d, room for %d: %x was told %d times", seed, room, h, c)
			}
		}
		if len(count) != all {
			t.Errorf("seed %d, room for %d: told %d torrents of %d", seed, room, len(count), all)
		}
	}
}

// TestTellsEdges asks with cursors that no walk gave, and walks over nothing.
func TestTellsEdges(t *testing.T) {
	tr := newTracker(nil)
	dst := make([]wire.Tell, 3)
	for _, cursor := range []uint64{0, 1, 1 << 32, 1<<32 | 5, 2 << 32, 1<<64 - 1} {
		if n, next := tr.Tells(epoch, cursor, dst); n != 0 || next != 0 {
			t.Errorf("cursor %x in an empty tracker: %d, next %x", cursor, n, next)
		}
	}
	for n := range 4 {
		tr.Learn(epoch, wire.Tell{InfoHash: hashOf(n)})
	}
	for _, cursor := range []uint64{2 << 32, 5 << 32, 1<<64 - 1} {
		if n, next := tr.Tells(epoch, cursor, dst); n != 0 || next != 0 {
			t.Errorf("cursor %x beyond the end: %d, next %x", cursor, n, next)
		}
	}
}

// TestLearn merges what other nodes tell.
func TestLearn(t *testing.T) {
	tr := newTracker(nil)
	for i, c := range []struct {
		told wire.Tell
		news bool
		want wire.Tell
	}{
		{wire.Tell{Age: 30, Downloaded: 1<<33 + 5}, true, wire.Tell{Age: 30, Downloaded: 1<<33 + 5}},
		{wire.Tell{Age: 10, Downloaded: 7}, false, wire.Tell{Age: 30, Downloaded: 1<<33 + 5}},
		{wire.Tell{Age: 10, Downloaded: 1<<33 + 5}, false, wire.Tell{Age: 30, Downloaded: 1<<33 + 5}},
		{wire.Tell{Age: 50, Downloaded: 1 << 34}, true, wire.Tell{Age: 30, Downloaded: 1 << 34}},
	} {
		if news := tr.Learn(epoch, c.told); news != c.news {
			t.Errorf("step %d: news is %v", i, news)
		}
		if got, ok := tr.Lookup(epoch, wire.InfoHash{}); !ok || got != c.want {
			t.Errorf("step %d: lookup says %+v, not %+v", i, got, c.want)
		}
	}
	tr.Learn(epoch, wire.Tell{Downloaded: math.MaxUint64})
	tr.Apply(epoch, wire.Record{Peer: peer4(1), Flags: wire.Seeding | wire.Complete})
	if got, _ := tr.Lookup(epoch, wire.InfoHash{}); got.Downloaded != math.MaxUint64 {
		t.Errorf("downloaded went from its maximum to %d", got.Downloaded)
	}
	if got, _ := tr.Lookup(epoch.Add(90*time.Second), wire.InfoHash{}); got.Age != 1 {
		t.Errorf("age is %d after another minute", got.Age)
	}
	if _, ok := tr.Lookup(epoch, hashOf(1)); ok {
		t.Error("an unknown torrent was found")
	}
}

// TestConcurrent does everything at once from several goroutines; the race detector and the audit at the end are the judges.
func TestConcurrent(t *testing.T) {
	const torrents, peers = 40, 200
	var mu sync.Mutex // guards told
	told := 0
	tr := New(Config{Shards: 4, PeerTimeout: 3 * time.Second, Renew: time.Second, OnChange: func(wire.Record) {
		mu.Lock()
		defer mu.Unlock()
		told++
	}}, epoch)
	var wg sync.WaitGroup
	for g := range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			dst := make([]wire.Tell, 10)
			cursor := uint64(0)
			for i := range 10_000 {
				now := epoch.Add(time.Duration(i) * time.Millisecond)
				h, p := hashOf(rng.IntN(torrents)), peer4(rng.IntN(peers))
				switch rng.IntN(8) {
				case 0:
					tr.Apply(now, wire.Record{InfoHash: h, Peer: p, Flags: wire.Flags(rng.Uint32()) & (wire.Seeding | wire.Complete | wire.Stopped)})
				case 1:
					tr.Learn(now, wire.Tell{InfoHash: h, Downloaded: rng.Uint64N(100)})
					tr.Lookup(now, h)
				case 2:
					_, cursor = tr.Tells(now, cursor, dst)
				case 3:
					tr.Scrape(h)
					tr.Stats()
				case 4:
					tr.Expire(now)
				default:
					var ans Answer
					tr.Announce(now, &Announce{InfoHash: h, Peer: p, Event: wire.Event(rng.IntN(5)), Seeder: rng.IntN(2) == 0, NumWant: 20}, &ans)
					if len(ans.Peers4) > 20*wire.Compact4 {
						t.Errorf("%d bytes of peers", len(ans.Peers4))
					}
				}
			}
		})
	}
	wg.Wait()
	audit(t, tr)
	if told == 0 || tr.Torrents() > torrents {
		t.Errorf("%d told, %d torrents", told, tr.Torrents())
	}
}

// TestRenewed: an announce of a known peer counts by the minutes since its last one, to a tick; a new peer's, and what other nodes tell, does not.
func TestRenewed(t *testing.T) {
	tr, now := New(Config{}, epoch), epoch
	h := hashOf(1)
	var want [60]uint64
	seen(tr, now, h, peer4(1))
	for _, minutes := range []int{0, 3, 15, 30, 43} {
		for range minutes {
			now = now.Add(time.Minute)
			tr.Expire(now)
		}
		now = now.Add(50 * time.Second) // more than a tick, less than a minute
		tr.Apply(now, wire.Record{InfoHash: h, Peer: peer4(2)})
		seen(tr, now, h, peer4(1))
		want[minutes]++
	}
	for range 3 {
		seen(tr, now, h, peer4(1))
		want[0]++
	}
	if got := tr.Stats().Renewed; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
