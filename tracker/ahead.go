package tracker

import (
	"time"

	"starling/wire"
	"starling/wire/mmsg"
)

// Announces that were read together are of torrents that have nothing to do with each other, as records are (see [Tracker.ApplyAll]): in a large store each of
// them waits for memory several times. So what they need is read before the first of them is answered, step by step for all, and
// the processor reads it at the same time. Nothing is changed, and what is answered does not depend on it. A store that lies in the processor's cache
// would pay some 80 ns an announce for nothing; in one of 10 M peers it saves 350 ns.
const (
	// largeStore is from how many bytes on a store reads ahead.
	largeStore = 32 << 20
	// aheadLeast is for how many announces that is worth while.
	aheadLeast = 4
	// aheadBlocks is of how many blocks of a directory something is read: those of an answer that goes through a whole table, or some of them.
	aheadBlocks = 8
)

// weigh finds out whether the store is a large one.
func (t *Tracker) weigh() {
	bytes := int64(0)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		bytes += int64(s.swarms.slab.held())*chunkBytes + s.torrents.held()*recordsHeld
		s.mu.Unlock()
	}
	t.large.Store(bytes > largeStore)
}

// ahead is what is to be read.
type ahead struct {
	window [batch]pending // in the order of their shards, place is that in names
	names  [batch]wire.InfoHash
	count  int
	sum    uint64 // of what was read, which keeps the compiler from leaving it out
}

// add adds an announce of a torrent.
func (a *ahead) add(t *Tracker, name *wire.InfoHash) {
	hash := t.key.infoHash(name)
	p := pending{hash: hash, place: uint16(a.count), shard: uint16(t.shardOf(hash))}
	a.names[a.count] = *name
	i := a.count
	for ; i > 0 && a.window[i-1].shard > p.shard; i-- {
		a.window[i] = a.window[i-1]
	}
	a.window[i] = p
	a.count++
}

// readAhead reads what is needed for the announces among some packets. They are not looked at closely: a packet that is refused costs no more here
// than one that is not.
func (w *udpWorker) readAhead(now time.Time, in *mmsg.Reader, n int) {
	for i := range n {
		packet := in.Bytes(i)
		if h, ok := wire.ParseUDPHeader(packet); ok && h.Action == wire.ActionAnnounce && len(packet) >= wire.UDPAnnounceSize {
			w.ahead.add(w.tracker, (*wire.InfoHash)(packet[16:]))
		}
	}
	w.tracker.readAhead(now, &w.ahead)
}

// readAhead reads what a needs, if it is worth while, and empties it.
func (t *Tracker) readAhead(now time.Time, a *ahead) {
	window := a.window[:a.count]
	a.count = 0
	if len(window) < aheadLeast {
		return
	}
	t.lockAll(window, now.Sub(t.start))
	for i := range window {
		p := &window[i]
		p.record = t.shards[p.shard].torrents.first(p.hash)
	}
	for i := range window {
		p := &window[i]
		p.record = t.shards[p.shard].torrents.behind(p.record, &a.names[p.place])
	}
	for i := range window {
		if p := &window[i]; p.record != 0 {
			s := &t.shards[p.shard]
			a.sum += s.swarms.readAhead(&s.torrents.record(p.record).peers)
		}
	}
	t.unlockAll(window)
}

// readAhead reads from the blocks of a torrent's peers.
func (s *swarms) readAhead(peers *[tables]slot) (sum uint64) {
	for i := range peers {
		if peers[i] == 0 {
			continue
		}
		blocks := s.blocks(peers[i : i+1])
		for _, b := range blocks[:min(len(blocks), aheadBlocks)] {
			if b == 0 {
				continue
			}
			words := s.block(b, width(i))
			sum += words[0] + words[len(words)/2]
		}
	}
	return sum
}
