package tracker

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// newTracker returns a tracker with the default times: peers are forgotten after 45 minutes, ticks are 45 s.
func newTracker(change func(wire.Record)) *Tracker {
	return New(Config{Shards: 2, Seed: &[32]byte{3}, OnChange: change}, epoch)
}

// seen announces a peer as a leecher.
func seen(tr *Tracker, now time.Time, h wire.InfoHash, p wire.Peer) (ans Answer) {
	tr.Announce(now, &Announce{InfoHash: h, Peer: p, NumWant: 50, BothFamilies: true}, &ans)
	return ans
}

func leechers(tr *Tracker, h wire.InfoHash) int {
	c, _ := tr.Scrape(h)
	return int(c.Leechers)
}

// TestExpire runs sweeps at all sorts of distances, and finds each peer there until its
// timeout has passed, and gone two ticks later at most, in the first round as in later ones.
func TestExpire(t *testing.T) {
	const timeout, tick = DefaultPeerTimeout, DefaultPeerTimeout / 60
	for _, phase := range []time.Duration{0, time.Nanosecond, tick / 2, tick - 1} {
		for _, step := range []time.Duration{tick, tick / 7, tick + 1} {
			tr := newTracker(nil)
			now := epoch
			for n := range 4 { // one peer after the other, so that the ticks wrap round
				h := hashOf(n)
				now = now.Add(phase)
				last := now
				seen(tr, now, h, peer4(n))
				seen(tr, now, h, peer6(n))
				for {
					now = now.Add(step)
					tr.Expire(now)
					left, age := leechers(tr, h), now.Sub(last)
					if age <= timeout && left != 2 {
						t.Fatalf("round %d, phase %v, step %v: a peer was gone after %v", n, phase, step, age)
					}
					if left == 0 {
						break
					}
					if age >= timeout+2*tick+step {
						t.Fatalf("round %d, phase %v, step %v: %d peers were there after %v", n, phase, step, left, age)
					}
				}
				if _, ok := tr.Scrape(h); ok {
					t.Fatal("a torrent that lost its last peers and has no completions was kept")
				}
			}
		}
	}
}

// TestExpireTicks looks at the first, the second and the third tick after the timeout of peers that were seen in
// consecutive ticks: each sweep forgets exactly its own.
func TestExpireTicks(t *testing.T) {
	const tick = DefaultPeerTimeout / 60
	tr := newTracker(nil)
	for i := range 3 {
		seen(tr, epoch.Add(time.Duration(i)*tick), hashOf(1), peer4(i))
	}
	for i := range 61 {
		tr.Expire(epoch.Add(time.Duration(i) * tick))
	}
	for gone := range 4 {
		if n := leechers(tr, hashOf(1)); n != 3-gone {
			t.Fatalf("%d peers after %d ticks of expiry", n, gone)
		}
		tr.Expire(epoch.Add(time.Duration(61+gone) * tick))
	}
	if s := tr.Stats(); s.Expired != 3 || s.Peers4 != 0 {
		t.Fatalf("stats say %+v", s)
	}
}

// TestClockJumps lets the time jump between announces and sweeps. A peer that announced before a long
// jump is forgotten, one that announces after it is not, whoever notices the jump first.
func TestClockJumps(t *testing.T) {
	const tick = DefaultPeerTimeout / 60
	for _, jump := range []time.Duration{time.Hour, 95 * time.Minute, 96 * time.Minute, 100 * time.Minute, 3 * 24 * time.Hour, 400 * 24 * time.Hour} {
		for _, announceFirst := range []bool{true, false} {
			for before := range 6 { // how many ticks the sweep has been late already
				tr := newTracker(nil)
				tr.Expire(epoch.Add(tick))
				now := epoch.Add(time.Duration(1+before) * tick)
				seen(tr, now, hashOf(1), peer4(1))
				now = now.Add(jump)
				if !announceFirst {
					tr.Expire(now)
				}
				seen(tr, now, hashOf(1), peer4(2))
				for range 59 {
					tr.Expire(now)
					now = now.Add(tick)
				}
				if n := leechers(tr, hashOf(1)); n != 1 {
					t.Fatalf("jump of %v, announce first %v, %d ticks before: %d peers", jump, announceFirst, before, n)
				}
				tr.Expire(now.Add(4 * tick))
				if n := tr.Torrents(); n != 0 {
					t.Fatalf("jump of %v: %d torrents stayed", jump, n)
				}
			}
		}
	}
}

// TestClockBackwards sets the time back: nothing is forgotten early, and all is forgotten a timeout after.
func TestClockBackwards(t *testing.T) {
	const tick = DefaultPeerTimeout / 60
	for _, back := range []time.Duration{time.Second, tick, time.Hour, 3 * 24 * time.Hour} {
		tr := newTracker(nil)
		now := epoch.Add(90 * time.Minute)
		tr.Expire(now)
		seen(tr, now, hashOf(1), peer4(1))
		now = now.Add(-back)
		seen(tr, now, hashOf(1), peer4(2))
		for range 60 {
			tr.Expire(now)
			if n := leechers(tr, hashOf(1)); n != 2 {
				t.Fatalf("%v back: %d peers", back, n)
			}
			now = now.Add(tick)
		}
		tr.Expire(now.Add(3 * tick))
		if n := tr.Torrents(); back > time.Second && n != 0 {
			t.Fatalf("%v back: %d torrents stayed", back, n)
		}
	}
}

// TestClockInversions gives many threads' readings out of order: the time must not run faster for it.
func TestClockInversions(t *testing.T) {
	c := clock{unit: time.Second, span: 1000}
	for i := range 10_000 {
		c.advance(time.Duration(i) * time.Millisecond)
		c.advance(time.Duration(i)*time.Millisecond - 900*time.Millisecond)
	}
	if c.tick != 9 {
		t.Fatalf("%d ticks in 10 s", c.tick)
	}
}

// TestKeepDownloaded keeps the count of completions a day after the last announce, and other torrents' records not as long.
func TestKeepDownloaded(t *testing.T) {
	tr := newTracker(nil)
	var ans Answer
	tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: peer4(1), Event: wire.EventCompleted, Seeder: true}, &ans)
	tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: peer4(1), Event: wire.EventStopped, Seeder: true}, &ans)
	tr.Learn(epoch, wire.Tell{InfoHash: hashOf(2), Age: 0, Downloaded: 5})
	tr.Learn(epoch, wire.Tell{InfoHash: hashOf(3), Age: 1000, Downloaded: 5})
	tr.Learn(epoch, wire.Tell{InfoHash: hashOf(4), Age: 4_000_000_000, Downloaded: 5})
	tr.Learn(epoch, wire.Tell{InfoHash: hashOf(5), Age: 0})
	tr.Learn(epoch, wire.Tell{InfoHash: hashOf(6), Age: 40})
	until := []time.Duration{1: 24 * time.Hour, 2: 24 * time.Hour, 3: 440 * time.Minute, 4: 0, 5: 45 * time.Minute, 6: 5 * time.Minute}
	for age := time.Duration(0); age < 25*time.Hour; age += time.Minute / 2 {
		tr.Expire(epoch.Add(age))
		for n := 1; n < len(until); n++ {
			_, ok := tr.Lookup(epoch.Add(age), hashOf(n))
			if ok && age > until[n]+2*time.Minute || !ok && age <= until[n] {
				t.Fatalf("torrent %d, to be kept %v: after %v there %v", n, until[n], age, ok)
			}
		}
	}
}

// TestSweepPieces lets peers come and go in a swarm too large for one piece of a sweep, between the pieces.
func TestSweepPieces(t *testing.T) {
	const peers, tick = 15_000, DefaultPeerTimeout / 60
	rng := rand.New(rand.NewPCG(1, 1))
	tr := New(Config{Shards: 1, Seed: &[32]byte{3}}, epoch)
	s := &tr.shards[0]
	for half, at := range []time.Time{epoch, epoch.Add(50 * tick)} { // the first half will be silent
		tr.Expire(at)
		for i := half; i < peers; i += 2 {
			tr.Apply(at, wire.Record{InfoHash: hashOf(i % 50 / 49), Peer: peer4(i)})
		}
	}
	now := epoch.Add(62 * tick)
	s.beginSweep(now.Sub(epoch))
	began, toldBegan := s.seen.tick, s.told.tick
	pieces := 0
	for ; s.goOn(); pieces++ {
		now = now.Add(tick)
		for range 300 {
			i := rng.IntN(2 * peers)
			if i >= peers {
				seen(tr, now, hashOf(0), peer4(i)) // new: blocks are split
				continue
			}
			var ans Answer // most are gone before long: blocks would be joined
			tr.Announce(now, &Announce{InfoHash: hashOf(i % 50 / 49), Peer: peer4(i), Event: wire.EventStopped}, &ans)
		}
	}
	if pieces < 2 {
		t.Fatalf("the sweep took %d pieces", pieces)
	}
	if s.seen.swept != began || s.told.swept != toldBegan {
		t.Fatal("ages do not count from the tick in which the sweep began")
	}
	all := audit(t, tr)
	for i := 0; i < peers; i += 2 {
		if _, ok := all[hashOf(i%50/49)][peer4(i)]; ok {
			t.Fatalf("peer %d was seen %v ago and is still there", i, now.Sub(epoch))
		}
	}
}

// TestEmptiedDuringSweep takes the last peers out of a directory that a sweep has left half done.
func TestEmptiedDuringSweep(t *testing.T) {
	const peers, tick = 15_000, DefaultPeerTimeout / 60
	tr := New(Config{Shards: 1, Seed: &[32]byte{3}}, epoch)
	s := &tr.shards[0]
	for i := range peers {
		tr.Apply(epoch, wire.Record{InfoHash: hashOf(0), Peer: peer4(i), Flags: wire.Seeding})
	}
	seen(tr, epoch, hashOf(1), peer4(1))
	s.beginSweep(62 * tick)
	if !s.goOn() || s.sweep.table != seeders4 {
		t.Fatal("the first piece does not end in the table of seeders")
	}
	var ans Answer
	for i := range peers {
		tr.Announce(epoch, &Announce{InfoHash: hashOf(0), Peer: peer4(i), Event: wire.EventStopped}, &ans)
	}
	audit(t, tr)
	if n := tr.Torrents(); n != 1 {
		t.Fatalf("%d torrents are left", n)
	}
	for s.goOn() {
	}
	audit(t, tr)
	if n := tr.Torrents(); n != 0 {
		t.Fatalf("%d torrents stayed, the sweep passed over the second", n)
	}
	if len(s.swarms.spare) != len(s.swarms.directories) || s.swarms.slab.used != 0 {
		t.Fatal("a directory or a block leaked")
	}
}

// TestSweepManyTorrents sweeps more torrents than one piece takes, in shards that are done at different times.
func TestSweepManyTorrents(t *testing.T) {
	tr := newTracker(nil)
	for n := range 3 * sweepWork {
		seen(tr, epoch, hashOf(n), peer4(n))
	}
	tr.Expire(epoch.Add(2 * DefaultPeerTimeout))
	if s := tr.Stats(); s.Torrents != 0 || s.Expired != 3*sweepWork {
		t.Fatalf("stats are %+v", s)
	}
	if n := leechers(tr, hashOf(1)); n != 0 {
		t.Fatalf("%d leechers", n)
	}
}
