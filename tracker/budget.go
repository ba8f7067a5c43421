package tracker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"starling/wire"
)

// Budget bounds the memory of all stores that are made with it: together they never hold more, whatever is announced, told or
// restored. What peers and torrents take of it is live, and how much is live is the pressure:
//
//	          live        ends     a torrent nobody     a silent peer is       a torrent without     tables of more than
//	          of budget   below    knew                 forgotten after        peers is kept         sampleLeast peers
//	calm      < 75 %               comes in             the peer timeout       a day                 grow
//	tight     >= 75 %     70 %     when asked for       the longest interval   the peer timeout      grow
//	                               a second time        and three ticks
//	full      >= 85 %     80 %     does not come in     the same               until the next sweep  become a sample, see sample.go
//
// Beside that, a chunk of memory is had
//
//	for a peer of a small table of a torrent that is known   while there is any
//	for torrents, and for tables that have a directory       up to 15/16 of the budget
//
// so that a large swarm, or many new ones, do not take what the small ones need to go on. Peers that are known are kept and served in each
// state: to store one again takes nothing. Names that nobody means are asked for once, and names of torrents again and again: so a flood of random
// ones fills the budget to 75 % and, once its first part has fallen silent, no more. Who is refused gets the answer that there is
// nobody yet, and comes back in a quarter of the usual time.
//
// What is stored is counted where it is stored, by the shard, which tells the budget when some kilobytes have come together (see allowance).
// Chunks are taken from the budget before they are made; nearly all of what they hold counts as live, too, lest there be pressure that nobody sees. A chunk that was given back may be garbage for a while: for that, and for all that is not a
// store, whoever sets the limit of the process keeps a reserve.
type Budget struct {
	most     int64
	held     atomic.Int64
	live     atomic.Int64
	pressure atomic.Int32
	doors    [doorLanes]door
}

// Pressure is how much of a budget is live, in three steps.
type Pressure uint8

// The pressures, in the order in which they grow.
const (
	Calm Pressure = iota
	Tight
	Full
)

// String returns the name of a pressure.
func (p Pressure) String() string { return [...]string{"calm", "tight", "full"}[p] }

// From which percentage of the budget on a pressure begins, and below which it ends.
var pressureBounds = [...]struct{ begins, ends int64 }{Tight: {75, 70}, Full: {85, 80}}

const (
	// heldPercent of what is held count as live at least: what is free in chunks is not always where it is needed.
	heldPercent = 92

	// spanBytes is what the runtime needs to know of a chunk of its own.
	spanBytes   = 192
	blocksHeld  = chunkBytes + spanBytes
	recordsHeld = recordsChunk*56 + spanBytes
	// publishBytes is how much a shard has before it tells the budget.
	publishBytes = 4096
	// doorPart is which part of the budget remembers names that were asked for once, in doorLanes parts by hash; doorBits is how many bits there are for each.
	doorPart  = 16
	doorBits  = 12
	doorLanes = 64
	doorMost  = 64 << 20 // bytes: some 40 million names
	// filterPart is which part of the budget, beside it, a filter of restored peers may take.
	filterPart = 32
)

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{most: bytes}
	words := max(min(bytes/doorPart, doorMost)/doorLanes/2/8, 16)
	for i := range b.doors {
		b.doors[i].recent, b.doors[i].older = make(filter, words), make(filter, words)
	}
	b.held.Store(words * 8 * 2 * doorLanes)
	b.live.Store(words * 8 * 2 * doorLanes)
	return b
}

// BudgetStatus is how a budget is used.
type BudgetStatus struct {
	Bytes    int64 // all there are
	Held     int64 // by stores
	Live     int64 // of these, with peers and torrents in them
	Pressure Pressure
}

// Status returns how the budget is used, zeros for none.
func (b *Budget) Status() BudgetStatus {
	if b == nil {
		return BudgetStatus{}
	}
	return BudgetStatus{Bytes: b.most, Held: b.held.Load(), Live: b.live.Load(), Pressure: b.Pressure()}
}

// Pressure returns the pressure.
func (b *Budget) Pressure() Pressure { return Pressure(b.pressure.Load()) }

// shared returns how much may be held when a chunk is had for torrents or for large tables.
func (b *Budget) shared() int64 { return b.most - b.most/16 }

// bound returns for how many of so many peers a filter may be made: it is not taken from the budget, and gets a part of the reserve.
func (b *Budget) bound(peers uint64) uint64 {
	if b == nil {
		return peers
	}
	return min(peers, uint64(b.most)/filterPart*8/filterBits/2+1)
}

// take takes bytes, unless more than most would be held then.
func (b *Budget) take(bytes, most int64) bool {
	if b.held.Add(bytes) > most {
		b.held.Add(-bytes)
		b.judge()
		return false
	}
	return true
}

// Borrow takes bytes for what is made of a store and kept beside it, as a scrape of all torrents is, if nobody has to make room for it: as long as
// less is held than what is full no longer. They are given back with a negative number. Without a budget there are as many as anybody wants.
func (b *Budget) Borrow(bytes int64) bool {
	if b == nil {
		return true
	}
	if bytes > 0 {
		return b.take(bytes, b.most/100*pressureBounds[Full].ends)
	}
	b.held.Add(bytes)
	return true
}

// judge sets the pressure.
func (b *Budget) judge() {
	live, was, is := max(b.live.Load(), b.held.Load()/100*heldPercent), Pressure(b.pressure.Load()), Calm
	for p := Tight; p <= Full; p++ {
		bound := pressureBounds[p].begins
		if was >= p {
			bound = pressureBounds[p].ends
		}
		if live >= b.most/100*bound {
			is = p
		}
	}
	if is != was {
		b.pressure.CompareAndSwap(int32(was), int32(is))
	}
}

// allowance is a shard's part in a budget. A nil one allows everything.
type allowance struct {
	budget *Budget
	most   int64 // how much may be held in all when what is being stored needs a chunk
	live   int64 // what the budget was told of: bytes in blocks and records, and the rest
	rest   int64 // of these, what is held beside chunks of both
}

func (m *allowance) take(bytes int64) bool { return m == nil || m.budget.take(bytes, m.most) }

func (m *allowance) give(bytes int64) {
	if m != nil {
		m.budget.held.Add(-bytes)
	}
}

// full reports whether there is so little left that large tables become samples.
func (m *allowance) full() bool { return m != nil && m.budget.Pressure() == Full }

// calm reports whether there is enough left for everything.
func (m *allowance) calm() bool { return m == nil || m.budget.Pressure() == Calm }

// door remembers names that were asked for once: as many as its share of the bits can tell apart, and up to as many more.
type door struct {
	mu            sync.Mutex // guards all below
	recent, older filter
	came          int // how many are in recent
}

// again reports whether a torrent was asked for before, and remembers that it was.
func (b *Budget) again(hash uint32, name *wire.InfoHash) bool {
	d := &b.doors[hash%doorLanes]
	key := uint64(hash)<<32 | uint64(binary.BigEndian.Uint32(name[len(name)-4:]))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recent.has(key) || d.older.has(key) {
		return true
	}
	if d.came++; d.came > len(d.recent)*64/doorBits {
		d.recent, d.older, d.came = d.older, d.recent, 1
		clear(d.recent)
	}
	d.recent.add(key)
	return false
}

// publish tells the budget what has come or gone since the last time, if it is much.
func (s *shard) publish() {
	m := s.mem
	live := int64(s.swarms.slab.used)*8 + int64(s.torrents.count)*60
	rest := int64(len(s.torrents.heads))*headChunk*4 + s.swarms.directoryBytes()
	if d := rest - m.rest; d != 0 {
		m.rest = rest
		m.budget.held.Add(d)
	}
	if d := live + rest - m.live; d >= publishBytes || d <= -publishBytes {
		m.live += d
		m.budget.live.Add(d)
		m.budget.judge()
	}
}

// admits reports whether a torrent that is not known may come in, and makes room for its record. One that is known to be more than a name that somebody
// asks for is sure.
func (s *shard) admits(hash uint32, name *wire.InfoHash, sure bool) bool {
	m := s.mem
	if m == nil {
		return true
	}
	m.most = m.budget.shared()
	switch pressure := m.budget.Pressure(); {
	case pressure != Calm && !sure && !m.budget.again(hash, name):
		s.unstored.Unknown++
		return false
	case pressure == Full:
		s.unstored.Torrents++
		return false
	case s.torrents.room():
		return true
	case !m.take(recordsHeld):
		s.unstored.Torrents++
		return false
	}
	s.torrents.grow()
	return true
}

// Release gives all that a store holds back to its budget. Nothing may be stored in it any more.
func (t *Tracker) Release() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if m := s.mem; m != nil {
			m.budget.held.Add(-int64(s.swarms.slab.held())*blocksHeld - s.torrents.held()*recordsHeld - m.rest)
			m.budget.live.Add(-m.live)
			m.budget.judge()
			s.mem, s.torrents, s.peers = nil, torrents{key: t.key}, [tables]uint64{}
			s.swarms = swarms{key: s.swarms.key} // whose slab may not grow
		}
		s.mu.Unlock()
	}
}
