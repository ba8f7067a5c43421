package tracker

import (
	"runtime"
	"time"
)

// sweepWork is how many blocks and torrents a sweep looks at before it lets go of a shard's lock: some 25 microseconds, up to 150 if it forgets all.
const sweepWork = 256

// forgetWork is how many peers are forgotten in the time that a block takes.
const forgetWork = 8

// hurrySweep is how long after a sweep the next begins, if there is no memory left.
const hurrySweep = 5 * time.Second

// sweep is where a walk over all torrents and peers of a shard is. It goes by the numbers of records, which nobody else changes, so
// that torrents may come and go meanwhile. A directory that it leaves half done remembers how far it came.
type sweep struct {
	id         uint32 // record it has come to; 0: no sweep is going on
	table      int    // table of that record
	seen, told uint64 // ticks in which it began
	work       int    // how much more it may do before it lets go of the lock
	compaction compaction
}

// Expire forgets peers that have been silent for the peer timeout and torrents that nobody needs any more, if
// a sweep is due; else it does nothing. Other calls go on meanwhile: no lock is held for long.
func (t *Tracker) Expire(now time.Time) {
	at := now.Sub(t.start)
	t.sweepMu.Lock()
	defer t.sweepMu.Unlock()
	last := t.sweeps.tick
	t.sweeps.advance(at)
	hurry := t.cfg.Budget != nil && t.cfg.Budget.Pressure() == Full && at-t.swept >= hurrySweep
	if t.sweeps.tick == last && !hurry {
		return
	}
	t.swept = at
	for i := range t.shards {
		t.shards[i].beginSweep(at)
	}
	for going := true; going; {
		going = false
		for i := range t.shards {
			going = t.shards[i].goOn() || going
			runtime.Gosched() // whoever waited for the lock goes on here, at once: to be woken elsewhere takes the system longer than the piece took
		}
	}
}

func (s *shard) beginSweep(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(at)
	if s.silence = timeoutTicks; !s.mem.calm() {
		s.silence = s.hurried
	}
	s.sweep = sweep{id: 1, seen: s.seen.tick, told: s.told.tick, compaction: s.compaction()}
}

// goOn does a bounded piece of a sweep and reports whether there is more to do.
func (s *shard) goOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := &s.sweep
	if at.id == 0 {
		return false
	}
	at.work = sweepWork
	if !s.settle() {
		return true
	}
	for ; at.id <= s.torrents.last(); at.id++ {
		if at.work--; at.work < 0 {
			return true
		}
		r := s.torrents.live(at.id)
		if r == nil {
			at.table = 0 // it may have been removed while the sweep was inside
			continue
		}
		gone := 0
		for ; at.table < tables; at.table++ {
			n, done := s.sweepTable(r, at.table)
			gone += n
			if !done {
				return true
			}
		}
		at.table = 0
		if !s.dropIdle(r, gone > 0) {
			s.torrents.relocate(at.id)
		}
	}
	if !s.giveBack() {
		return true
	}
	s.seen.swept, s.told.swept = at.seen, at.told
	*at = sweep{}
	return false
}

// sweepTable sweeps a table, or as much of it as there is work left for, and returns how many peers it
// forgot and whether it has seen all.
func (s *shard) sweepTable(r *torrent, table int) (gone int, done bool) {
	t, w := &r.peers[table], width(table)
	if !t.isDirectory() {
		gone = s.sweepBlock(r, nil, t, table)
		s.sweep.work -= gone / forgetWork
		s.swarms.relocate(t, w)
		return gone, true
	}
	d := &s.swarms.directories[t.ref()]
	if d.swept == 0 {
		s.resample(d)
		d.next = 0
	}
	for ; d.swept < uint32(len(d.blocks)); d.swept++ {
		if s.sweep.work--; s.sweep.work < 0 {
			return gone, false
		}
		block := &d.blocks[d.swept]
		n := s.sweepBlock(r, d, block, table)
		d.peers -= n
		d.next = max(d.next, uint8(block.count()))
		gone += n
		s.sweep.work -= n / forgetWork
		s.swarms.relocate(block, w)
	}
	for d.thin() && s.swarms.join(d, w) {
		if s.sweep.work--; s.sweep.work < 0 {
			return gone, false
		}
	}
	d.swept, d.most = 0, d.next
	d.recount()
	s.swarms.fold(t, w)
	s.swarms.renumber(t)
	return gone, true
}

// sweepBlock forgets the silent peers of a block, and those that are not in the sample that its directory keeps, and rewrites in the others
// the tick in which they were told before its low bits could be taken for a later tick's. It returns how many it forgot.
func (s *shard) sweepBlock(r *torrent, d *directory, t *slot, table int) (gone int) {
	w := width(table)
	block := s.swarms.block(*t, w)
	n, thinned := len(block), 0
	for i := 0; i < n; {
		low := &block[i+w-1]
		silent, out := s.silent(*low), false
		if d != nil && d.sample.counts != 0 {
			hash := s.swarms.key.peer(block[i : i+w])
			if out = outside(hash, d.sample.keeps) && !silent; out {
				thinned++
			} else if silent {
				d.note(hash, -1)
			}
		}
		switch {
		case silent || out:
			s.countPartial(r, -partials(*low))
			s.left(r, table, block[i:i+w])
			n -= w
			copy(block[i:i+w], block[n:n+w])
			continue
		case s.toldAge(*low) > s.resend:
			*low = *low&^(toldMask<<toldShift) | (s.told.tick-s.resend)&toldMask<<toldShift
		}
		i += w
	}
	if n == len(block) {
		return 0
	}
	gone = (len(block) - n) / w
	s.swarms.cut(t, w, n/w)
	s.expired += uint64(gone - thinned)
	s.unstored.Sampled += uint64(thinned)
	return gone
}

// dropIdle forgets a torrent without peers: at once when it has just lost its last peers and has no completions
// to remember; after the peer timeout when it never had any, as one we were told of; after a day
// otherwise. It reports whether it did.
func (s *shard) dropIdle(r *torrent, lost bool) bool {
	if !r.empty() {
		return false
	}
	age, keep := s.now()-r.last, uint32(keepMinutes)
	if r.downloaded == 0 || !s.mem.calm() {
		keep = s.idle
	}
	if age > keep || s.mem.full() || lost && r.downloaded == 0 {
		s.torrents.remove(r)
		return true
	}
	return false
}
