package tracker

import (
	"context"
	"time"

	"starling/wire"
)

// What a [Config] means where it leaves a field zero.
const (
	DefaultInterval    = 30 * time.Minute
	DefaultMinInterval = 15 * time.Minute
	DefaultPeerTimeout = 45 * time.Minute
	DefaultRenew       = 10 * time.Minute
	DefaultNumWant     = 50
	DefaultMaxNumWant  = 200
)

// Config says how a tracker behaves. A field that is zero has its default.
type Config struct {
	// Interval is what clients are told to wait between announces; each answer is a tenth shorter or longer by chance.
	Interval time.Duration
	// MinInterval is the shortest wait clients are told to keep.
	MinInterval time.Duration
	// PeerTimeout is when a silent peer is forgotten: never earlier, and at most two sixtieths of it later.
	PeerTimeout time.Duration
	// Renew is how long other nodes are not told again of a peer that keeps announcing.
	// Shorter costs packets, longer costs the other nodes the peer when it comes near PeerTimeout.
	Renew time.Duration
	// NumWant is how many peers an announce gets that names no number, MaxNumWant the most that any gets.
	NumWant, MaxNumWant int
	// OnChange is told what the other nodes must learn. It is called under a lock, so that the records
	// of a peer leave in the order in which they were stored: it must neither block nor allocate nor call the tracker. Nil: nobody is told.
	OnChange func(wire.Record)
	// Shards is how many parts the store has, each with its own lock, rounded up to a power of two. 0: chosen from GOMAXPROCS.
	Shards int
	// Seed makes all that is random repeatable, for tests. Nil: the system's random source.
	Seed *[32]byte
}

// Announce is what a client tells of itself.
type Announce struct {
	InfoHash     wire.InfoHash
	Peer         wire.Peer
	Event        wire.Event
	Seeder       bool // nothing is left to download
	NumWant      int  // how many peers it wants; negative: the tracker's default
	BothFamilies bool // false: only peers of its own address family
}

// Answer is what the client gets.
type Answer struct {
	Interval, MinInterval uint32 // seconds
	Seeders, Leechers     uint32 // of both families, itself included
	Downloaded            uint64
	Peers4, Peers6        []byte // compact peers, appended to what is there
}

// Counts is what a scrape tells of a torrent.
type Counts struct {
	Seeders, Leechers uint32
	Partial           uint32 // leechers that want no more (BEP 21)
	Downloaded        uint64
}

// Stats sums up what a tracker holds and has done.
type Stats struct {
	Torrents       uint64
	Peers4, Peers6 uint64
	Seeders        uint64
	Leechers       uint64 // partial seeds included
	Partial        uint64
	Completed      uint64 // completions counted since the start
	Expired        uint64 // peers forgotten because they fell silent
	Refused        uint64 // peers not stored because a shard was full
	Bytes          uint64 // memory of the store
}

// Run forgets silent peers until ctx ends, and then returns nil.
func (t *Tracker) Run(ctx context.Context) error {
	timer := time.NewTicker(t.sweepEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			t.Expire(time.Now())
		}
	}
}
