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
// exactly once, and others at most once for each time they are added.
func (t *Tracker) Tells(now time.Time, cursor uint64, dst []wire.Tell) (n int, next uint64) {
	at := now.Sub(t.start)
	i, id := cursor>>32, uint32(cursor)
	for i < uint64(len(t.shards)) && n < len(dst) {
		var more int
		more, id = t.shards[i].tells(at, id, dst[n:])
		n += more
		if id == 0 {
			i++
		}
	}
	if i >= uint64(len(t.shards)) {
		return n, 0
	}
	return n, i<<32 | uint64(id)
}

// tells goes a bounded way through the records from number id on. It returns the number to go on from, 0 after the last.
func (s *shard) tells(at time.Duration, id uint32, dst []wire.Tell) (n int, next uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	id = max(id, 1)
	for end := min(s.torrents.made, id+tellWork); id <= end && n < len(dst); id++ {
		if r := s.torrents.record(id); r.last != 0 {
			dst[n] = s.tell(r)
			n++
		}
	}
	if id > s.torrents.made {
		return n, 0
	}
	return n, id
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
	sum.Refused += s.refused
	sum.Bytes += s.torrents.bytes() + s.swarms.bytes()
}
