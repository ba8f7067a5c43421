package catchup

import (
	"sync"
	"time"

	"starling/wire"
)

const (
	// journalTime and journalSize bound how far back a journal reaches.
	journalTime = 10 * time.Minute
	journalSize = 1_000_000
	// returnTime and returnSize do so for the journal of those who came or came back: longer than a tick in which stores count.
	returnTime = 2 * time.Minute
	returnSize = 1 << 18
	// journalChunk is how many stops are kept in one piece of memory, 56 KiB.
	journalChunk = 1024
)

// Journal is the log of the stops of the last ten minutes, at most a million: a store keeps nothing of a peer that is gone, and who catches
// up must learn that it went. It takes memory as it needs it and gives it back. It may be used by any number of goroutines.
type Journal struct {
	span time.Duration // how far back it reaches
	size int           // stops that it holds at most

	mu     sync.Mutex // guards all below; nobody is called while it is held
	clock  time.Time  // the latest time it was told
	start  time.Time
	whole  time.Time // every stop since then is in it
	chunks []*[journalChunk]stop
	spare  *[journalChunk]stop
	first  int // the oldest stop's place in the first chunk
	count  int
	lost   uint64 // how many were there before
}

// stop is a peer that has left.
type stop struct {
	hash wire.InfoHash
	peer wire.Peer
	late uint32 // milliseconds that it was known late, because another node's stream brought it, or its packet was held
	at   int64  // when that was, nanoseconds since the journal's start
}

// NewJournal returns an empty journal, which knows of every stop from now on.
func NewJournal(now time.Time) *Journal {
	j := &Journal{span: journalTime, size: journalSize}
	j.Begin(now)
	return j
}

// NewReturns returns an empty journal for those who came or came back, in which they are noted as others who stop. A store knows only the
// tick in which it saw a peer, not whether that was before or after a stop within it.
func NewReturns(now time.Time) *Journal {
	j := &Journal{span: returnTime, size: returnSize}
	j.Begin(now)
	return j
}

// AddAll notes the peers of records that are stops, or of those that are not. They arrived so long ago.
func (j *Journal) AddAll(rs []wire.Record, stops bool, ago time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range rs {
		if r := &rs[i]; (r.Flags&wire.Stopped != 0) == stops {
			j.add(r.InfoHash, r.Peer, uint32(min(max(ago, 0), j.span)/time.Millisecond))
		}
	}
}

// Begin empties the journal, which knows of every stop from now on.
func (j *Journal) Begin(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock, j.start, j.whole = now, now, now
	j.lost += uint64(j.count)
	j.chunks, j.spare, j.first, j.count = nil, nil, 0, 0
}

// Tick tells the journal the time.
func (j *Journal) Tick(now time.Time) {
	j.mu.Lock()
	j.clock = now
	j.mu.Unlock()
}

// Add notes that a peer stopped, at the latest time the journal was told.
func (j *Journal) Add(hash wire.InfoHash, peer wire.Peer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(hash, peer, 0)
}

// Learn notes stops that another node told of in its stream, so long ago and late more: whoever asks this one must learn of them, too.
// Since finds them by when they were learned.
func (j *Journal) Learn(now time.Time, late time.Duration, leavers []wire.Leaver) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock = now
	for i := range leavers {
		l := &leavers[i]
		if ago := time.Duration(l.Age)*time.Millisecond + max(late, 0); ago < journalTime { // else they would go round for ever
			j.add(l.InfoHash, l.Peer, uint32(ago/time.Millisecond))
		}
	}
}

// add adds one. The caller holds j.mu.
func (j *Journal) add(hash wire.InfoHash, peer wire.Peer, late uint32) {
	now := j.clock
	j.forget(now)
	if j.count == j.size {
		j.whole = j.start.Add(time.Duration(j.at(0).at) + 1)
		j.drop()
	}
	place := (j.first + j.count) % journalChunk
	if j.first+j.count == len(j.chunks)*journalChunk {
		chunk := j.spare
		if j.spare = nil; chunk == nil {
			chunk = new([journalChunk]stop)
		}
		j.chunks = append(j.chunks, chunk)
	}
	j.chunks[len(j.chunks)-1][place] = stop{hash, peer, late, int64(now.Sub(j.start))}
	j.count++
}

// Reach returns how far back every stop is known.
func (j *Journal) Reach(now time.Time) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock = now
	j.forget(now)
	return now.Sub(j.whole)
}

// Since returns the stops since a time, the oldest first, with their ages. Nobody who adds one waits longer than for a thousand of them.
func (j *Journal) Since(now, since time.Time) (leavers []wire.Leaver) {
	next, end := j.find(now, since)
	for next < end {
		leavers, next = j.read(now, next, leavers)
	}
	return leavers
}

// find returns the numbers of the first stop since a time and of the one behind the last.
func (j *Journal) find(now, since time.Time) (first, end uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clock = now
	j.forget(now)
	least := int64(since.Sub(j.start))
	low, high := 0, j.count
	for low < high { // times may step back by a little between two callers: what is found is a little more or less
		if mid := (low + high) / 2; j.at(mid).at < least {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return j.lost + uint64(low), j.lost + uint64(j.count)
}

// read appends the stops from a number on that lie in one chunk, and returns the number behind them.
func (j *Journal) read(now time.Time, number uint64, dst []wire.Leaver) ([]wire.Leaver, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	number = max(number, j.lost)
	for i := int(number - j.lost); i < j.count; i++ {
		s := j.at(i)
		age := max(now.Sub(j.start)-time.Duration(s.at), 0)
		dst = append(dst, wire.Leaver{InfoHash: s.hash, Peer: s.peer, Age: uint32(age/time.Millisecond) + s.late})
		if number++; (i+1+j.first)%journalChunk == 0 {
			return dst, number
		}
	}
	return dst, max(number, j.lost+uint64(j.count))
}

// at returns stop i, the oldest being 0.
func (j *Journal) at(i int) *stop {
	i += j.first
	return &j.chunks[i/journalChunk][i%journalChunk]
}

// forget drops what is too old.
func (j *Journal) forget(now time.Time) {
	least := int64(now.Sub(j.start) - j.span)
	for j.count > 0 && j.at(0).at < least {
		j.drop()
	}
	if begin := now.Add(-j.span); j.whole.Before(begin) {
		j.whole = begin
	}
}

// drop forgets the oldest stop.
func (j *Journal) drop() {
	j.count--
	j.lost++
	if j.first++; j.first == journalChunk {
		j.spare, j.first = j.chunks[0], 0
		j.chunks = j.chunks[1:]
	}
	if j.count == 0 {
		j.chunks, j.first = nil, 0
	}
}
