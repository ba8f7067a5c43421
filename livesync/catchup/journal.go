package catchup

import (
	"time"

	"starling/wire"
)

const (
	// journalTime and journalSize bound how far back a journal reaches.
	journalTime = 10 * time.Minute
	journalSize = 1_000_000
	// journalChunk is how many stops are kept in one piece of memory, 47 KiB.
	journalChunk = 1024
)

// Journal is the log of the stops of the last ten minutes, at most a million: a store keeps nothing of a peer that is gone, and who catches
// up must learn that it went. It takes memory as it needs it and gives it back.
type Journal struct {
	start  time.Time
	whole  time.Time // every stop since then is in it
	chunks []*[journalChunk]stop
	spare  *[journalChunk]stop
	first  int // the oldest stop's place in the first chunk
	count  int
}

// stop is 46 bytes and the time.
type stop struct {
	hash wire.InfoHash
	peer wire.Peer
	at   int64 // nanoseconds since the journal's start
}

// NewJournal returns an empty journal, which knows of every stop from now on.
func NewJournal(now time.Time) *Journal { return &Journal{start: now, whole: now} }

// Add notes that a peer stopped.
func (j *Journal) Add(now time.Time, hash wire.InfoHash, peer wire.Peer) {
	j.forget(now)
	if j.count == journalSize {
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
	j.chunks[len(j.chunks)-1][place] = stop{hash, peer, int64(now.Sub(j.start))}
	j.count++
}

// Reach returns how far back every stop is known.
func (j *Journal) Reach(now time.Time) time.Duration {
	j.forget(now)
	return now.Sub(j.whole)
}

// Since returns the stops since a time, the oldest first, with their ages.
func (j *Journal) Since(now, since time.Time) []wire.Leaver {
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
	leavers := make([]wire.Leaver, 0, j.count-low)
	for i := low; i < j.count; i++ {
		s := j.at(i)
		age := max(now.Sub(j.start)-time.Duration(s.at), 0)
		leavers = append(leavers, wire.Leaver{InfoHash: s.hash, Peer: s.peer, Age: uint32(age / time.Millisecond)})
	}
	return leavers
}

// at returns stop i, the oldest being 0.
func (j *Journal) at(i int) *stop {
	i += j.first
	return &j.chunks[i/journalChunk][i%journalChunk]
}

// forget drops what is too old.
func (j *Journal) forget(now time.Time) {
	least := int64(now.Sub(j.start) - journalTime)
	for j.count > 0 && j.at(0).at < least {
		j.drop()
	}
	if begin := now.Add(-journalTime); j.whole.Before(begin) {
		j.whole = begin
	}
}

// drop forgets the oldest stop.
func (j *Journal) drop() {
	j.count--
	if j.first++; j.first == journalChunk {
		j.spare, j.first = j.chunks[0], 0
		j.chunks = j.chunks[1:]
	}
	if j.count == 0 {
		j.chunks, j.first = nil, 0
	}
}
