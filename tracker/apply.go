package tracker

import (
	"time"

	"starling/wire"
)

// news is what an announce or a record says of a peer.
type news struct {
	seeder     bool
	completion bool // it has just finished its download
	partial    bool // it wants no more pieces; only an announce says so
	remote     bool // another node says it: that node has told all others

	ahead uint64 // ticks that it is stored as seen in the future

	was *earlier // gets what was known of the peer; nil: nobody wants to know
}

// earlier is what was known of a peer.
type earlier struct {
	known bool
	meta  uint64
}

// put stores what is said of a peer. It reports whether the peer is stored, which it is unless there is no room for it or only a sample is kept, and
// whether the other nodes must be told, and with which flags.
func (s *shard) put(r *torrent, client *wire.Peer, n news) (stored, tell bool, flags wire.Flags) {
	p, table := peerOf(client), familyOf(client)
	if n.seeder {
		table |= roleBit
	}
	w := width(table)
	low, moved := s.swarms.find(r.peers[table], w, &p), false
	if low == nil {
		low = s.swarms.find(r.peers[table^roleBit], w, &p)
		moved = low != nil
	}
	var old uint64
	if low != nil {
		old = *low & metaMask
	}
	if n.was != nil {
		*n.was = earlier{low != nil, old}
	}
	inPlace := low != nil && !moved
	if low != nil && !n.remote {
		s.renewed[max(0, s.seenAge(old))]++
	}
	meta, tell, flags := s.judge(old, inPlace, n)
	p[2] |= meta
	s.countPartial(r, -partials(old))
	if moved {
		s.swarms.remove(&r.peers[table^roleBit], w, &p)
		s.left(r, table^roleBit, p.words(w))
	}
	switch {
	case inPlace:
		*low = p[2]
	default:
		switch s.insert(&r.peers[table], w, &p) {
		case noRoom:
			return false, false, 0
		case placed:
			s.came(r, table, p.words(w))
			stored = true
		case sampled:
			// Whether the others know it is not remembered: it can wait, unless it has completed.
			meta = 0
			if !flags.Completion() {
				flags |= wire.Renewal
			}
		}
	}
	s.countPartial(r, partials(meta))
	if flags.Completion() {
		r.downloaded = max(r.downloaded, r.downloaded+1) // another node may have told of 2^64 - 1
		s.completed++
	}
	r.last = s.now()
	return stored || inPlace, tell, flags
}

// insert adds a peer that a table does not have, and counts it when it was not placed.
func (s *shard) insert(t *slot, w int, p *peer) placing {
	if s.mem != nil {
		if s.mem.most = s.mem.budget.most; t.isDirectory() {
			s.mem.most = s.mem.budget.shared()
		}
	}
	result := s.swarms.insert(t, w, p)
	slab := &s.swarms.slab
	switch {
	case result == placed:
	case result == sampled:
		s.unstored.Sampled++
	case slab.held()*chunkWords >= slab.max:
		s.unstored.Shard++
	default:
		s.unstored.Peers++
	}
	return result
}

// stored returns a torrent, after a peer of it was stored or not: nil if it has none and there is nothing to know of it.
func (s *shard) stored(r *torrent, stored bool) *torrent {
	if stored || r.downloaded != 0 || !r.empty() {
		return r
	}
	s.torrents.remove(r)
	return nil
}

// judge makes a peer's new meta bits of the old ones. A peer that is not in its place yet, because it
// is new or changes its role, is always told. Told completions carry their flag once per peer.
func (s *shard) judge(old uint64, inPlace bool, n news) (meta uint64, tell bool, flags wire.Flags) {
	meta = old & (completed | partial)
	if n.seeder {
		flags = wire.Seeding
		meta &^= partial
	} else if !n.remote {
		meta &^= partial
		if n.partial {
			meta |= partial
		}
	}
	if n.completion && n.seeder && old&completed == 0 {
		meta |= completed
		flags |= wire.Complete
	}
	changes := !inPlace || flags.Completion()
	tell = !n.remote && (changes || s.due(old))
	if tell && !changes {
		flags |= wire.Renewal
	}
	told := old & (toldMask << toldShift)
	if tell || n.remote {
		told = s.toldStamp()
	}
	return meta | (s.seen.tick+n.ahead)&seenMask | told, tell, flags
}

// stop forgets a peer that leaves, and its torrent when nothing is left to know of it: it returns nil then.
func (s *shard) stop(r *torrent, client *wire.Peer) *torrent {
	p, family := peerOf(client), familyOf(client)
	for _, table := range [2]int{family, family | roleBit} {
		meta, ok := s.swarms.remove(&r.peers[table], width(table), &p)
		if !ok {
			continue
		}
		s.left(r, table, p.words(width(table)))
		s.countPartial(r, -partials(meta))
		if r.downloaded == 0 && r.empty() {
			s.torrents.remove(r)
			return nil
		}
		break
	}
	return r
}

// countPartial adds to the number of partial seeds.
func (s *shard) countPartial(r *torrent, n int) {
	r.partial += uint32(n)
	s.partial += uint64(n)
}

// Apply stores what another node tells of a peer. It is never told on: that a record
// travels one hop only is a matter of who calls OnChange. A peer that no client could reach is skipped.
func (t *Tracker) Apply(now time.Time, r wire.Record) {
	if !r.Peer.Valid() {
		return
	}
	s, hash := t.shard(&r.InfoHash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(now.Sub(t.start))
	if t.rules.forbids(&r.InfoHash, &t.rules.records) {
		return
	}
	s.apply(s.torrents.find(hash, &r.InfoHash), hash, &r)
}

// apply stores what another node tells of a peer of a torrent, which is nil when it is unknown.
func (s *shard) apply(tor *torrent, hash uint32, r *wire.Record) {
	if r.Flags&wire.Stopped != 0 {
		if tor != nil {
			s.stop(tor, &r.Peer)
		}
		return
	}
	if tor == nil {
		if !s.admits(hash, &r.InfoHash, false) {
			return
		}
		tor = s.torrents.add(hash, &r.InfoHash, s.now())
	}
	stored, _, _ := s.put(tor, &r.Peer, news{seeder: r.Flags&wire.Seeding != 0, completion: r.Flags.Completion(), remote: true})
	s.stored(tor, stored)
}

// Learn takes over what another node tells of a torrent, and reports whether it was news: an unknown
// torrent, or more completions than we know of. How long ago we saw a torrent announced stays as it is.
func (t *Tracker) Learn(now time.Time, e wire.Tell) (news bool) {
	s, hash := t.shard(&e.InfoHash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(now.Sub(t.start))
	if t.rules.forbids(&e.InfoHash, &t.rules.tells) {
		return false
	}
	r := s.torrents.find(hash, &e.InfoHash)
	if r == nil {
		if !s.admits(hash, &e.InfoHash, false) {
			return false
		}
		r = s.torrents.add(hash, &e.InfoHash, s.now()-min(e.Age, keepMinutes))
		r.downloaded = e.Downloaded
		return true
	}
	if e.Downloaded <= r.downloaded {
		return false
	}
	r.downloaded = e.Downloaded
	return true
}
