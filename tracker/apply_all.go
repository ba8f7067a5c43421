package tracker

import (
	"time"

	"starling/tracker/access"
	"starling/wire"
)

// Records that come in packets are of torrents that have nothing to do with each other, so that one after the other each of them
// waits for memory three times: for its chain's head, its torrent's record and its peer's block. ApplyAll goes
// through a few records step by step instead. What one step reads for one record does not depend on what it reads for another:
// the processor reads them at the same time.
//
//	records      as they came       [c1 a1 b1 c2 a2 ...]
//	sorted       by shard, stably   [a1 a2 | b1 | c1 c2 ...]   those of one peer stay in order, for they are in one shard
//	window       lock its shards, then  heads -> records -> blocks -> apply,  each for the whole window, and unlock
const (
	// applyMost is how many records are sorted at once: as many as their scratch stays in a processor's cache.
	applyMost = 2048
	// applyWindow is how many records are looked at step by step. With fewer there is less to wait for together, with more the
	// locks are held for longer: some 4 microseconds as it is.
	applyWindow = 32
)

// pending is a record that waits to be applied.
type pending struct {
	hash   uint32 // of its info hash
	record uint32 // of its torrent, by number; 0: there was none when it was looked up
	place  uint16 // among the records that were handed over
	shard  uint16
}

// applying is what a call of ApplyAll works with.
type applying struct {
	ends   []uint16 // how far in sorted each shard's records go
	given  [applyMost]pending
	sorted [applyMost]pending
	rules  *access.Rules // that served what was sorted
	ahead  uint64        // sum of what was read ahead, which keeps the compiler from leaving it out
}

// ApplyAll stores what other nodes tell of peers, with the same result as [Tracker.Apply] for one record after the other. It
// costs half as much for a packet's worth, less for more, and does not allocate.
func (t *Tracker) ApplyAll(now time.Time, rs []wire.Record) {
	a, _ := t.applying.Get().(*applying)
	if a == nil {
		a = &applying{ends: make([]uint16, len(t.shards))}
	}
	at := now.Sub(t.start)
	for len(rs) > 0 {
		n := min(len(rs), applyMost)
		for sorted := t.sort(a, rs[:n]); len(sorted) > 0; {
			window := sorted[:min(len(sorted), applyWindow)]
			t.lockAll(window, at)
			t.applyLocked(a, window, rs)
			t.unlockAll(window)
			sorted = sorted[len(window):]
		}
		rs = rs[n:]
	}
	a.rules = nil // else lists stay in memory that hold no more
	t.applying.Put(a)
}

// sort returns the records of peers that a client could reach in the order of their shards.
func (t *Tracker) sort(a *applying, rs []wire.Record) []pending {
	clear(a.ends)
	n := 0
	a.rules = t.rules.now.Load()
	for i := range rs {
		if !rs[i].Peer.Valid() {
			continue
		}
		if a.rules != nil && t.rules.forbids(&rs[i].InfoHash, &t.rules.records) {
			continue
		}
		hash := t.key.infoHash(&rs[i].InfoHash)
		shard := t.shardOf(hash)
		a.given[n] = pending{hash: hash, place: uint16(i), shard: uint16(shard)}
		a.ends[shard]++
		n++
	}
	begin := uint16(0)
	for shard, k := range a.ends {
		a.ends[shard] = begin
		begin += k
	}
	for i := range a.given[:n] {
		end := &a.ends[a.given[i].shard]
		a.sorted[*end] = a.given[i]
		*end++
	}
	return a.sorted[:n]
}

// lockAll locks the shards of a window. Nobody else holds more than one lock, and all windows take theirs in
// the same order, so that none waits for another that waits for it.
func (t *Tracker) lockAll(window []pending, at time.Duration) {
	for i := range window {
		if i == 0 || window[i].shard != window[i-1].shard {
			s := &t.shards[window[i].shard]
			s.mu.Lock()
			s.advance(at)
		}
	}
}

func (t *Tracker) unlockAll(window []pending) {
	for i := range window {
		if i == 0 || window[i].shard != window[i-1].shard {
			t.shards[window[i].shard].mu.Unlock()
		}
	}
}

// applyLocked applies the records of a window. The steps before the last change nothing, and what they found may
// be out of date when its turn comes.
func (t *Tracker) applyLocked(a *applying, window []pending, rs []wire.Record) {
	for i := range window {
		p := &window[i]
		p.record = t.shards[p.shard].torrents.first(p.hash)
	}
	for i := range window {
		p := &window[i]
		p.record = t.shards[p.shard].torrents.behind(p.record, &rs[p.place].InfoHash)
	}
	for i := range window {
		if p := &window[i]; p.record != 0 {
			a.ahead += t.shards[p.shard].readAhead(p.record, &rs[p.place].Peer)
		}
	}
	for i := range window {
		p := &window[i]
		s, r := &t.shards[p.shard], &rs[p.place]
		if t.rules.forbidsStill(&r.InfoHash, a.rules, &t.rules.records) {
			continue
		}
		tor := s.torrents.still(p.record, &r.InfoHash)
		if tor == nil {
			tor = s.torrents.find(p.hash, &r.InfoHash)
		}
		s.apply(tor, p.hash, r)
	}
}

// readAhead reads from the blocks where a peer of a torrent is, if it is known.
func (s *shard) readAhead(record uint32, client *wire.Peer) (sum uint64) {
	family := familyOf(client)
	tables := s.torrents.record(record).peers[family:]
	for _, t := range tables[:2] { // leechers and seeders
		if t.isDirectory() {
			p := peerOf(client)
			t = *s.swarms.place(&s.swarms.directories[t.ref()], p.words(width(family)))
		}
		if t != 0 {
			sum += *s.swarms.slab.word(t.ref())
		}
	}
	return sum
}
