package tracker

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// peerKey names a peer of a torrent.
type peerKey struct {
	hash wire.InfoHash
	peer wire.Peer
}

// walkAll walks over everything in pieces, calls between after each, and returns how often each peer was seen and the torrents' counts.
func walkAll(t *testing.T, tr *Tracker, now func() time.Time, c Cursor, between func()) (peers map[peerKey][]wire.Member, swarms map[wire.InfoHash]wire.Swarm) {
	t.Helper()
	peers, swarms = map[peerKey][]wire.Member{}, map[wire.InfoHash]wire.Swarm{}
	var x wire.Excerpt
	for more := true; more; {
		x.Reset()
		more = tr.Walk(now(), &c, &x)
		if len(x.Members) > walkMembers+2*maxBlock || len(x.Swarms) > sweepWork {
			t.Fatalf("a piece of %d peers in %d torrents", len(x.Members), len(x.Swarms))
		}
		members := x.Members
		for _, s := range x.Swarms {
			swarms[s.InfoHash] = s
			for _, m := range members[:s.Members] {
				k := peerKey{s.InfoHash, m.Peer}
				peers[k] = append(peers[k], m)
			}
			members = members[s.Members:]
		}
		between()
	}
	return peers, swarms
}

// checkWalk walks over everything and compares it with the model.
func (p *pair) checkWalk() {
	p.t.Helper()
	peers, swarms := walkAll(p.t, p.store, p.now, Cursor{Booked: true}, func() {})
	if len(swarms) != len(p.model.torrents) {
		p.t.Fatalf("walked over %d torrents, the model has %d", len(swarms), len(p.model.torrents))
	}
	left := len(peers)
	for h, t := range p.model.torrents {
		if s := swarms[h]; s.Downloaded != t.downloaded || int(s.Age) != p.model.now/60-t.last {
			p.t.Fatalf("walked over %+v, the model has %+v", s, t)
		}
		for peer, m := range t.peers {
			if p.model.now-m.seen > 60 {
				continue // silent, and forgotten by the next sweep
			}
			left--
			got := peers[peerKey{h, peer}]
			want := wire.Member{Peer: peer, Seen: int32(p.model.now-m.seen) * 1000, Told: uint32(p.model.now-m.told) * 1000}
			for _, f := range []struct {
				on   bool
				flag wire.Flags
			}{{m.seeder, wire.Seeding}, {m.completed, wire.Complete}, {m.partial, wire.Partial}} {
				if f.on {
					want.Flags |= f.flag
				}
			}
			if len(got) != 1 || got[0] != want {
				p.t.Fatalf("walked over %+v, the model has %+v", got, want)
			}
		}
	}
	if left != 0 {
		p.t.Fatalf("walked over %d peers that are not there", left)
	}
}

// TestWalkWhileChanging lets peers come, go and change roles between the pieces, so that directories appear, split, join and go: those that
// are there from start to end are seen exactly once.
func TestWalkWhileChanging(t *testing.T) {
	for round := range fewer(40) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		tr := New(Config{Shards: 1 + rng.IntN(2), Seed: &[32]byte{3}}, epoch)
		torrents, peers := 1+rng.IntN(3), 20+rng.IntN(9000)
		apply := func(i int, f wire.Flags) {
			p := peer4(i)
			if i%5 == 0 {
				p = peer6(i)
			}
			tr.Apply(epoch, wire.Record{InfoHash: hashOf(i % torrents), Peer: p, Flags: f})
		}
		there := map[int]bool{} // at the start, and never away since
		for i := range peers {
			if rng.IntN(3) > 0 {
				apply(i, wire.Flags(rng.IntN(2))*wire.Seeding)
				there[i] = true
			}
		}
		growing := round%2 == 0
		seen, _ := walkAll(t, tr, func() time.Time { return epoch }, Cursor{}, func() {
			for range rng.IntN(peers/3 + 1) {
				i := rng.IntN(peers)
				switch n := rng.IntN(10); {
				case n < 3:
					apply(i, wire.Flags(rng.IntN(2))*wire.Seeding) // it may be new, or change its role
				case growing:
					apply(peers+i*7, wire.Seeding)
				default:
					apply(i, wire.Stopped)
					delete(there, i)
				}
			}
		})
		for i := range there {
			p := peer4(i)
			if i%5 == 0 {
				p = peer6(i)
			}
			if n := len(seen[peerKey{hashOf(i % torrents), p}]); n != 1 {
				t.Fatalf("seed %d: peer %d of %d in %d torrents was seen %d times", seed, i, peers, torrents, n)
			}
		}
		audit(t, tr)
	}
}

// TestWalkWithin leaves out who was told of before, and torrents that nobody announced since.
func TestWalkWithin(t *testing.T) {
	tr := newTracker(nil)
	for i := range 30 {
		at := epoch.Add(time.Duration(i) * time.Minute)
		tr.Expire(at)
		tr.Apply(at, wire.Record{InfoHash: hashOf(i), Peer: peer4(i)})
	}
	now := func() time.Time { return epoch.Add(30 * time.Minute) }
	peers, swarms := walkAll(t, tr, now, Cursor{Within: 10 * time.Minute}, func() {})
	for i := range 30 {
		_, got := peers[peerKey{hashOf(i), peer4(i)}]
		_, known := swarms[hashOf(i)]
		switch ago := 30 - i; {
		case ago <= 10 && !(got && known), ago > 13 && (got || known):
			t.Errorf("told %d minutes ago: peer seen %v, torrent %v", ago, got, known)
		}
	}
}

// TestWalkWithinSlowly: who was told of within the time when the walk began is seen however long it takes.
func TestWalkWithinSlowly(t *testing.T) {
	tr := newTracker(nil)
	for i := range 100 {
		tr.Apply(epoch, wire.Record{InfoHash: hashOf(i), Peer: peer4(i)})
	}
	now := epoch
	peers, _ := walkAll(t, tr, func() time.Time { now = now.Add(10 * time.Second); return now }, Cursor{Within: time.Minute}, func() {})
	if len(peers) != 100 {
		t.Errorf("saw %d of 100 peers in a walk of %s", len(peers), now.Sub(epoch))
	}
}

// TestWalkBooked sees a booked peer as the other nodes know it, or as it is.
func TestWalkBooked(t *testing.T) {
	tr := newTracker(func(wire.Record) {})
	var ans Answer
	tr.Announce(epoch, &Announce{InfoHash: hashOf(1), Peer: peer4(1), Booked: 7200}, &ans)
	now := epoch.Add(5 * time.Minute)
	tr.Expire(now)
	for booked, want := range map[bool]time.Duration{false: 5 * time.Minute, true: 5*time.Minute - futureTicks*DefaultPeerTimeout/60} {
		peers, _ := walkAll(t, tr, func() time.Time { return now }, Cursor{Booked: booked}, func() {})
		m := peers[peerKey{hashOf(1), peer4(1)}]
		if len(m) != 1 || (time.Duration(m[0].Seen)*time.Millisecond-want).Abs() > 2*time.Minute {
			t.Errorf("booked %v: %+v, want it seen %v ago", booked, m, want)
		}
	}
}

// BenchmarkWalk walks over a million peers in 200,000 torrents.
func BenchmarkWalk(b *testing.B) {
	tr := populate(200_000, 5)
	var x wire.Excerpt
	for b.Loop() {
		n, c := 0, (Cursor{})
		for more := true; more; {
			x.Reset()
			more = tr.Walk(epoch, &c, &x)
			n += len(x.Members)
		}
		if n != 1_000_000 {
			b.Fatal(n)
		}
	}
}
