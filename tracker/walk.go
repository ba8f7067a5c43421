package tracker

import (
	"bytes"
	"math/bits"
	"time"

	"starling/wire"
)

// walkMembers is how many peers a piece of a walk gathers before it lets go of a shard's lock; it may be one block's peers more.
const walkMembers = 1024

// Cursor is where a [Tracker.Walk] has come to. It is at the beginning while only its exported fields are set.
//
// Torrents, and the peers of a torrent, both roles at once, it passes in the order of their hashes with the bits reversed. Linear hashing
// splits and joins chains and blocks by the lowest bits of the hash, so that what one holds is an interval of that order, whatever the
// tables do between two pieces:
//
//	1 block      [                            0                            ]
//	2 blocks     [             0             |              1              ]
//	3 blocks     [      0      |      2      |              1              ]
//	                    ^ a walk that has come to here goes on from here
//
// A hash stays what it is, in whichever block, table or directory a peer and in whichever chain or record a torrent comes to lie; so each one
// that is there from start to end, a peer with its torrent, is seen exactly once. Torrents of the same hash go by their names.
type Cursor struct {
	// Within leaves out peers that the other nodes were told of longer before the walk began, and torrents without others that were not
	// announced since. 0: all are seen.
	Within time.Duration
	// Booked keeps what was booked of peers that are to come back late, for this node's own snapshot. Else they are seen as the
	// other nodes know them.
	Booked bool

	begun  time.Time     // when the walk was
	within time.Duration // Within, counted from now
	shard  int
	torrentPlace
	family int    // table of leechers of the torrent there
	from   uint64 // of its peers those are over whose reversed hash is below
}

// torrentPlace is where a walk over the torrents of a shard has come to.
type torrentPlace struct {
	reversed uint64        // hash of the torrent, or where to go on when none has that place
	name     wire.InfoHash // of that torrent
	done     bool          // it has been seen
}

// before reports whether a torrent's turn is to come.
func (at *torrentPlace) before(reversed uint64, name *wire.InfoHash) bool {
	if reversed != at.reversed {
		return reversed > at.reversed
	}
	order := bytes.Compare(name[:], at.name[:])
	return order > 0 || order == 0 && !at.done
}

// next moves on to the next torrent of the chain where at is, or to the next chain when there is none: it returns nil then.
func (t *torrents) next(at *torrentPlace) (next *torrent) {
	if t.count == 0 {
		*at = torrentPlace{reversed: wholeHash}
		return nil
	}
	i, _, end := interval(at.reversed, t.count)
	best := torrentPlace{reversed: end}
	for id := *t.head(i); id != 0; {
		r := t.record(id)
		reversed := uint64(bits.Reverse32(t.key.infoHash(&r.hash)))
		if at.before(reversed, &r.hash) && (next == nil || !best.before(reversed, &r.hash)) {
			next, best = r, torrentPlace{reversed: reversed, name: r.hash}
		}
		id = r.next
	}
	*at = best
	return next
}

// interval returns which of n chains or blocks has a reversed hash, and which others belong there.
func interval(reversed uint64, n uint32) (i uint32, start, end uint64) {
	i, top := linear(bits.Reverse32(uint32(reversed)), n), topBit(n)
	size := uint64(wholeHash / uint64(top))
	if i >= top || i+top < n { // one of two halves that were split
		size /= 2
	}
	start = reversed &^ (size - 1)
	return i, start, start + size
}

// next moves on to the next torrent, if it is not inside one, and returns it; nil when it has only come to the next chain.
func (c *Cursor) next(t *torrents) *torrent {
	was := c.name
	r := t.next(&c.torrentPlace)
	if r == nil || was != c.name {
		c.family, c.from = 0, 0
	}
	return r
}

// Walk appends a bounded piece of what the tracker holds to dst and reports whether there is more. Nobody is stopped for
// longer than the piece of one shard takes, some 50 microseconds.
func (t *Tracker) Walk(now time.Time, at *Cursor, dst *wire.Excerpt) (more bool) {
	if at.shard == len(t.shards) {
		return false
	}
	if at.begun.IsZero() {
		at.begun = now
	}
	if at.Within != 0 {
		at.within = at.Within + max(now.Sub(at.begun), 0)
	}
	if t.shards[at.shard].walkSome(now.Sub(t.start), at, dst) {
		return true
	}
	at.shard, at.torrentPlace, at.family, at.from = at.shard+1, torrentPlace{}, 0, 0
	return at.shard < len(t.shards)
}

// wholeHash is the end of the order of reversed hashes.
const wholeHash = 1 << 32

// walkSome does a bounded piece and reports whether there is more of the shard.
func (s *shard) walkSome(at time.Duration, c *Cursor, dst *wire.Excerpt) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	most := len(dst.Members) + walkMembers
	for work := sweepWork; c.reversed < wholeHash; {
		if work--; work < 0 || len(dst.Members) >= most {
			return true
		}
		r := c.next(&s.torrents)
		if r == nil {
			continue
		}
		work = s.walkTorrent(at, r, c, dst, work, most)
		if c.family < tables {
			return true
		}
		c.done = true
	}
	return false
}

// walkTorrent goes on within a torrent until it is done or there is no work left, which it returns.
func (s *shard) walkTorrent(at time.Duration, r *torrent, c *Cursor, dst *wire.Excerpt, work, most int) (left int) {
	first, before := c.family == 0 && c.from == 0, len(dst.Members)
	add := func(table int, words []uint64) {
		m := s.member(at, table, words)
		if s.silent(words[len(words)-1]) || c.within != 0 && milliseconds(c.within+s.told.unit) < int64(m.Told) {
			return
		}
		if !c.Booked && s.outlives(words[len(words)-1]) {
			m.Seen = int32(m.Told)
		}
		dst.Members = append(dst.Members, m)
	}
	for ; c.family < tables; c.family, c.from = c.family+familyBit, 0 {
		for c.from < wholeHash && work > 0 && len(dst.Members) < most {
			c.from = s.visit(r, c.family, c.from, add)
			work--
		}
		if c.from < wholeHash {
			break
		}
	}
	members := len(dst.Members) - before
	age := s.now() - r.last
	if members > 0 || first && (c.within == 0 || time.Duration(age)*time.Minute <= c.within+time.Minute) {
		dst.Swarms = append(dst.Swarms, wire.Swarm{InfoHash: r.hash, Age: age, Downloaded: r.downloaded, Members: members})
	}
	return work
}

// visit shows the peers of one family, of both roles, whose reversed hash is from or follows it in the same block. It returns
// the reversed hash to go on from. What it calls must not change the tables.
func (s *shard) visit(r *torrent, family int, from uint64, do func(table int, words []uint64)) (next uint64) {
	w, next := width(family), wholeHash
	var blocks [2]slot
	var starts, ends [2]uint64
	for role := range blocks {
		blocks[role], starts[role], ends[role] = s.swarms.placeAt(r.peers[family|role], from)
		next = min(next, ends[role])
	}
	for role, b := range blocks {
		whole := starts[role] == from && ends[role] == next
		for block := s.swarms.block(b, w); len(block) > 0; block = block[w:] {
			if !whole {
				if h := uint64(bits.Reverse32(s.swarms.key.peer(block[:w]))); h < from || h >= next {
					continue
				}
			}
			do(family|role, block[:w])
		}
	}
	return next
}

// placeAt returns the block of a table in which a peer with that reversed hash belongs, and the interval of those that belong there, too.
func (s *swarms) placeAt(t slot, reversed uint64) (block slot, start, end uint64) {
	if !t.isDirectory() {
		return t, 0, wholeHash
	}
	d := &s.directories[t.ref()]
	i, start, end := interval(reversed, uint32(len(d.blocks)))
	return d.blocks[i], start, end
}

// member returns what is known of the peer whose words lie in a block. Its ages are counted from the beginning of the ticks.
func (s *shard) member(at time.Duration, table int, words []uint64) wire.Member {
	low := words[len(words)-1]
	m := wire.Member{
		Peer: clientOf(words),
		Seen: int32(milliseconds(s.seenSince(at, low))),
		Told: uint32(milliseconds(s.toldSince(at, low))),
	}
	if table&roleBit != 0 {
		m.Flags |= wire.Seeding
	}
	if low&completed != 0 {
		m.Flags |= wire.Complete
	}
	if low&partial != 0 {
		m.Flags |= wire.Partial
	}
	return m
}

// seenSince returns how long ago the tick began in which a peer was seen, below zero for one that is stored as seen in the future.
func (s *shard) seenSince(at time.Duration, low uint64) time.Duration {
	return time.Duration(s.seenAge(low))*s.seen.unit + s.seen.into(at)
}

// toldSince does the same for when the other nodes learned of it.
func (s *shard) toldSince(at time.Duration, low uint64) time.Duration {
	return time.Duration(s.toldAge(low))*s.told.unit + s.told.into(at)
}

// into returns how much of the present tick is over.
func (c *clock) into(at time.Duration) time.Duration { return max(at-c.begun, 0) }

// milliseconds rounds up: what is restored from it at once falls into the tick it comes from.
func milliseconds(d time.Duration) int64 {
	if d > 0 {
		d += time.Millisecond - 1
	}
	return int64(d / time.Millisecond)
}
