package tracker

import (
	"sync/atomic"

	"starling/tracker/access"
	"starling/wire"
)

// AccessCounts is how often the store did not take in something because of its rules, beside what the servers refuse.
type AccessCounts struct {
	Announces uint64 // whose torrent became forbidden while they were answered
	Records   uint64 // of other nodes
	Tells     uint64
	Restored  uint64 // pieces of swarms, of other nodes or a snapshot
	Purged    uint64 // torrents that became forbidden
}

// rules is what a tracker's rules are and what came of them.
type rules struct {
	now atomic.Pointer[access.Rules] // nil: everything is served

	announces, records, tells, restored, purged atomic.Uint64
}

// SetAccess puts rules in force; nil: everything is served. What is there and forbidden by now stays until [Tracker.Purge] or [Tracker.PurgeAll].
func (t *Tracker) SetAccess(r *access.Rules) { t.rules.now.Store(r) }

// Access returns the rules that are in force, nil when everything is served.
func (t *Tracker) Access() *access.Rules { return t.rules.now.Load() }

// AccessCounts returns what was not taken in.
func (t *Tracker) AccessCounts() AccessCounts {
	r := &t.rules
	return AccessCounts{
		Announces: r.announces.Load(), Records: r.records.Load(), Tells: r.tells.Load(), Restored: r.restored.Load(), Purged: r.purged.Load(),
	}
}

// forbids reports whether a torrent is not served, and counts it. Whoever stores something asks it with the lock of the torrent's shard in hand: what
// passes is stored before the lock is let go of, and a purge by later rules comes after that.
func (r *rules) forbids(h *wire.InfoHash, count *atomic.Uint64) bool {
	now := r.now.Load()
	if now == nil || now.Torrent(h) == access.Served {
		return false
	}
	count.Add(1)
	return true
}

// forbidsStill does the same for who asked before under the rules given, which allowed it.
func (r *rules) forbidsStill(h *wire.InfoHash, under *access.Rules, count *atomic.Uint64) bool {
	return r.now.Load() != under && r.forbids(h, count)
}
