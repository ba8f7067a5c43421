package tracker

import (
	"slices"
	"time"

	"starling/wire"
)

// restoreMembers is how many peers are restored before a shard's lock is let go of.
const restoreMembers = 256

// Restorer puts into a tracker what another one held, or it itself some time ago: one stream of excerpts, from one goroutine.
// Everybody else may use the tracker meanwhile.
//
// What is fresher counts, peer by peer. A peer that is here and was seen in a later tick stays as it is; completion marks of both sides stay.
// Where the ticks cannot tell, a seeder stays one and a leecher becomes one: that is what happens to peers, and all nodes come to the same.
// Downloaded counts merge by the maximum, after the completions of peers were added whose mark was not known here: so neither side's are lost.
type Restorer struct {
	t     *Tracker
	late  time.Duration // how old the excerpt is
	hash  wire.InfoHash // the last torrent
	gift  uint64        // by how much its count was raised beyond the marks that were new: later marks are among them
	there filter        // peers of the stream

	scratch []peer // of a piece of [Restorer.Prune]
}

// Restorer returns a restorer for one stream. If [Restorer.Prune] is to end it, peers is about how many peers it brings; else 0.
func (t *Tracker) Restorer(peers uint64) *Restorer {
	r := &Restorer{t: t}
	if peers > 0 {
		r.there = newFilter(t.cfg.Budget.bound(peers))
	}
	return r
}

// Restore stores what an excerpt says, which was true some time ago, late. Peers that are silent for the peer timeout by now are left out.
func (r *Restorer) Restore(now time.Time, late time.Duration, x *wire.Excerpt) {
	r.late = max(late, 0)
	members := x.Members
	for i := range x.Swarms {
		swarm := &x.Swarms[i]
		own := members[:swarm.Members]
		members = members[swarm.Members:]
		for {
			n := min(len(own), restoreMembers)
			r.restoreSome(now, swarm, own[:n])
			if own = own[n:]; len(own) == 0 {
				break
			}
		}
	}
}

// restoreSome restores some members of a swarm, or none of one that has none.
func (r *Restorer) restoreSome(now time.Time, swarm *wire.Swarm, members []wire.Member) {
	if r.hash != swarm.InfoHash {
		r.hash, r.gift = swarm.InfoHash, 0
	}
	s, hash := r.t.shard(&swarm.InfoHash)
	at := now.Sub(r.t.start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	if r.t.rules.forbids(&swarm.InfoHash, &r.t.rules.restored) {
		return
	}
	age := uint64(swarm.Age) + uint64(r.late/time.Minute)
	last := s.now() - uint32(min(age, keepMinutes))
	tor := s.torrents.find(hash, &swarm.InfoHash)
	switch {
	case tor != nil:
		tor.last = max(tor.last, last)
	case age > keepMinutes && len(members) == 0:
		return
	case !s.admits(hash, &swarm.InfoHash, len(members) > 1):
		return
	default:
		tor = s.torrents.add(hash, &swarm.InfoHash, last)
	}
	marks := uint64(0)
	for i := range members {
		if r.restore(s, at, tor, hash, &members[i]) {
			marks++
		}
	}
	given := min(marks, r.gift)
	r.gift -= given
	tor.downloaded = max(tor.downloaded, tor.downloaded+marks-given) // another node may have told of 2^64 - 1
	if more := swarm.Downloaded; more > tor.downloaded {
		r.gift += more - tor.downloaded
		tor.downloaded = more
	}
	if tor.downloaded == 0 && tor.empty() {
		s.torrents.remove(tor)
	}
}

// restore stores one peer and reports whether its completion mark is news here.
func (r *Restorer) restore(s *shard, at time.Duration, tor *torrent, hash uint32, m *wire.Member) (mark bool) {
	age := s.seenTicks(at, time.Duration(m.Seen)*time.Millisecond+r.late)
	if age > s.silence {
		return false
	}
	told := s.toldTicks(at, time.Duration(m.Told)*time.Millisecond+r.late)
	p, table := peerOf(&m.Peer), familyOf(&m.Peer)
	w := width(table)
	if m.Flags&wire.Seeding != 0 {
		table |= roleBit
	}
	old, moved := s.swarms.find(tor.peers[table], w, &p), false
	if old == nil {
		old = s.swarms.find(tor.peers[table^roleBit], w, &p)
		moved = old != nil
	}
	marks := metaOf(m)
	r.there.add(uint64(hash)<<32 | uint64(s.swarms.key.peer(p.words(w))))
	if m.Flags&wire.MarkOnly != 0 {
		return old != nil && mend(old, marks)
	}
	if old == nil {
		p[2] |= s.stamps(age, told) | marks
		return s.restoreNew(tor, table, &p) && marks&completed != 0
	}
	was := *old & metaMask
	mark = marks&completed != 0 && was&completed == 0
	mine := s.seenAge(was)
	tied := moved && mine <= age+1 && age <= mine+1
	if mine < age && !tied || tied && table&roleBit == 0 { // fresher, and so is what it is
		return mend(old, marks)
	}
	if mine < age+2 {
		age = mine // streams to and fro must not make it younger each time
	}
	if table&roleBit == 0 {
		marks |= was & partial // other nodes do not know who wants no more
	}
	p[2] |= s.stamps(age, min(told, s.toldAge(was))) | marks | was&completed
	s.countPartial(tor, -partials(was))
	if !moved {
		*old = p[2]
		s.countPartial(tor, partials(marks))
		return mark
	}
	s.swarms.remove(&tor.peers[table^roleBit], w, &p)
	s.left(tor, table^roleBit, p.words(w))
	return s.restoreNew(tor, table, &p) && mark
}

// mend adds a completion mark to those of a peer that stays as it is, and reports whether it is news here.
func mend(old *uint64, marks uint64) (mark bool) {
	mark = marks&completed&^*old != 0
	*old |= marks & completed
	return mark
}

// restoreNew stores a peer that is in neither table, and reports whether there was room.
func (s *shard) restoreNew(tor *torrent, table int, p *peer) bool {
	if s.insert(&tor.peers[table], width(table), p) != placed {
		return false
	}
	s.came(tor, table, p.words(width(table)))
	s.countPartial(tor, partials(p[2]))
	return true
}

// metaOf returns a member's marks as bits of a peer.
func metaOf(m *wire.Member) (meta uint64) {
	if m.Flags&wire.Complete != 0 {
		meta |= completed
	}
	if m.Flags&(wire.Partial|wire.Seeding) == wire.Partial {
		meta |= partial
	}
	return meta
}

// seenTicks returns the age in ticks of a peer that was seen so long ago: the first tick that began since then, so that it is
// never forgotten early, but never one since the tracker was made for a peer that was seen before: it would seem to be seen after a stop
// of meanwhile. Below zero for one that is stored as seen in the future.
func (s *shard) seenTicks(at, age time.Duration) int64 {
	past := age - s.seen.into(at)
	switch {
	case past > 0 && age > at && age-at < s.seen.unit:
		return int64((at-s.seen.into(at))/s.seen.unit) + 1
	case past >= 0:
		return int64(past / s.seen.unit)
	case age >= 0:
		return 0
	}
	ahead := min(int64(divideUp(-past, s.seen.unit)), futureTicks)
	s.booked = true
	return -ahead
}

// toldTicks does the same for when the other nodes learned of it, as far back as is of interest.
func (s *shard) toldTicks(at, age time.Duration) uint64 {
	past := max(age-s.told.into(at), 0)
	return min(uint64(past/s.told.unit), s.resend)
}

// stamps returns the bits of a peer of these ages.
func (s *shard) stamps(seen int64, told uint64) uint64 {
	return (s.seen.tick-uint64(seen))&seenMask | (s.told.tick-told)&toldMask<<toldShift
}

// Leave forgets peers that stopped elsewhere, so long ago and late more, unless they were seen here in a tick later than that: what was
// restored counts as seen up to a tick later than it was. Who came back within the tick is in the excerpts that follow.
func (r *Restorer) Leave(now time.Time, late time.Duration, leavers []wire.Leaver) {
	at := now.Sub(r.t.start)
	for i := range leavers {
		l := &leavers[i]
		s, hash := r.t.shard(&l.InfoHash)
		s.mu.Lock()
		s.advance(at)
		if tor := s.torrents.find(hash, &l.InfoHash); tor != nil && s.seenBefore(at, tor, &l.Peer, time.Duration(l.Age)*time.Millisecond+late) {
			s.stop(tor, &l.Peer)
		}
		s.mu.Unlock()
	}
}

// seenBefore reports whether a peer is there and was seen, or was perhaps, longer ago than the time given.
func (s *shard) seenBefore(at time.Duration, tor *torrent, client *wire.Peer, ago time.Duration) bool {
	p, family := peerOf(client), familyOf(client)
	for _, table := range [2]int{family, family | roleBit} {
		if low := s.swarms.find(tor.peers[table], width(table), &p); low != nil {
			since := s.seenSince(at, *low)
			if since < 0 { // booked: when it announced is told by when it was told
				since = s.toldSince(at, *low)
			}
			return since+s.seen.unit > ago
		}
	}
	return false
}

// Prune ends a stream that held all peers of another tracker: those are forgotten here that were last seen longer ago than
// cut, of which the stream said nothing. It returns how many.
func (r *Restorer) Prune(now time.Time, cut time.Duration) (gone int) {
	for i := range r.t.shards {
		s := &r.t.shards[i]
		for c := (Cursor{}); ; {
			n, more := r.pruneSome(s, now.Sub(r.t.start), &c, cut)
			gone += n
			if !more {
				break
			}
		}
	}
	return gone
}

// pruneSome does a bounded piece of a shard and reports whether there is more.
func (r *Restorer) pruneSome(s *shard, at time.Duration, c *Cursor, cut time.Duration) (gone int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	for work := sweepWork; c.reversed < wholeHash; {
		if work--; work < 0 {
			return gone, true
		}
		tor := c.next(&s.torrents)
		for tor != nil && c.family < tables {
			if work--; work < 0 {
				return gone, true
			}
			var n int
			tor, n = r.prunePlace(s, at, tor, c, cut)
			gone += n
		}
		if tor != nil {
			c.done = true
		}
	}
	return gone, false
}

// prunePlace goes one step on in a torrent and returns it, nil when it lost its last peers and is gone.
func (r *Restorer) prunePlace(s *shard, at time.Duration, tor *torrent, c *Cursor, cut time.Duration) (*torrent, int) {
	hash := r.t.key.infoHash(&tor.hash)
	w := width(c.family)
	r.scratch = r.scratch[:0]
	c.from = s.visit(tor, c.family, c.from, func(_ int, words []uint64) {
		last := words[w-1]
		if s.seenSince(at, last)-s.seen.unit >= cut && !r.there.has(uint64(hash)<<32|uint64(s.swarms.key.peer(words))) {
			var p peer
			copy(p.words(w), words)
			r.scratch = append(r.scratch, p)
		}
	})
	if c.from >= wholeHash {
		c.family, c.from = c.family+familyBit, 0
	}
	for i := range r.scratch {
		client := clientOf(r.scratch[i].words(w))
		if tor = s.stop(tor, &client); tor == nil {
			return nil, i + 1
		}
	}
	return tor, len(r.scratch)
}

// filter remembers peers by their hash (Bloom, "Space/time trade-offs in hash coding with allowable errors"): two bytes for
// each one that may come. It takes one in two thousand for another that came: that one stays until it falls silent. The empty filter remembers nothing.
type filter []uint64

const (
	filterBits   = 16 // for each peer
	filterProbes = 5
)

func newFilter(peers uint64) filter {
	words := uint64(1 << 10)
	for words*64 < peers*filterBits {
		words *= 2
	}
	return make(filter, words)
}

// probe returns the places of the bits of a hash.
func (f filter) probe(hash uint64) (places [filterProbes]uint64) {
	step := hash>>17 | 1
	for i := range places {
		hash = (hash ^ hash>>32) * 0xd6e8feb86659fd93
		places[i] = (hash + uint64(i)*step) % (uint64(len(f)) * 64)
	}
	return places
}

func (f filter) add(hash uint64) {
	if len(f) == 0 {
		return
	}
	for _, at := range f.probe(hash) {
		f[at/64] |= 1 << (at % 64)
	}
}

func (f filter) has(hash uint64) bool {
	places := f.probe(hash)
	return !slices.ContainsFunc(places[:], func(at uint64) bool { return f[at/64]>>(at%64)&1 == 0 })
}
