package tracker

import (
	"time"

	"starling/wire"
)

// Purge forgets one torrent with all its peers and its count, if the rules in force forbid it. Nobody waits for longer than a piece of it takes.
func (t *Tracker) Purge(now time.Time, h wire.InfoHash) {
	s, hash := t.shard(&h)
	var c Cursor
	for more := true; more; {
		more = t.purgeOne(now.Sub(t.start), s, hash, &h, &c)
	}
}

// purgeOne does a bounded piece and reports whether there is more.
func (t *Tracker) purgeOne(at time.Duration, s *shard, hash uint32, h *wire.InfoHash, c *Cursor) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	r := s.torrents.find(hash, h)
	return r != nil && t.forbidden(r) && !t.purgePiece(s, r, c, sweepWork)
}

// PurgeAll forgets all torrents that the rules in force forbid. It goes through the whole store, in pieces for which nobody waits long.
func (t *Tracker) PurgeAll(now time.Time) {
	at := now.Sub(t.start)
	for i := range t.shards {
		s := &t.shards[i]
		var c Cursor
		for more := true; more; {
			more = t.purgeSome(s, at, &c)
		}
	}
}

// purgeSome does a bounded piece of a shard and reports whether there is more.
func (t *Tracker) purgeSome(s *shard, at time.Duration, c *Cursor) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	for work := sweepWork; c.reversed < wholeHash; {
		if work--; work < 0 {
			return true
		}
		r := c.next(&s.torrents)
		switch {
		case r == nil:
		case t.forbidden(r) && !t.purgePiece(s, r, c, work):
			return true
		default:
			c.done = true
		}
	}
	return false
}

// forbidden reports whether the rules in force forbid a torrent.
func (t *Tracker) forbidden(r *torrent) bool {
	rules := t.rules.now.Load()
	return rules != nil && rules.Torrent(&r.hash) != 0
}

// purgePiece forgets some blocks of peers of a torrent, and the torrent when none are left: it returns true then. The cursor says how far it
// came; peers that a sweep moved behind it are found in another round.
func (t *Tracker) purgePiece(s *shard, r *torrent, c *Cursor, work int) (gone bool) {
	r.downloaded = 0
	for ; c.family < tables; c.family, c.from = c.family+familyBit, 0 {
		for c.from < wholeHash {
			if work--; work < 0 {
				return false
			}
			var some []peer
			w := width(c.family)
			c.from = s.visit(r, c.family, c.from, func(_ int, words []uint64) {
				var p peer
				copy(p.words(w), words)
				some = append(some, p)
			})
			for i := range some {
				client := clientOf(some[i].words(w))
				if s.stop(r, &client) == nil {
					t.rules.purged.Add(1)
					return true
				}
			}
		}
	}
	if !r.empty() {
		c.family, c.from = 0, 0
		return false
	}
	s.torrents.remove(r)
	t.rules.purged.Add(1)
	return true
}
