package tracker

import (
	"math/rand/v2"
	"sync"
	"time"
)

// shard is a part of the store with a lock of its own. It holds the torrents whose hash begins with its number.
type shard struct {
	mu sync.Mutex // guards all below

	seen   clock  // ages of peers
	told   clock  // ages of what other nodes know of them
	minute clock  // ages of torrents
	renew  uint64 // ticks of told after which the other nodes are told again
	resend uint64 // the same for booked peers that do not announce meanwhile
	idle   uint32 // minutes that a torrent stays which never had peers nor completions
	rng    rand.PCG

	torrents torrents
	swarms   swarms
	sweep    sweep
	booked   bool       // there may be peers that Resend has to look at
	sketch   *sketch    // nil: none is kept
	mem      *allowance // nil: there is no limit
	silence  int64      // ticks after which a peer is forgotten
	hurried  int64      // the same under pressure

	// What [Stats] sums up.
	peers     [tables]uint64
	partial   uint64
	completed uint64
	expired   uint64
	unstored  Unstored
	renewed   [seenMask + 1]uint64 // by how many ticks ago the peer was seen
}

// keepMinutes is how long a torrent without peers keeps its downloaded count.
const keepMinutes = 24 * 60

// advance tells the shard's clocks the time, counted from the tracker's start.
func (s *shard) advance(at time.Duration) {
	s.seen.advance(at)
	s.told.advance(at)
	s.minute.advance(at)
	if s.mem != nil {
		s.publish()
	}
}

// now returns the present minute. Minutes begin so high that a torrent which was last announced a day
// before the tracker's start has one, too.
func (s *shard) now() uint32 { return uint32(s.minute.tick) }

// counts returns the counts of a torrent.
func (s *shard) counts(r *torrent) Counts {
	return Counts{
		Seeders:    s.swarms.estimate(r.peers[seeders4]) + s.swarms.estimate(r.peers[seeders6]),
		Leechers:   s.swarms.estimate(r.peers[leechers4]) + s.swarms.estimate(r.peers[leechers6]),
		Partial:    r.partial,
		Downloaded: r.downloaded,
	}
}
