package tracker

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"starling/wire"
)

// Tracker is a first, plain form of the store.
type Tracker struct {
	cfg        Config
	sweepEvery time.Duration

	mu       sync.Mutex // guards all below
	rng      *rand.Rand
	torrents map[wire.InfoHash]*simpleTorrent
	stats    Stats
}

type simpleTorrent struct {
	last       time.Time
	downloaded uint64
	peers      map[wire.Peer]*simplePeer
}

type simplePeer struct {
	seen, told                 time.Time
	seeder, partial, completed bool
}

// New returns a tracker that holds nothing.
func New(cfg Config, now time.Time) *Tracker {
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.MinInterval = cmp.Or(cfg.MinInterval, DefaultMinInterval)
	cfg.PeerTimeout = cmp.Or(cfg.PeerTimeout, DefaultPeerTimeout)
	cfg.Renew = cmp.Or(cfg.Renew, DefaultRenew)
	cfg.NumWant = cmp.Or(cfg.NumWant, DefaultNumWant)
	cfg.MaxNumWant = cmp.Or(cfg.MaxNumWant, DefaultMaxNumWant)
	if cfg.OnChange == nil {
		cfg.OnChange = func(wire.Record) {}
	}
	var seed [32]byte
	if cfg.Seed != nil {
		seed = *cfg.Seed
	}
	return &Tracker{cfg: cfg, sweepEvery: max(cfg.PeerTimeout/60, time.Millisecond), rng: rand.New(rand.NewChaCha8(seed)), torrents: map[wire.InfoHash]*simpleTorrent{}}
}

// Announce stores what a client tells of itself, tells the other nodes when they must know, and fills ans.
func (t *Tracker) Announce(now time.Time, a *Announce, ans *Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.Event == wire.EventStopped {
		if s := t.torrents[a.InfoHash]; s != nil {
			delete(s.peers, a.Peer)
		}
		t.cfg.OnChange(wire.Record{InfoHash: a.InfoHash, Peer: a.Peer, Flags: wire.Stopped})
	} else if tell, flags := t.put(now, a.InfoHash, a.Peer, a.Seeder, a.Event == wire.EventCompleted, a.Event == wire.EventPaused); tell {
		t.cfg.OnChange(wire.Record{InfoHash: a.InfoHash, Peer: a.Peer, Flags: flags})
	}
	t.answer(a, ans)
}

func (t *Tracker) answer(a *Announce, ans *Answer) {
	interval := t.cfg.Interval*9/10 + time.Duration(t.rng.Int64N(int64(t.cfg.Interval/5)+1))
	ans.Interval = uint32(interval / time.Second)
	ans.MinInterval = min(ans.Interval, uint32(t.cfg.MinInterval/time.Second))
	c, _ := t.counts(a.InfoHash)
	ans.Seeders, ans.Leechers, ans.Downloaded = c.Seeders, c.Leechers, c.Downloaded
	want := a.NumWant
	if want < 0 {
		want = t.cfg.NumWant
	}
	want = min(want, t.cfg.MaxNumWant)
	s := t.torrents[a.InfoHash]
	if s == nil || a.Event == wire.EventStopped {
		return
	}
	for _, own := range []bool{true, false} {
		for p, info := range s.peers {
			if p == a.Peer || want == 0 || a.Seeder && info.seeder || (p.Is4() == a.Peer.Is4()) != own || !own && !a.BothFamilies {
				continue
			}
			want--
			if p.Is4() {
				ans.Peers4 = append(ans.Peers4, p.Compact()...)
			} else {
				ans.Peers6 = append(ans.Peers6, p.Compact()...)
			}
		}
	}
}

func (t *Tracker) put(now time.Time, h wire.InfoHash, p wire.Peer, seeder, completed, partial bool) (tell bool, f wire.Flags) {
	s := t.torrents[h]
	if s == nil {
		s = &simpleTorrent{peers: map[wire.Peer]*simplePeer{}}
		t.torrents[h] = s
	}
	s.last = now
	info := s.peers[p]
	if info == nil {
		info = &simplePeer{seeder: seeder}
		s.peers[p] = info
		tell = true
	}
	tell = tell || info.seeder != seeder || now.Sub(info.told) > t.cfg.Renew
	info.seen, info.seeder, info.partial = now, seeder, partial && !seeder
	if seeder {
		f = wire.Seeding
	}
	if completed && seeder && !info.completed {
		info.completed = true
		s.downloaded++
		t.stats.Completed++
		tell, f = true, f|wire.Complete
	}
	if tell {
		info.told = now
	}
	return tell, f
}

func (t *Tracker) counts(h wire.InfoHash) (c Counts, ok bool) {
	s := t.torrents[h]
	if s == nil {
		return c, false
	}
	c.Downloaded = s.downloaded
	for _, p := range s.peers {
		if p.seeder {
			c.Seeders++
		} else {
			c.Leechers++
		}
		if p.partial {
			c.Partial++
		}
	}
	return c, true
}

// Scrape returns the counts of a torrent, and whether it is known.
func (t *Tracker) Scrape(h wire.InfoHash) (Counts, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts(h)
}

// Apply stores what another node tells of a peer. It is never told on.
func (t *Tracker) Apply(now time.Time, r wire.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Flags&wire.Stopped != 0 {
		if s := t.torrents[r.InfoHash]; s != nil {
			delete(s.peers, r.Peer)
		}
		return
	}
	t.put(now, r.InfoHash, r.Peer, r.Flags&wire.Seeding != 0, r.Flags.Completion(), false)
	t.torrents[r.InfoHash].peers[r.Peer].told = now
}

// Learn takes over what another node tells of a torrent and reports whether anything changed.
func (t *Tracker) Learn(now time.Time, e wire.Tell) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.torrents[e.InfoHash]
	if s == nil {
		t.torrents[e.InfoHash] = &simpleTorrent{last: now.Add(-time.Duration(min(e.Age, 1440)) * time.Minute), downloaded: e.Downloaded, peers: map[wire.Peer]*simplePeer{}}
		return true
	}
	if e.Downloaded <= s.downloaded {
		return false
	}
	s.downloaded = e.Downloaded
	return true
}

// Lookup returns what other nodes would be told of a torrent, and whether it is known.
func (t *Tracker) Lookup(now time.Time, h wire.InfoHash) (wire.Tell, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.torrents[h]
	if s == nil {
		return wire.Tell{}, false
	}
	return wire.Tell{InfoHash: h, Age: uint32(now.Sub(s.last) / time.Minute), Downloaded: s.downloaded}, true
}

// Tells fills dst with what other nodes would be told of the torrents from cursor on. A walk begins at cursor 0, and has ended when next is 0.
func (t *Tracker) Tells(now time.Time, cursor uint64, dst []wire.Tell) (n int, next uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hashes := make([]wire.InfoHash, 0, len(t.torrents))
	for h := range t.torrents {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b wire.InfoHash) int { return slices.Compare(a[:], b[:]) })
	for ; n < len(dst) && cursor < uint64(len(hashes)); n++ {
		s := t.torrents[hashes[cursor]]
		dst[n] = wire.Tell{InfoHash: hashes[cursor], Age: uint32(now.Sub(s.last) / time.Minute), Downloaded: s.downloaded}
		cursor++
	}
	if cursor >= uint64(len(hashes)) {
		return n, 0
	}
	return n, cursor
}

// Torrents returns how many torrents the tracker holds.
func (t *Tracker) Torrents() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint64(len(t.torrents))
}

// Expire forgets peers that fell silent and torrents that nobody needs any more.
func (t *Tracker) Expire(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h, s := range t.torrents {
		for p, info := range s.peers {
			if now.Sub(info.seen) > t.cfg.PeerTimeout {
				delete(s.peers, p)
				t.stats.Expired++
			}
		}
		if age := now.Sub(s.last); len(s.peers) == 0 && (age > 24*time.Hour || s.downloaded == 0 && age > t.cfg.PeerTimeout) {
			delete(t.torrents, h)
		}
	}
}

// Stats sums up what the tracker holds and has done.
func (t *Tracker) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.stats
	r.Torrents = uint64(len(t.torrents))
	for h, s := range t.torrents {
		c, _ := t.counts(h)
		r.Seeders += uint64(c.Seeders)
		r.Leechers += uint64(c.Leechers)
		r.Partial += uint64(c.Partial)
		for p := range s.peers {
			if p.Is4() {
				r.Peers4++
			} else {
				r.Peers6++
			}
		}
	}
	return r
}
