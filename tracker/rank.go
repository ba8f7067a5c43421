package tracker

import (
	"slices"

	"starling/wire"
)

// Counted is a torrent with its counts.
type Counted struct {
	InfoHash wire.InfoHash
	Counts
}

// Peers is how many peers the torrent has.
func (t *Counted) Peers() uint64 { return uint64(t.Seeders) + uint64(t.Leechers) }

// Census is where a walk over the counts of all torrents has come to; the zero Census is at the beginning. It sees every torrent that is
// there all the while exactly once, in no order that means anything to others.
type Census struct {
	shard int
	place torrentPlace
}

// Count shows the next thousand torrents or so to see, which must be quick and must not call the tracker, and reports whether there are more. It
// stops the announces of one shard meanwhile, some 50 microseconds.
func (t *Tracker) Count(c *Census, see func(Counted)) (more bool) {
	if c.shard >= len(t.shards) {
		return false
	}
	if t.shards[c.shard].takeCensus(&c.place, see) {
		c.shard, c.place = c.shard+1, torrentPlace{}
	}
	return c.shard < len(t.shards)
}

// takeCensus goes on with a walk and reports whether this shard is done.
func (s *shard) takeCensus(at *torrentPlace, see func(Counted)) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for work := tellWork; at.reversed < wholeHash; work-- {
		r := s.torrents.next(at)
		if r == nil {
			if work <= 0 {
				return false
			}
			continue
		}
		see(Counted{r.hash, s.counts(r)})
		at.done = true
	}
	return true
}

// Ranking holds those of all torrents that were shown to it which have most of something. It holds no more than it looks for.
type Ranking struct {
	most int
	of   func(*Counted) uint64
	best []Counted // the one with most first; of equals the one that was seen first
}

// NewRanking looks for so many torrents, those for which of is highest; those for which it is zero have no place.
func NewRanking(most int, of func(*Counted) uint64) *Ranking { return &Ranking{most: most, of: of} }

// Best returns what was found so far, the highest first.
func (r *Ranking) Best() []Counted { return slices.Clone(r.best) }

// Add shows it a torrent.
func (r *Ranking) Add(t Counted) {
	n := r.of(&t)
	if n == 0 || r.most <= 0 || len(r.best) == r.most && n <= r.of(&r.best[r.most-1]) {
		return
	}
	i, _ := slices.BinarySearchFunc(r.best, n, func(b Counted, n uint64) int {
		if r.of(&b) >= n {
			return -1
		}
		return 1
	})
	r.best = slices.Insert(r.best[:min(len(r.best), r.most-1)], i, t)
}
