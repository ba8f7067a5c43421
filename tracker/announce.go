package tracker

import (
	"time"

	"starling/tracker/access"
	"starling/wire"
)

// Announce stores what a client tells of itself, tells the other nodes when they must know, and then fills ans:
// in that order, so that the answer counts the client. It does not allocate while the slices of ans have room.
//
// A torrent that the rules forbid is not touched; the answer says so.
//
// A client that stops gets no peers; neither does one that nobody could reach where it says it is, which is not stored.
func (t *Tracker) Announce(now time.Time, a *Announce, ans *Answer) {
	s, hash := t.shard(&a.InfoHash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(now.Sub(t.start))
	if a.Booked != 0 {
		ans.Interval, ans.MinInterval = a.Booked, a.Booked/2
	} else {
		ans.Interval = t.interval.least + uint32(below(&s.rng, t.interval.choices))
		ans.MinInterval = min(t.interval.min, ans.Interval)
	}
	ans.Seeders, ans.Leechers, ans.Downloaded = 0, 0, 0
	ans.New, ans.Stayed, ans.Early, ans.Refused = false, false, 0, access.Served
	if t.rules.forbidsStill(&a.InfoHash, a.Checked, &t.rules.announces) {
		ans.Refused = t.Access().Torrent(&a.InfoHash)
		return
	}
	r := s.torrents.find(hash, &a.InfoHash)
	ans.Unknown = r == nil
	switch {
	case !a.Peer.Valid():
		s.count(r, ans)
	case r == nil && a.Held:
		s.unstored.Jailed++
	case a.Event == wire.EventStopped:
		if r != nil {
			if s.booked {
				ans.Early = s.early(s.lookUp(r, &a.Peer), now.Sub(t.start))
			}
			r = s.stop(r, &a.Peer)
		}
		t.tell(a, wire.Stopped)
		s.count(r, ans)
	default:
		if r == nil {
			if !s.admits(hash, &a.InfoHash, false) {
				ans.refuse(a.Booked)
				break
			}
			r = s.torrents.add(hash, &a.InfoHash, s.now())
		}
		n := news{
			seeder: a.Seeder, completion: a.Event == wire.EventCompleted, partial: a.Event == wire.EventPaused,
			ahead: s.ahead(a.Booked),
		}
		var was earlier
		if a.Booked != 0 || a.Watched {
			n.was = &was
		}
		stored, tell, flags := s.put(r, &a.Peer, n)
		if tell {
			t.tell(a, flags)
		}
		if n.was != nil {
			ans.New = !was.known
		}
		if a.Booked != 0 {
			ans.Early = s.early(was, now.Sub(t.start))
		}
		ans.Stayed = was.known && (s.seenAge(was.meta) >= stayed || a.Booked != 0 && ans.Early == 0)
		if r = s.stored(r, stored); r == nil {
			ans.refuse(a.Booked)
			break
		}
		s.count(r, ans)
		t.pick(s, r, a, stored, ans)
	}
}

// stayed is after how many ticks of the clock of peers one that comes back was there all the while: a twelfth of the time after which it would be forgotten.
const stayed = 5

// refuse makes the answer that of a torrent for which there is no memory now: nobody is there yet, and the client may come back sooner than usual
// unless its return is booked.
func (a *Answer) refuse(booked uint32) {
	if booked == 0 {
		a.Interval = max(a.Interval/4, 1)
		a.MinInterval = min(a.MinInterval, a.Interval)
	}
}

// tell tells the other nodes of the announcing client.
func (t *Tracker) tell(a *Announce, flags wire.Flags) {
	if t.cfg.OnChange != nil {
		t.cfg.OnChange(wire.Record{InfoHash: a.InfoHash, Peer: a.Peer, Flags: flags})
	}
}

// count fills in how many peers a torrent has; r is nil when it is unknown.
func (s *shard) count(r *torrent, ans *Answer) {
	if r != nil {
		c := s.counts(r)
		ans.Seeders, ans.Leechers, ans.Downloaded = c.Seeders, c.Leechers, c.Downloaded
	}
}

// pick appends the peers a client gets: those of its own family first, then, if it can reach them, as many of the other as are
// still wanted. It never gets itself.
func (t *Tracker) pick(s *shard, r *torrent, a *Announce, stored bool, ans *Answer) {
	want := a.NumWant
	if want < 0 {
		want = t.cfg.NumWant
	}
	want = min(want, t.cfg.MaxNumWant)
	self := peerOf(&a.Peer)
	own := familyOf(&a.Peer)
	for _, family := range [2]int{own, own ^ familyBit} {
		skip := &self
		if !stored || family != own {
			skip = nil
		}
		got := &ans.Peers4
		if family == leechers6 {
			got = &ans.Peers6
		}
		var n int
		*got, n = s.pickFamily(*got, r, family, a.Seeder, want, skip)
		want -= n
		if !a.BothFamilies {
			return
		}
	}
}

// pickFamily appends up to want peers of one family and returns how many. A seeder gets leechers only, a leecher half of each
// kind, and more of one when there is not enough of the other. The client itself is self, nil when it is not among them.
func (s *shard) pickFamily(b []byte, r *torrent, family int, seeder bool, want int, self *peer) ([]byte, int) {
	leechers, seeders := s.swarms.count(r.peers[family]), s.swarms.count(r.peers[family|roleBit])
	switch {
	case seeder: // is not among the leechers, and gets nobody else
		self, seeders = nil, 0
	case self != nil:
		leechers--
	}
	fromSeeders := min(seeders, max(want/2, want-leechers))
	fromLeechers := min(leechers, want-fromSeeders)
	w := width(family)
	b = s.swarms.take(b, r.peers[family:family+1], w, fromLeechers, leechers, self, &s.rng)
	b = s.swarms.take(b, r.peers[family|roleBit:family|roleBit+1], w, fromSeeders, seeders, nil, &s.rng)
	return b, fromLeechers + fromSeeders
}
