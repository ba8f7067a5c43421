package tracker

import (
	"time"

	"starling/wire"
)

// tellWork is how many records a walk over the torrents looks at before it lets go of a shard's lock.
const tellWork = 1024

// Scrape returns the counts of a torrent, and whether it is known.
func (t *Tracker) Scrape(h wire.InfoHash) (Counts, bool) {
	s, hash := t.shard(&h)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.torrents.find(hash, &h)
	if r == nil {
		return Counts{}, false
	}
	return s.counts(r), true
}

// Lookup returns what the other nodes would be told of a torrent, and whether it is known.
func (t *Tracker) Lookup(now time.Time, h wire.InfoHash) (wire.Tell, bool) {
	s, hash := t.shard(&h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(now.Sub(t.start))
	r := s.torrents.find(hash, &h)
	if r == nil {
		return wire.Tell{}, false
	}
	return s.tell(r), true
}

// tell returns what the other nodes would be told of a torrent.
func (s *shard) tell(r *torrent) wire.Tell {
	return wire.Tell{InfoHash: r.hash, Age: s.now() - r.last, Downloaded: r.downloaded}
}

// Tells fills dst with what the other nodes would be told of the torrents from cursor on. A walk begins
// with cursor 0 and is over when next is 0. It sees every torrent that is there all the while
// exactly once, and others at most once for each time they are added; dst has room for eight at least.
func (t *Tracker) Tells(now time.Time, cursor uint64, dst []wire.Tell) (n int, next uint64) {
	at := now.Sub(t.start)
	i, from := cursor>>32, cursor%wholeHash
	for i < uint64(len(t.shards)) && n < len(dst) {
		was, place := n, from
		if n, from = t.shards[i].tells(at, from, dst, n); from == wholeHash {
			i, from = i+1, 0
		} else if n == was && from == place {
			break // what is left of dst has no room for all that have the next hash
		}
	}
	if i >= uint64(len(t.shards)) {
		return n, 0
	}
	return n, i<<32 | from
}

// tells goes a bounded way through the torrents from a reversed hash on, see [Cursor]. It returns the reversed hash to go on from. Torrents
// of the same hash are all told, or none of them and the walk goes on there: so few have the same that they fit into dst.
func (s *shard) tells(at time.Duration, from uint64, dst []wire.Tell, n int) (told int, next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	place, first, last := torrentPlace{reversed: from}, n, from // of those of the same hash
	for work := tellWork; place.reversed < wholeHash; work-- {
		r := s.torrents.next(&place)
		if r == nil {
			if work <= 0 {
				break
			}
			continue
		}
		if place.reversed != last {
			first, last = n, place.reversed
		}
		if n == len(dst) {
			return first, place.reversed
		}
		dst[n] = s.tell(r)
		n++
		place.done = true
	}
	return n, place.reversed
}

// Torrents returns how many torrents the tracker holds.
func (t *Tracker) Torrents() (n uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += uint64(s.torrents.count)
		s.mu.Unlock()
	}
	return n
}

// Stats sums up what the tracker holds and has done.
func (t *Tracker) Stats() (sum Stats) {
	for i := range t.shards {
		t.shards[i].addTo(&sum)
	}
	return sum
}

func (s *shard) addTo(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Torrents += uint64(s.torrents.count)
	sum.Peers4 += s.peers[leechers4] + s.peers[seeders4]
	sum.Peers6 += s.peers[leechers6] + s.peers[seeders6]
	sum.Seeders += s.peers[seeders4] + s.peers[seeders6]
	sum.Leechers += s.peers[leechers4] + s.peers[leechers6]
	sum.Partial += s.partial
	sum.Completed += s.completed
	sum.Expired += s.expired
	sum.Unstored.add(&s.unstored)
	for ticks, n := range s.renewed {
		minutes := time.Duration(ticks) * s.seen.unit / time.Minute
		sum.Renewed[min(int(minutes), len(sum.Renewed)-1)] += n
	}
	sum.Bytes += s.torrents.bytes() + s.swarms.bytes()
}
