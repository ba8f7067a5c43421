package tracker

import (
	"time"

	"starling/wire"
)

// A peer whose return is booked for later than usual is kept here until then, but other nodes forget it at the peer timeout after they
// last heard of it. So this node tells them again:
//
//	announced, told      told again                told again            due        forgotten here
//	 |--------------------|-------------------------|------ ... ----------|----------|
//	 |<--- 2/3 timeout -->|                         |<- renew ->| seen, as stored
//	 |    or up to a third less, each peer at its own distance  |<---- timeout ----->|
//
// The last time is when what the others know is at most the renew boundary older than when the peer is stored as seen: they then keep it
// until it is due. Nothing more than that has to be remembered of a peer. One that was not booked is told whenever it announces and the
// boundary is over, and one that another node told of is stored as seen and told at the same time: neither is ever told again here.

// ahead returns how many ticks in the future a peer is stored as seen that is to come back in so many seconds.
func (s *shard) ahead(booked uint32) uint64 {
	if booked == 0 {
		return 0
	}
	due := uint64(divideUp(time.Duration(booked)*time.Second, s.seen.unit)) + 1 + slackTicks
	if due <= timeoutTicks {
		return 0
	}
	s.booked = true
	return min(due-timeoutTicks, futureTicks)
}

// lookUp returns what is known of a peer of a torrent.
func (s *shard) lookUp(r *torrent, client *wire.Peer) earlier {
	p, table := peerOf(client), familyOf(client)
	w := width(table)
	for _, role := range [...]int{0, roleBit} {
		if low := s.swarms.find(r.peers[table|role], w, &p); low != nil {
			return earlier{true, *low & metaMask}
		}
	}
	return earlier{}
}

// early returns for how much longer a peer that announces was not expected, 0 when it was or nobody knows. Only one that was booked
// for later than usual gives itself away, by being stored in the future or as what [Tracker.Resend] looks for.
func (s *shard) early(was earlier, at time.Duration) time.Duration {
	if !was.known || s.seenAge(was.meta) >= 0 && !s.outlives(was.meta) {
		return 0
	}
	ticks := time.Duration(timeoutTicks - slackTicks - 1 - s.seenAge(was.meta))
	return max(ticks*s.seen.unit-(at-s.seen.begun), 0)
}

// maxBooked is the longest time to come back that a peer can be kept for: two hours with the default timeout.
func (t *Tracker) maxBooked() time.Duration {
	return (futureTicks + timeoutTicks - slackTicks - 1) * t.shards[0].seen.unit
}

// Resend tells the other nodes again of peers that they would forget before these are due. Like Announce and unlike anything
// else it calls OnChange. It looks at one shard after the other, all of them in the time between two sweeps, so that there is
// never much to tell at once.
func (t *Tracker) Resend(now time.Time) {
	if t.cfg.OnChange == nil {
		return
	}
	at := now.Sub(t.start)
	t.resendMu.Lock()
	defer t.resendMu.Unlock()
	last := t.resends.tick
	t.resends.advance(at)
	for range min(t.resends.tick-last, uint64(len(t.shards))) {
		s := &t.shards[t.turn]
		t.turn = (t.turn + 1) % len(t.shards)
		for w := (walk{}); s.resendSome(at, &w, t.cfg.OnChange); {
		}
	}
}

// walk is where a look at all peers of a shard is. What changes meanwhile may be seen twice or not at all: then
// it is the next walk's.
type walk struct {
	id    uint32 // of the record; 0: not begun
	table int
	block int
}

// resendSome does a bounded piece of a walk and reports whether there is more to do.
func (s *shard) resendSome(at time.Duration, w *walk, tell func(wire.Record)) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.id == 0 {
		if !s.booked {
			return false
		}
		*w, s.booked = walk{id: 1}, false
	}
	s.advance(at)
	work := sweepWork
	for ; w.id <= s.torrents.last(); w.id++ {
		r := s.torrents.live(w.id)
		for ; r != nil && w.table < tables; w.table++ {
			blocks := s.swarms.blocks(r.peers[w.table : w.table+1])
			for ; w.block < len(blocks); w.block++ {
				if work--; work < 0 {
					return true
				}
				s.resendBlock(r, w.table, blocks[w.block], tell)
			}
			w.block = 0
		}
		w.table, w.block = 0, 0
		if work--; work < 0 {
			w.id++
			return true
		}
	}
	return false
}

// resendBlock tells of the peers of a block whose time has come.
func (s *shard) resendBlock(r *torrent, table int, t slot, tell func(wire.Record)) {
	wide := width(table)
	block := s.swarms.block(t, wide)
	for ; len(block) > 0; block = block[wide:] {
		low := &block[wide-1]
		if !s.outlives(*low) {
			continue
		}
		s.booked = true
		spread := uint64(s.swarms.key.peer(block[:wide])) * (s.resend / 3) >> 32
		if s.toldAge(*low) < s.resend-spread {
			continue
		}
		record := wire.Record{InfoHash: r.hash, Peer: clientOf(block[:wide]), Flags: wire.Renewal}
		if table&roleBit != 0 {
			record.Flags |= wire.Seeding
		}
		tell(record)
		*low = *low&^(toldMask<<toldShift) | s.toldStamp()
	}
}

// outlives reports whether a peer is stored as seen so much later than the other nodes know of it that they would forget it
// before it is due. The rounding of both clocks makes no other peer look like that.
func (s *shard) outlives(low uint64) bool {
	later := time.Duration(s.toldAge(low))*s.told.unit - time.Duration(s.seenAge(low))*s.seen.unit
	return later > time.Duration(s.renew+1)*s.told.unit+s.seen.unit
}

// clientOf returns the peer whose words lie in a block.
func clientOf(words []uint64) wire.Peer {
	var b [wire.Compact6]byte
	compact := appendCompact(b[:0], words)
	if len(words) == 1 {
		return wire.PeerFrom4(compact)
	}
	return wire.PeerFrom6(compact)
}
