package tracker

import (
	"slices"

	"starling/wire"
)

// Ranked is a torrent with its counts.
type Ranked struct {
	InfoHash wire.InfoHash
	Counts
}

// peers is what torrents are ranked by.
func (r *Ranked) peers() uint64 { return uint64(r.Seeders) + uint64(r.Leechers) }

// Ranking is a walk over all torrents that looks for those with the most peers. It holds no more than it looks for.
type Ranking struct {
	most  int
	best  []Ranked // most peers first; of equals the one that was seen first
	shard int
	place torrentPlace
}

// NewRanking returns a walk that looks for so many torrents.
func NewRanking(most int) *Ranking { return &Ranking{most: most} }

// Best returns what was found so far, most peers first.
func (r *Ranking) Best() []Ranked { return slices.Clone(r.best) }

// add takes in a torrent that has peers.
func (r *Ranking) add(t Ranked) {
	n := t.peers()
	if n == 0 || len(r.best) == r.most && n <= r.best[r.most-1].peers() {
		return
	}
	i, _ := slices.BinarySearchFunc(r.best, n, func(b Ranked, n uint64) int {
		if b.peers() >= n {
			return -1
		}
		return 1
	})
	r.best = slices.Insert(r.best[:min(len(r.best), r.most-1)], i, t)
}

// Rank goes a bounded way on a walk, that of a thousand torrents, and reports whether there is more. It stops the announces of one
// shard meanwhile, some 50 microseconds.
func (t *Tracker) Rank(r *Ranking) (more bool) {
	if r.shard >= len(t.shards) || r.most <= 0 {
		return false
	}
	if t.shards[r.shard].rank(r) {
		r.shard, r.place = r.shard+1, torrentPlace{}
	}
	return r.shard < len(t.shards)
}

// rank goes on with a walk and reports whether this shard is done.
func (s *shard) rank(r *Ranking) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for work := tellWork; r.place.reversed < wholeHash; work-- {
		t := s.torrents.next(&r.place)
		if t == nil {
			if work <= 0 {
				return false
			}
			continue
		}
		r.add(Ranked{t.hash, s.counts(t)})
		r.place.done = true
	}
	return true
}
