package tracker

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"starling/wire"
)

// auditBudget reckons anew what stores hold and compares it with what the budget was told.
func auditBudget(t *testing.T, b *Budget, stores ...*Tracker) {
	t.Helper()
	held, live := int64(0), int64(0)
	for _, tr := range stores {
		for i := range tr.shards {
			s := &tr.shards[i]
			s.publish()
			places := 0
			for i := range s.swarms.directories {
				places += cap(s.swarms.directories[i].blocks)
			}
			rest := int64(len(s.torrents.heads)*headChunk*4 + cap(s.swarms.directories)*directorySize + places*4)
			chunks, records := int64(0), int64(0)
			for _, c := range s.swarms.slab.chunks {
				if c.words != nil {
					chunks++
				}
			}
			for _, c := range s.torrents.records {
				if c != nil {
					records++
				}
			}
			held += chunks*blocksHeld + records*recordsHeld + rest
			live += s.mem.live
			if d := int64(s.swarms.slab.used)*8 + int64(s.torrents.count)*60 + rest - s.mem.live; d >= publishBytes || d <= -publishBytes {
				t.Fatalf("%d bytes have not been told", d)
			}
		}
	}
	held, live = held+doorBytes(b), live+doorBytes(b)
	if st := b.Status(); st.Held != held || st.Live != live || st.Pressure == Calm && live > st.Bytes/100*75 {
		t.Fatalf("the budget is %+v, held are %d and live %d", st, held, live)
	}
}

// doorBytes returns what a budget takes itself.
func doorBytes(b *Budget) int64 { return int64(len(b.doors[0].recent)) * 16 * doorLanes }

// slack is what a small budget may be overdrawn by: heads of chains and directories are had without asking.
func slack(tr *Tracker) int64 { return int64(len(tr.shards)) * 8 << 10 }

// TestBudget gives stores that share a small budget random sequences of everything: it is never overdrawn, the stores stay as the layout says and hold
// nobody who did not come, and when all have left nothing is held.
func TestBudget(t *testing.T) {
	for round := range 4 {
		seed := rand.Uint64()
		defer func() {
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		}()
		rng := rand.New(rand.NewPCG(seed, 0))
		b := NewBudget(1<<20 + rng.Int64N(1<<20))
		told := 0
		stores := make([]*Tracker, 1+round%2)
		for i := range stores {
			stores[i] = New(Config{Shards: 1 + rng.IntN(3), Seed: &[32]byte{byte(i)}, Budget: b, OnChange: func(wire.Record) { told++ }}, epoch)
		}
		torrents := []int{1, 20, 5000, 1 << 30}[rng.IntN(4)]
		now, source := epoch, New(Config{Shards: 1, Seed: &[32]byte{9}}, epoch)
		most := int64(0)
		for i := range fewer(60_000) {
			tr, n := stores[rng.IntN(len(stores))], rng.IntN(1<<20)
			h, p := hashOf(n%torrents), peer4(n)
			if n%3 == 0 {
				p = peer6(n)
			}
			switch k := rng.IntN(100); {
			case k < 60:
				a := Announce{InfoHash: h, Peer: p, Seeder: rng.IntN(2) == 0, Event: wire.Event(rng.IntN(5)), NumWant: 5}
				var ans Answer
				tr.Announce(now, &a, &ans)
			case k < 90:
				r := wire.Record{InfoHash: h, Peer: p, Flags: wire.Flags(rng.Uint32()) & (wire.Seeding | wire.Complete)}
				tr.Apply(now, r)
				source.Apply(now, r)
			case k < 95:
				tr.Learn(now, wire.Tell{InfoHash: h, Downloaded: uint64(rng.IntN(2))})
			case k == 95 && rng.IntN(200) == 0:
				var x wire.Excerpt
				for c := (Cursor{}); source.Walk(now, &c, &x); {
				}
				tr.Restorer(1000).Restore(now, 0, &x)
			case k == 96 && rng.IntN(100) == 0:
				now = now.Add(time.Duration(rng.IntN(10)) * time.Minute)
				for _, tr := range stores {
					tr.Expire(now)
				}
			}
			if most = max(most, b.Status().Held); most > b.most+slack(stores[0])*int64(len(stores)) {
				t.Fatalf("%d bytes are held, %d may be", most, b.most)
			}
			if i%10_000 == 0 {
				for _, tr := range stores {
					audit(t, tr)
				}
				auditBudget(t, b, stores...)
			}
		}
		for range 30 {
			now = now.Add(time.Hour)
			for _, tr := range stores {
				tr.Expire(now)
			}
		}
		auditBudget(t, b, stores...)
		if st := b.Status(); st.Live > doorBytes(b)+slack(stores[0])*int64(len(stores)) || st.Pressure != Calm {
			t.Fatalf("all have left, the budget is %+v", st)
		}
		for _, tr := range stores {
			tr.Release()
		}
		if st := b.Status(); st.Held != doorBytes(b) || st.Live != doorBytes(b) {
			t.Fatalf("the stores are gone, the budget is %+v", st)
		}
	}
}

// heapBytes returns what is on the heap and in use.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFlood sends ten times as many random info hashes as fit to a store with swarms in it. Their peers are served and new ones of theirs stored, a new
// torrent comes in with its second peer, and when the flood is over all is as before. The memory that the runtime has given out is what the budget says.
func TestFlood(t *testing.T) {
	const known, each, tick = 2000, 5, DefaultPeerTimeout / 60
	before := heapBytes()
	b := NewBudget(4 << 20)
	tr := New(Config{Shards: 8, Seed: &[32]byte{4}, Budget: b}, epoch)
	now, flood := epoch, 0
	announce := func(h wire.InfoHash, n int) (ans Answer) {
		tr.Announce(now, &Announce{InfoHash: h, Peer: peer4(n), NumWant: 50}, &ans)
		return ans
	}
	for i := range known * each {
		announce(hashOf(i%known), i)
	}
	fit := int(b.most / 70)
	for round := range 40 {
		now = now.Add(tick)
		tr.Expire(now)
		for range 10 * fit / 40 {
			flood++
			ans := announce(hashOf(1<<20+flood), flood)
			if ans.Leechers == 0 && (ans.Interval > 500 || ans.MinInterval > ans.Interval || len(ans.Peers4) > 0) {
				t.Fatalf("who was refused got %+v", ans)
			}
		}
		for i := round % 20; i < known*each; i += 20 {
			if ans := announce(hashOf(i%known), i); ans.Leechers != each || len(ans.Peers4) != (each-1)*wire.Compact4 {
				t.Fatalf("round %d: a peer that is known gets %+v", round, ans)
			}
		}
	}
	st, refused := b.Status(), tr.Stats().Unstored
	if st.Pressure != Tight || st.Held > st.Bytes || refused.Unknown < uint64(7*fit) || refused.Torrents+refused.Peers > 0 {
		t.Fatalf("the budget is %+v, refused %+v", st, refused)
	}
	if got := heapBytes() - before; got > st.Held+200_000 {
		t.Errorf("the heap grew by %d bytes, the budget says %d", got, st.Held)
	}
	for i := range known {
		if ans := announce(hashOf(i), 1<<20+i); ans.Leechers != each+1 {
			t.Fatalf("a new peer of a known swarm gets %+v", ans)
		}
	}
	for i := range 100 { // a few come in at once, for their names are taken for others
		announce(hashOf(1<<30+i), 1)
		if ans := announce(hashOf(1<<30+i), 2); ans.Leechers == 0 {
			t.Fatalf("the second peer of a new torrent gets %+v", ans)
		}
	}
	audit(t, tr)
	auditBudget(t, b, tr)
	for range 70 {
		now = now.Add(tick)
		tr.Expire(now)
	}
	if st := b.Status(); st.Pressure != Calm || st.Held > st.Bytes/8 {
		t.Fatalf("after the flood the budget is %+v", st)
	}
	runtime.KeepAlive(tr)
}

// TestFloodTwice asks twice for each name, until nothing new comes in: who is there stays, and what is known goes on.
func TestFloodTwice(t *testing.T) {
	b := NewBudget(2 << 20)
	tr := New(Config{Shards: 4, Seed: &[32]byte{4}, Budget: b}, epoch)
	const known = 500
	for i := range known {
		seen(tr, epoch, hashOf(i), peer4(i))
	}
	for i := range 100_000 { // each name twice, as no filter can tell it from a torrent
		seen(tr, epoch, hashOf(1000+i/2), peer4(i))
	}
	if st, u := b.Status(), tr.Stats().Unstored; st.Pressure != Full || u.Torrents == 0 || st.Held > st.Bytes {
		t.Fatalf("the budget is %+v, refused %+v", st, u)
	}
	for i := range known {
		if ans := seen(tr, epoch, hashOf(i), peer4(known+i)); ans.Leechers != 2 || len(ans.Peers4) != wire.Compact4 {
			t.Fatalf("the second peer of a known torrent gets %+v", ans)
		}
	}
	audit(t, tr)
	auditBudget(t, b, tr)
}
