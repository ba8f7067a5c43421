package tracker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// model is the store as it would be written without any thought of memory: maps. Its time is whole seconds, and the
// tests make each tick of the store one second, so that both agree to the second on what is silent and what is due.
type model struct {
	now       int // seconds since the start
	swept     int // second of the last sweep
	torrents  map[wire.InfoHash]*modelTorrent
	told      []wire.Record
	completed uint64
	expired   uint64
}

type modelTorrent struct {
	last       int // minute of the last announce
	downloaded uint64
	peers      map[wire.Peer]*modelPeer
}

type modelPeer struct {
	seen, told int // seconds; a peer that was booked is seen in the future
	member
}

// modelConfig makes ticks of one second.
var modelConfig = Config{PeerTimeout: 60 * time.Second, Renew: 8 * time.Second, NumWant: 5, MaxNumWant: 60, SketchKey: &[32]byte{3}}

func (m *model) announce(a *Announce) {
	if a.Event == wire.EventStopped {
		m.stop(a.InfoHash, a.Peer)
		m.told = append(m.told, wire.Record{InfoHash: a.InfoHash, Peer: a.Peer, Flags: wire.Stopped})
		return
	}
	p, before, known := m.touch(a.InfoHash, a.Peer)
	p.seen += min(max(int(a.Booked)+1+slackTicks-timeoutTicks, 0), futureTicks)
	if a.Booked == 0 {
		p.seen = m.now
	}
	p.seeder = a.Seeder
	p.partial = a.Event == wire.EventPaused && !a.Seeder
	flags := wire.Flags(0)
	if a.Seeder {
		flags = wire.Seeding
		if a.Event == wire.EventCompleted && !p.completed {
			flags |= wire.Complete
			m.complete(a.InfoHash, p)
		}
	}
	changes := !known || before.seeder != p.seeder || flags.Completion()
	if changes || m.now-p.told > 8 {
		if !changes {
			flags |= wire.Renewal
		}
		p.told = m.now
		m.told = append(m.told, wire.Record{InfoHash: a.InfoHash, Peer: a.Peer, Flags: flags})
	}
}

func (m *model) apply(r wire.Record) {
	if r.Flags&wire.Stopped != 0 {
		m.stop(r.InfoHash, r.Peer)
		return
	}
	p, _, _ := m.touch(r.InfoHash, r.Peer)
	p.told = m.now
	p.seeder = r.Flags&wire.Seeding != 0
	p.partial = p.partial && !p.seeder
	if r.Flags.Completion() && !p.completed {
		m.complete(r.InfoHash, p)
	}
}

// touch returns a peer that is new or seen again, what it was before, and whether it was known.
func (m *model) touch(h wire.InfoHash, peer wire.Peer) (p *modelPeer, before modelPeer, known bool) {
	t := m.torrents[h]
	if t == nil {
		t = &modelTorrent{peers: map[wire.Peer]*modelPeer{}}
		m.torrents[h] = t
	}
	t.last = m.now / 60
	p = t.peers[peer]
	if known = p != nil; known {
		before = *p
	} else {
		p = &modelPeer{}
		t.peers[peer] = p
	}
	p.seen = m.now
	return p, before, known
}

func (m *model) complete(h wire.InfoHash, p *modelPeer) {
	p.completed = true
	m.completed++
	m.torrents[h].downloaded++
}

func (m *model) stop(h wire.InfoHash, peer wire.Peer) {
	t := m.torrents[h]
	if t == nil || t.peers[peer] == nil {
		return
	}
	delete(t.peers, peer)
	if len(t.peers) == 0 && t.downloaded == 0 {
		delete(m.torrents, h)
	}
}

func (m *model) learn(e wire.Tell) (news bool) {
	t := m.torrents[e.InfoHash]
	if t == nil {
		m.torrents[e.InfoHash] = &modelTorrent{last: m.now/60 - int(min(e.Age, 24*60)), downloaded: e.Downloaded, peers: map[wire.Peer]*modelPeer{}}
		return true
	}
	news = e.Downloaded > t.downloaded
	t.downloaded = max(t.downloaded, e.Downloaded)
	return news
}

func (m *model) expire() {
	if m.now == m.swept {
		return
	}
	m.swept = m.now
	for h, t := range m.torrents {
		gone := false
		for peer, p := range t.peers {
			if m.now-p.seen > 60 {
				delete(t.peers, peer)
				m.expired++
				gone = true
			}
			p.told = max(p.told, m.now-modelResend)
		}
		age := m.now/60 - t.last
		if len(t.peers) == 0 && (age > 24*60 || t.downloaded == 0 && (gone || age > 1)) {
			delete(m.torrents, h)
		}
	}
}

func (m *model) counts(h wire.InfoHash) (c Counts, ok bool) {
	t := m.torrents[h]
	if t == nil {
		return c, false
	}
	c.Downloaded = t.downloaded
	for _, p := range t.peers {
		switch {
		case p.seeder:
			c.Seeders++
		case p.partial:
			c.Partial++
			fallthrough
		default:
			c.Leechers++
		}
	}
	return c, true
}

// pair is a store and the model of it, which are given the same.
type pair struct {
	t     *testing.T
	store *Tracker
	model model
	told  []wire.Record // by the store
	calls int           // of announce
}

// newPair returns both, empty. A store with a budget that is large enough does what one without does.
func newPair(t *testing.T, shards int, budget *Budget) *pair {
	p := &pair{t: t, model: model{torrents: map[wire.InfoHash]*modelTorrent{}}}
	cfg := modelConfig
	cfg.Shards, cfg.Budget = shards, budget
	cfg.Seed = &[32]byte{7}
	cfg.OnChange = func(r wire.Record) { p.told = append(p.told, r) }
	p.store = New(cfg, epoch)
	return p
}

func (p *pair) now() time.Time { return epoch.Add(time.Duration(p.model.now) * time.Second) }

func (p *pair) announce(a *Announce) {
	p.t.Helper()
	ans := Answer{Peers4: []byte("head"), Peers6: []byte("head")}
	p.store.Announce(p.now(), a, &ans)
	p.model.announce(a)
	if len(p.told) != len(p.model.told) || len(p.told) > 0 && p.told[len(p.told)-1] != p.model.told[len(p.told)-1] {
		p.t.Fatalf("told %d records, the model %d, or another one", len(p.told), len(p.model.told))
	}
	p.calls++
	if t := p.model.torrents[a.InfoHash]; t != nil && len(t.peers) > 100 && p.calls%16 != 0 {
		return // the model counts by looking at everyone
	}
	c, _ := p.model.counts(a.InfoHash)
	if got := (Counts{ans.Seeders, ans.Leechers, c.Partial, ans.Downloaded}); got != c {
		p.t.Fatalf("answer counts %+v, the model %+v", got, c)
	}
	p.checkPeers(a, &ans)
}

// checkPeers checks who is in an answer, and that there are as many as could be.
func (p *pair) checkPeers(a *Announce, ans *Answer) {
	p.t.Helper()
	want := a.NumWant
	if want < 0 {
		want = modelConfig.NumWant
	}
	want = min(want, modelConfig.MaxNumWant)
	own, other := ans.Peers4, ans.Peers6
	if !a.Peer.Is4() {
		own, other = other, own
	}
	seen := map[wire.Peer]bool{a.Peer: true}
	n := p.checkFamily(a, own[len("head"):], a.Peer.Is4(), want, seen)
	if !a.BothFamilies || a.Event == wire.EventStopped {
		want = n
	}
	p.checkFamily(a, other[len("head"):], !a.Peer.Is4(), want-n, seen)
}

func (p *pair) checkFamily(a *Announce, b []byte, is4 bool, want int, seen map[wire.Peer]bool) (n int) {
	p.t.Helper()
	size, read := wire.Compact6, wire.PeerFrom6
	if is4 {
		size, read = wire.Compact4, wire.PeerFrom4
	}
	var there, got [2]int // leechers and seeders
	t := p.model.torrents[a.InfoHash]
	if t != nil && a.Event != wire.EventStopped {
		for peer, m := range t.peers {
			if peer.Is4() == is4 && peer != a.Peer {
				there[role(m.seeder)]++
			}
		}
	}
	for ; len(b) > 0; b = b[size:] {
		peer := read(b)
		if seen[peer] {
			p.t.Fatalf("answer has %v twice, or it is the asker", peer)
		}
		seen[peer] = true
		m := t.peers[peer]
		if m == nil || peer.Is4() != is4 {
			p.t.Fatalf("answer has %v, which is no such peer of the swarm", peer)
		}
		got[role(m.seeder)]++
	}
	if a.Seeder {
		there[1] = 0
	}
	seeders := min(there[1], max(want/2, want-there[0]))
	if expect := [2]int{min(there[0], want-seeders), seeders}; got != expect {
		p.t.Fatalf("answer has %v leechers and seeders of %v with %d wanted, not %v", got, there, want, expect)
	}
	return got[0] + got[1]
}

func role(seeder bool) int {
	if seeder {
		return 1
	}
	return 0
}

// check compares all of the store with all of the model.
func (p *pair) check() {
	p.t.Helper()
	all := audit(p.t, p.store)
	if len(all) != len(p.model.torrents) || p.store.Torrents() != uint64(len(all)) {
		p.t.Fatalf("store has %d torrents and says %d, the model has %d", len(all), p.store.Torrents(), len(p.model.torrents))
	}
	p.checkLoad()
	if b := p.store.cfg.Budget; b != nil {
		auditBudget(p.t, b, p.store)
	}
	want := Stats{Completed: p.model.completed, Expired: p.model.expired, Torrents: uint64(len(all))}
	for h, t := range p.model.torrents {
		c, _ := p.model.counts(h)
		if got, ok := p.store.Scrape(h); !ok || got != c {
			p.t.Fatalf("scrape says %+v, the model %+v", got, c)
		}
		tell := wire.Tell{InfoHash: h, Age: uint32(p.model.now/60 - t.last), Downloaded: t.downloaded}
		if got, ok := p.store.Lookup(p.now(), h); !ok || got != tell {
			p.t.Fatalf("lookup says %+v, the model %+v", got, tell)
		}
		for peer, m := range t.peers {
			if got, ok := all[h][peer]; !ok || got != m.member {
				p.t.Fatalf("store has %+v, %v for %v, the model %+v", got, ok, peer, m.member)
			}
			if peer.Is4() {
				want.Peers4++
			} else {
				want.Peers6++
			}
		}
		want.Seeders += uint64(c.Seeders)
		want.Leechers += uint64(c.Leechers)
		want.Partial += uint64(c.Partial)
	}
	got := p.store.Stats()
	got.Bytes, got.Renewed = 0, want.Renewed // the model has neither
	if got != want {
		p.t.Fatalf("stats are %+v, the model's %+v", got, want)
	}
}

// checkLoad looks at how full the blocks of directories are, and that unused directories hold nothing.
func (p *pair) checkLoad() {
	p.t.Helper()
	for i := range p.store.shards {
		for _, d := range p.store.shards[i].swarms.directories {
			if d.thin() || d.peers > len(d.blocks)*bucketPeers || d.peers == 0 && d.blocks != nil {
				p.t.Fatalf("a directory has %d blocks for %d peers", len(d.blocks), d.peers)
			}
		}
	}
}

// checkTells walks over all torrents.
func (p *pair) checkTells(step int) {
	p.t.Helper()
	seen := map[wire.InfoHash]bool{}
	dst := make([]wire.Tell, step)
	for cursor := uint64(0); ; {
		n, next := p.store.Tells(p.now(), cursor, dst)
		for _, e := range dst[:n] {
			t := p.model.torrents[e.InfoHash]
			if t == nil || seen[e.InfoHash] || e.Downloaded != t.downloaded || int(e.Age) != p.model.now/60-t.last {
				p.t.Fatalf("told %+v (twice: %v), the model has %+v", e, seen[e.InfoHash], t)
			}
			seen[e.InfoHash] = true
		}
		if cursor = next; next == 0 {
			break
		}
	}
	if len(seen) != len(p.model.torrents) {
		p.t.Fatalf("told %d torrents of %d", len(seen), len(p.model.torrents))
	}
}

// op is an operation on both, as random numbers choose it.
type op struct {
	kind, event      uint8
	torrent, peer    int
	seeder, both, v6 bool
	number           uint16
}

func (p *pair) do(o op) {
	p.t.Helper()
	h, peer := hashOf(o.torrent), peer4(o.peer)
	if o.v6 {
		peer = peer6(o.peer)
	}
	switch o.kind % 16 {
	default:
		a := Announce{InfoHash: h, Peer: peer, Event: wire.Event(o.event % 5), Seeder: o.seeder, NumWant: int(o.number%80) - 1, BothFamilies: o.both}
		if o.event&0x80 != 0 {
			a.Booked = uint32(o.number % 250)
		}
		p.announce(&a)
	case 8, 9, 10, 11, 12:
		r := wire.Record{InfoHash: h, Peer: peer, Flags: wire.Flags(o.event) & (wire.Seeding | wire.Complete | wire.Stopped)}
		p.store.Apply(p.now(), r)
		p.model.apply(r)
	case 13:
		e := wire.Tell{InfoHash: h, Age: uint32(o.number) % 2000, Downloaded: uint64(o.number) % 7}
		if got, want := p.store.Learn(p.now(), e), p.model.learn(e); got != want {
			p.t.Fatalf("learn says %v, the model %v", got, want)
		}
	case 14:
		p.model.now += int(o.number % 4)
		// A clock runs only so far ahead of the last sweep and forgets the rest; the model's does not.
		if p.model.now-p.model.swept > toldSpan-4 {
			p.store.Expire(p.now())
			p.model.expire()
		}
	case 15:
		p.store.Expire(p.now())
		p.model.expire()
		p.resend()
	}
}

// TestModel gives the store and the model long random sequences of everything.
func TestModel(t *testing.T) {
	for _, space := range []struct{ shards, torrents, peers, ops, every int }{
		{1, 3, 5, 20_000, 10},      // the same few names again and again
		{1, 1, 400, 30_000, 250},   // one swarm around the size where directories come and go
		{2, 300, 4, 30_000, 500},   // a table that grows and shrinks
		{1, 2, 3000, 50_000, 1000}, // large directories
		{4, 2000, 30, 50_000, 5000},
	} {
		t.Run(fmt.Sprintf("%+v", space), func(t *testing.T) {
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			rng := rand.New(rand.NewPCG(seed, 0))
			var budget *Budget
			if rng.IntN(2) == 0 {
				budget = NewBudget(256 << 20)
			}
			p := newPair(t, space.shards, budget)
			ops := fewer(space.ops)
			for i := range ops {
				o := op{
					kind: uint8(rng.UintN(14)), event: uint8(rng.Uint32()), torrent: rng.IntN(space.torrents), peer: rng.IntN(space.peers),
					seeder: rng.IntN(3) == 0, both: rng.IntN(2) == 0, v6: rng.IntN(3) == 0, number: uint16(rng.Uint32()),
				}
				// Growing and shrinking take turns.
				if leaving := i/(ops/6)%2 == 1; leaving && rng.IntN(4) > 0 {
					o.kind, o.event = 0, uint8(wire.EventStopped)
				} else if !leaving && o.kind < 8 && wire.Event(o.event%5) == wire.EventStopped && rng.IntN(4) > 0 {
					o.event = uint8(wire.EventStarted)
				}
				switch n := rng.IntN(space.peers * space.torrents); {
				case n == 0:
					o.kind = 14
				case n < 3:
					o.kind = 15
				}
				p.do(o)
				if i%space.every == 0 {
					p.check()
					p.checkTells(8 + rng.IntN(100))
					p.checkWalk()
				}
			}
			p.check()
			p.leave()
		})
	}
}

// leave lets all peers fall silent and all torrents be forgotten: nothing may be left.
func (p *pair) leave() {
	p.t.Helper()
	for range 25 * 6 {
		p.model.now += 600
		p.store.Expire(p.now())
		p.model.expire()
	}
	p.check()
	if n := p.store.Torrents(); n != 0 {
		p.t.Fatalf("%d torrents are left after a day", n)
	}
	for i := range p.store.shards {
		if s := &p.store.shards[i].swarms; s.slab.used != 0 || len(s.spare) != len(s.directories) {
			p.t.Fatalf("%d words and %d directories are left without peers", s.slab.used, len(s.directories)-len(s.spare))
		}
	}
}

// FuzzModel reads a sequence of operations from bytes, eight for each.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 2, 0, 1, 0, 1, 9, 0, 8, 0xc0, 0, 1, 0, 0, 0, 0, 14, 0, 0, 0, 0, 0, 3, 0, 15, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newPair(t, 1, NewBudget(256<<20))
		for i := 0; len(b) >= 8; i++ {
			p.do(op{
				kind: b[0], event: b[1], torrent: int(b[2] % 8), peer: int(b[3]) | int(b[4]&3)<<8,
				seeder: b[5]&1 != 0, both: b[5]&2 != 0, v6: b[5]&4 != 0, number: uint16(b[6]) | uint16(b[7])<<8,
			})
			b = b[8:]
			if i%64 == 0 {
				p.check()
			}
		}
		p.check()
		p.checkTells(8)
		p.checkWalk()
	})
}
