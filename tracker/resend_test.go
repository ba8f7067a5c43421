package tracker

import (
	"testing"
	"time"

	"starling/wire"
)

// modelResend is after how many seconds the other nodes are told of a booked peer again, at most.
const modelResend = maxResend

// resend lets the store tell again of booked peers: of those only whom the others would forget before they are due, not
// before their time, and, when it looked at all, of all whose time is over.
func (p *pair) resend() {
	p.t.Helper()
	whole := p.store.resends.begun+p.store.resends.unit*time.Duration(len(p.store.shards)) <= p.now().Sub(epoch)
	before := len(p.told)
	p.store.Resend(p.now())
	outlives := func(m *modelPeer) bool { return m.seen-m.told > 8+1+1+1 }
	for _, r := range p.told[before:] {
		m := p.model.torrents[r.InfoHash].peers[r.Peer]
		if !outlives(m) || p.model.now-m.told < modelResend*2/3 || r.Flags != [2]wire.Flags{0, wire.Seeding}[role(m.seeder)]|wire.Renewal {
			p.t.Fatalf("second %d: told again of %+v, %+v", p.model.now, r, m)
		}
		m.told = p.model.now
		p.model.told = append(p.model.told, r)
	}
	for _, t := range p.model.torrents {
		for peer, m := range t.peers {
			if whole && outlives(m) && p.model.now-m.told >= modelResend {
				p.t.Fatalf("second %d: not told again of %v, %+v", p.model.now, peer, m)
			}
		}
	}
}

// bookedPair returns a node that books and another that is told what the first tells, and the time of both.
func bookedPair() (here, there *Tracker, now *time.Time) {
	at := epoch
	there = newTracker(nil)
	here = newTracker(func(r wire.Record) { there.Apply(at, r) })
	return here, there, &at
}

// TestBooked books returns from half an hour to two hours ahead, at every phase of the clocks: the peer is known on both nodes until
// it is due, told every thirty minutes at most and not much more often than every twenty, and gone at both in the end.
func TestBooked(t *testing.T) {
	const tick, step = DefaultPeerTimeout / 60, 5 * time.Second
	for _, booked := range []time.Duration{time.Minute, 30 * time.Minute, 44 * time.Minute, 61 * time.Minute, 90 * time.Minute, 2 * time.Hour} {
		for _, phase := range []time.Duration{0, tick - 1, 20 * time.Minute} {
			here, there, now := bookedPair()
			told := 0
			tell := here.cfg.OnChange
			here.cfg.OnChange = func(r wire.Record) { told++; tell(r) }
			*now = now.Add(phase)
			start, h := *now, hashOf(1)
			a := Announce{InfoHash: h, Peer: peer4(1), Seeder: true, Booked: uint32(booked / time.Second)}
			var ans Answer
			here.Announce(*now, &a, &ans)
			if ans.Interval != a.Booked || ans.MinInterval != a.Booked/2 {
				t.Fatalf("booked %v: told %d and %d", booked, ans.Interval, ans.MinInterval)
			}
			for ; now.Sub(start) < 3*time.Hour+time.Minute; *now = now.Add(step) {
				here.Expire(*now)
				here.Resend(*now)
				there.Expire(*now)
				for i, tr := range []*Tracker{here, there} {
					if c, _ := tr.Scrape(h); c.Seeders != 1 && now.Sub(start) <= max(booked, DefaultPeerTimeout) {
						t.Fatalf("booked %v, phase %v: node %d forgot it after %v", booked, phase, i, now.Sub(start))
					}
				}
			}
			if n := here.Torrents() + there.Torrents(); n != 0 {
				t.Errorf("booked %v: still known after three hours", booked)
			}
			if most := 1 + int(booked/(18*time.Minute)); told > most || booked <= 30*time.Minute && told > 1 {
				t.Errorf("booked %v: told %d times, want at most %d", booked, told, most)
			}
		}
	}
}

// TestBookedJumps lets an hour pass in one step, and time run backwards: the peer is there until its time, and goes.
func TestBookedJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		here, _, now := bookedPair()
		var ans Answer
		here.Announce(*now, &Announce{InfoHash: hashOf(1), Peer: peer4(1), Booked: 7200}, &ans)
		*now = now.Add(jump)
		for range 60 {
			here.Expire(*now)
			here.Resend(*now)
			if leechers(here, hashOf(1)) != 1 {
				t.Fatalf("jump of %v: gone %v after", jump, now.Sub(epoch))
			}
			*now = now.Add(45 * time.Second)
		}
		for range 6 * 80 {
			here.Expire(*now)
			*now = now.Add(45 * time.Second)
		}
		if here.Torrents() != 0 {
			t.Errorf("jump of %v: never gone", jump)
		}
	}
}

// TestResendLarge tells again of a swarm with directories in which peers come and go, no more than a shard's part at once.
func TestResendLarge(t *testing.T) {
	told := map[wire.Peer]int{}
	tr := newTracker(func(r wire.Record) { told[r.Peer]++ })
	now := epoch
	const peers = 5000
	for i := range peers {
		p := peer4(i)
		if i%3 == 0 {
			p = peer6(i)
		}
		var ans Answer
		tr.Announce(now, &Announce{InfoHash: hashOf(1), Peer: p, Booked: 5400}, &ans)
	}
	for ; now.Before(epoch.Add(80 * time.Minute)); now = now.Add(20 * time.Second) {
		tr.Expire(now)
		tr.Resend(now)
	}
	if len(told) != peers {
		t.Fatalf("%d of %d", len(told), peers)
	}
	for p, n := range told {
		if n < 2 || n > 4 {
			t.Errorf("%v was told %d times", p, n)
		}
	}
}
