package tracker

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// copyTo restores all that one tracker holds into another, in excerpts that are so late.
func copyTo(from, to *Tracker, walked, restored time.Time, c Cursor) *Restorer {
	r := to.Restorer(100_000)
	var x wire.Excerpt
	for more := true; more; {
		x.Reset()
		more = from.Walk(walked, &c, &x)
		r.Restore(restored, restored.Sub(walked), &x)
	}
	return r
}

// seededTracker returns a tracker with a secret of its own. Of two with the same, one would get peers in the order of its own hashes, which
// fill one block after the other.
func seededTracker(n byte) *Tracker {
	return New(Config{Shards: 2, Seed: &[32]byte{n}, SketchKey: &[32]byte{3}}, epoch)
}

// someTracker returns a tracker with the model's ticks after a random life of so many operations, and its time.
func someTracker(t *testing.T, rng *rand.Rand, ops int) (*pair, time.Time) {
	p := newPair(t, 1+rng.IntN(3), nil)
	torrents, peers := 1+rng.IntN(20), 1+rng.IntN(500)
	for range ops {
		p.do(op{
			kind: uint8(rng.UintN(14)), event: uint8(rng.Uint32()), torrent: rng.IntN(torrents), peer: rng.IntN(peers),
			seeder: rng.IntN(3) == 0, v6: rng.IntN(3) == 0, number: uint16(rng.Uint32()),
		})
		if rng.IntN(200) == 0 {
			p.do(op{kind: 14, number: 1})
			p.do(op{kind: 15})
		}
	}
	return p, p.now()
}

// TestRestore restores a tracker into a fresh one, some time later: it holds the same peers, of the same age to the
// tick, the same marks and counts, and forgets each peer when the first does.
func TestRestore(t *testing.T) {
	for range fewer(20) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		p, now := someTracker(t, rng, 3000)
		late := time.Duration(rng.IntN(3)) * 20 * time.Second
		to := New(Config{PeerTimeout: 60 * time.Second, Renew: 8 * time.Second, Shards: 1 + rng.IntN(3), Seed: &[32]byte{9}, SketchKey: &[32]byte{3}}, now.Add(late))
		copyTo(p.store, to, now, now.Add(late), Cursor{Booked: true})
		for wait := time.Duration(0); wait < 4*time.Minute; wait += time.Duration(1+rng.IntN(9)) * time.Second {
			at := now.Add(late + wait)
			p.model.now = int(at.Sub(epoch) / time.Second)
			p.store.Expire(at)
			to.Expire(at)
			if want, got := audit(t, p.store), audit(t, to); !maps.EqualFunc(got, want, maps.Equal) && !sameSwarms(got, want) {
				t.Fatalf("seed %d: %v late, %v on: %d torrents and %d", seed, late, wait, len(got), len(want))
			}
			for h := range audit(t, to) {
				a, _ := to.Scrape(h)
				if b, _ := p.store.Scrape(h); a != b {
					t.Fatalf("seed %d: counts %+v, not %+v", seed, a, b)
				}
			}
		}
	}
}

// sameSwarms compares what peers there are: torrents without any may come and go at other times.
func sameSwarms(a, b map[wire.InfoHash]map[wire.Peer]member) bool {
	for _, m := range []map[wire.InfoHash]map[wire.Peer]member{a, b} {
		maps.DeleteFunc(m, func(_ wire.InfoHash, peers map[wire.Peer]member) bool { return len(peers) == 0 })
	}
	return maps.EqualFunc(a, b, maps.Equal[map[wire.Peer]member])
}

// TestRestoreTwice restores the same once more: nothing changes, however often two trackers exchange what they have.
func TestRestoreTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	p, now := someTracker(t, rng, 3000)
	other := New(modelConfig, now.Add(-300*time.Millisecond)) // its ticks begin at other times
	copyTo(p.store, other, now, now, Cursor{})
	before := audit(t, p.store)
	first, _ := walkAll(t, p.store, func() time.Time { return now }, Cursor{}, func() {})
	for range 20 {
		copyTo(other, p.store, now, now, Cursor{})
		copyTo(p.store, other, now, now, Cursor{})
	}
	after, _ := walkAll(t, p.store, func() time.Time { return now }, Cursor{}, func() {})
	if !maps.EqualFunc(audit(t, p.store), before, maps.Equal) {
		t.Fatal("peers have changed")
	}
	for k, m := range first {
		if got := after[k]; got[0].Seen != m[0].Seen {
			t.Fatalf("%v was seen %d ms ago, now %d", k.peer, m[0].Seen, got[0].Seen)
		}
	}
}

// one returns an excerpt of one torrent with one member, or none.
func one(h wire.InfoHash, downloaded uint64, members ...wire.Member) *wire.Excerpt {
	return &wire.Excerpt{Swarms: []wire.Swarm{{InfoHash: h, Downloaded: downloaded, Members: len(members)}}, Members: members}
}

// TestRestoreMerges meets a peer that is there: the fresher one counts, also in its role; marks and counts of both stay.
func TestRestoreMerges(t *testing.T) {
	const minute = 60_000
	now := epoch.Add(20 * time.Minute)
	for _, c := range []struct {
		name       string
		here       wire.Flags
		seen       time.Duration // ago, here
		there      wire.Member
		want       Counts
		downloaded uint64 // there
	}{
		{"fresher here", 0, time.Minute, wire.Member{Flags: wire.Seeding, Seen: 10 * minute}, Counts{Leechers: 1}, 0},
		{"fresher there", 0, 10 * time.Minute, wire.Member{Flags: wire.Seeding, Seen: minute}, Counts{Seeders: 1}, 0},
		{"fresher there, a leecher again", wire.Seeding, 10 * time.Minute, wire.Member{Flags: wire.Partial, Seen: minute}, Counts{Leechers: 1, Partial: 1}, 0},
		{"completed there", 0, 10 * time.Minute, wire.Member{Flags: wire.Seeding | wire.Complete, Seen: minute}, Counts{Seeders: 1, Downloaded: 7}, 7},
		{"both know completions", wire.Seeding | wire.Complete, 10 * time.Minute, wire.Member{Flags: wire.Seeding | wire.Complete, Seen: minute}, Counts{Seeders: 1, Downloaded: 1}, 1},
		{"more here", wire.Seeding | wire.Complete, time.Minute, wire.Member{Flags: wire.Seeding, Seen: minute}, Counts{Seeders: 1, Downloaded: 1}, 0},
		{"only its mark counts", 0, 10 * time.Minute, wire.Member{Flags: wire.Seeding | wire.Complete | wire.MarkOnly, Seen: minute}, Counts{Leechers: 1, Downloaded: 1}, 0},
		{"silent there", wire.Seeding, time.Minute, wire.Member{Seen: 46 * minute}, Counts{Seeders: 1}, 0},
	} {
		tr := newTracker(nil)
		tr.Expire(now.Add(-c.seen))
		tr.Apply(now.Add(-c.seen), wire.Record{InfoHash: hashOf(1), Peer: peer6(1), Flags: c.here})
		c.there.Peer = peer6(1)
		tr.Restorer(0).Restore(now, 0, one(hashOf(1), c.downloaded, c.there))
		if got, _ := tr.Scrape(hashOf(1)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		audit(t, tr)
	}
}

// TestRestoreCompletions gives two trackers completions of their own while they do not hear each other: afterwards both have all, once.
func TestRestoreCompletions(t *testing.T) {
	for _, peers := range []int{3, 400, 5000} { // a few pieces of a restore, and of a walk
		a, b, fresh := seededTracker(1), seededTracker(2), seededTracker(3)
		for i := range 3 * peers {
			r := wire.Record{InfoHash: hashOf(1), Peer: peer4(i), Flags: wire.Seeding | wire.Complete}
			if i < 2*peers {
				a.Apply(epoch, r)
			}
			if i >= peers {
				b.Apply(epoch, r)
			}
		}
		a.Learn(epoch, wire.Tell{InfoHash: hashOf(1), Downloaded: uint64(2*peers + 5)}) // of peers that are gone
		copyTo(a, b, epoch, epoch, Cursor{})
		copyTo(b, a, epoch, epoch, Cursor{})
		copyTo(a, fresh, epoch, epoch, Cursor{})
		for _, tr := range []*Tracker{a, b, fresh} {
			c, _ := tr.Scrape(hashOf(1))
			if c.Seeders != uint32(3*peers) || c.Downloaded < uint64(3*peers) || c.Downloaded > uint64(3*peers+5) {
				t.Errorf("%d peers: %+v", peers, c)
			}
		}
	}
}

// TestRestoreForgotten stores nothing of torrents nobody needs any more, and no record for a torrent whose peers are all silent.
func TestRestoreForgotten(t *testing.T) {
	tr := newTracker(nil)
	r := tr.Restorer(0)
	r.Restore(epoch, 25*time.Hour, one(hashOf(1), 5))
	r.Restore(epoch, 0, one(hashOf(2), 0, wire.Member{Peer: peer4(1), Seen: 47 * 60_000}))
	r.Restore(epoch, 0, one(hashOf(3), 0))
	if n := tr.Torrents(); n != 0 {
		t.Errorf("%d torrents", n)
	}
	r.Restore(epoch, 23*time.Hour, one(hashOf(4), 5))
	if e, ok := tr.Lookup(epoch, hashOf(4)); !ok || e.Age != 23*60 || e.Downloaded != 5 {
		t.Errorf("%+v, %v", e, ok)
	}
}

// TestLeave forgets who stopped elsewhere, but nobody who was seen here in a later tick.
func TestLeave(t *testing.T) {
	tr := newTracker(func(wire.Record) {})
	now := epoch.Add(10 * time.Minute)
	for i := range 11 {
		at := epoch.Add(time.Duration(i) * time.Minute)
		tr.Apply(at, wire.Record{InfoHash: hashOf(1), Peer: peer4(i)})
	}
	var leavers []wire.Leaver
	for i := range 12 {
		leavers = append(leavers, wire.Leaver{InfoHash: hashOf(1), Peer: peer4(i), Age: 4 * 60_000})
	}
	leavers = append(leavers, wire.Leaver{InfoHash: hashOf(9), Peer: peer4(1)})
	tr.Restorer(0).Leave(now, time.Minute, leavers)
	left := audit(t, tr)[hashOf(1)]
	for i := range 11 {
		_, ok := left[peer4(i)]
		if seen := time.Duration(i) * time.Minute; ok != (seen >= 5*time.Minute) && (ok || seen > 5*time.Minute+45*time.Second) {
			t.Errorf("seen at %v, stopped at 5m: there %v", seen, ok)
		}
	}
	var ans Answer
	tr.Announce(epoch, &Announce{InfoHash: hashOf(2), Peer: peer4(1), Booked: 7200}, &ans)
	tr.Restorer(0).Leave(now, 0, []wire.Leaver{{InfoHash: hashOf(2), Peer: peer4(1), Age: 60_000}})
	if _, ok := tr.Scrape(hashOf(2)); ok {
		t.Error("a booked peer stopped elsewhere and stayed")
	}
}

// TestLeaveRestored: a peer from before the start is forgotten that stopped while this tracker was away, though the first tick began later.
func TestLeaveRestored(t *testing.T) {
	for _, booked := range []int32{0, -100 * 60_000} {
		tr := newTracker(nil)
		r := tr.Restorer(0)
		r.Restore(epoch.Add(time.Second), 10*time.Second, one(hashOf(1), 0, wire.Member{Peer: peer4(1), Seen: 5000 + booked, Told: 5000}))
		if leechers(tr, hashOf(1)) != 1 {
			t.Fatal("not restored")
		}
		r.Leave(epoch.Add(2*time.Second), 0, []wire.Leaver{{InfoHash: hashOf(1), Peer: peer4(1), Age: 8000}})
		if leechers(tr, hashOf(1)) != 0 {
			t.Errorf("booked %v: stays", booked < 0)
		}
	}
}

// TestPrune forgets at the end of a stream who was seen here before the cut only and is not in it.
func TestPrune(t *testing.T) {
	for _, n := range []int{30, 3000} {
		here, there := seededTracker(1), seededTracker(2)
		cut := epoch.Add(10 * time.Minute)
		now := cut.Add(15 * time.Minute)
		apply := func(tr *Tracker, at time.Time, i int) {
			p := peer4(i)
			if i%7 == 0 {
				p = peer6(i)
			}
			tr.Apply(at, wire.Record{InfoHash: hashOf(i % 4), Peer: p, Flags: wire.Flags(i%2) * wire.Seeding})
		}
		for i := range n {
			apply(here, epoch, i)
			if i%3 == 0 {
				apply(there, epoch, i) // known to both
			}
		}
		for i := n; i < 2*n; i++ {
			apply(there, epoch, i)
			apply(here, cut.Add(2*time.Minute), i+n) // seen after the cut
		}
		r := copyTo(there, here, now, now, Cursor{})
		if gone := r.Prune(now, now.Sub(cut)); gone != n-(n+2)/3 {
			t.Errorf("%d of %d are gone", gone, n-(n+2)/3)
		}
		all, left := audit(t, here), 0
		for _, peers := range all {
			left += len(peers)
		}
		if want := (n+2)/3 + 2*n; left != want {
			t.Errorf("%d peers are left, want %d", left, want)
		}
	}
}

// BenchmarkRestore restores a million peers in 200,000 torrents.
func BenchmarkRestore(b *testing.B) {
	from := populate(200_000, 5)
	for b.Loop() {
		to := New(Config{Seed: &[32]byte{2}}, epoch)
		copyTo(from, to, epoch, epoch, Cursor{})
	}
}
