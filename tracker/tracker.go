package tracker

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"starling/tracker/access"
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
	// NumWant is how many peers an announce gets that names no number, MaxNumWant the most that any gets, up to 1024. An answer costs
	// some 20 ns a peer.
	NumWant, MaxNumWant int
	// OnChange is told what the other nodes must learn. It is called under a lock, so that the records
	// of a peer leave in the order in which they were stored: it must neither block nor allocate nor call the tracker. A record that only
	// says again what they know has the flag [wire.Renewal]. Nil: nobody is told.
	OnChange func(wire.Record)
	// Shards is how many parts the store has, each with its own lock, rounded up to a power of two, 1024 at most. 0: chosen from GOMAXPROCS.
	Shards int
	// SketchKey is the secret of the sums that [Tracker.Sketch] returns, the same on all nodes that are compared. They cost some 20 ns for each peer that comes,
	// leaves or changes its role. Nil: none are kept.
	SketchKey *[32]byte
	// Budget bounds the memory of the store, and of all others that are made with it; see there what happens when it is used up. Nil: there is no bound.
	Budget *Budget
	// Seed makes all that is random repeatable, for tests, in which no two trackers may have the same. Nil: the system's random source.
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

	// Checked are the rules that were asked about the torrent already, and serve it. Nil: none were.
	Checked *access.Rules

	// Booked is in how many seconds the client is told to come back: it is kept until then. 0: the tracker chooses.
	Booked uint32

	// Watched: the answer says whether the peer was new also when it is not booked.
	Watched bool

	// Held: the client is in the jail. It brings no torrent in that is not known, and the other nodes are not told of it there.
	Held bool
}

// Answer is what the client gets.
type Answer struct {
	Interval, MinInterval uint32 // seconds
	Seeders, Leechers     uint32 // of both families, itself included
	Downloaded            uint64
	Peers4, Peers6        []byte // compact peers, appended to what is there

	// Refused says that nothing was stored, and why: there are rules. See [Tracker.SetAccess].
	Refused access.Verdict

	// Unknown says that nothing was known of the torrent.
	Unknown bool

	// What is known of a client that is booked here or watched, see [Announce]. New: nothing was. Stayed: it comes back after a while. Early, of a booked one: for how much longer it was not expected,
	// known to a tick of the clock of peers either way; 0: it was expected, or nobody knows when.
	New, Stayed bool
	Early       time.Duration
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
	Unstored       Unstored
	Bytes          uint64 // memory of the store

	// Renewed counts the announces of peers that were known, by how many minutes ago they were seen; the last one has what is beyond.
	Renewed [60]uint64
}

// Unstored counts what was not stored, by why.
type Unstored struct {
	Unknown  uint64 // for a torrent that was asked for the first time while memory was tight
	Torrents uint64 // for a torrent that was not known, without memory for it
	Peers    uint64 // for a known torrent, without memory for the peer
	Shard    uint64 // for a known torrent in a shard that is full
	Jailed   uint64 // for a torrent that was not known, of clients in the jail
	Sampled  uint64 // because only a sample is kept of the swarm, in the counts of which it is
}

func (u *Unstored) add(o *Unstored) {
	u.Unknown += o.Unknown
	u.Torrents += o.Torrents
	u.Peers += o.Peers
	u.Shard += o.Shard
	u.Jailed += o.Jailed
	u.Sampled += o.Sampled
}

// Refused returns how many peers and torrents were refused.
func (u *Unstored) Refused() uint64 { return u.Unknown + u.Torrents + u.Peers + u.Shard + u.Jailed }

// Tracker is the store of all swarms. Its methods may be called from any number of goroutines.
type Tracker struct {
	cfg      Config // with the defaults filled in
	start    time.Time
	interval struct {
		least   uint32 // seconds
		choices int    // how many intervals there are to choose from, from least on
		min     uint32 // seconds
	}
	key    hashKey
	shards []shard
	rules  rules

	sweepMu sync.Mutex    // guards sweeps, and is held during a sweep
	sweeps  clock         // a tick for each sweep
	swept   time.Duration // when the last one began

	resendMu sync.Mutex // guards the rest
	resends  clock      // a tick for each shard that Resend looks at
	turn     int        // the next one

	applying sync.Pool   // of *applying
	large    atomic.Bool // the store is much larger than a processor's cache, see largeStore
}

// New returns a tracker that holds nothing. Its time begins with now.
func New(cfg Config, now time.Time) *Tracker {
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.MinInterval = cmp.Or(cfg.MinInterval, DefaultMinInterval)
	cfg.PeerTimeout = cmp.Or(cfg.PeerTimeout, DefaultPeerTimeout)
	cfg.Renew = cmp.Or(cfg.Renew, DefaultRenew)
	cfg.NumWant = cmp.Or(cfg.NumWant, DefaultNumWant)
	cfg.MaxNumWant = min(cmp.Or(cfg.MaxNumWant, DefaultMaxNumWant), mostWanted)
	cfg.Shards = cmp.Or(cfg.Shards, min(max(16*runtime.GOMAXPROCS(0), minShards), maxShards))
	var seed [32]byte
	if cfg.Seed != nil {
		seed = *cfg.Seed
	} else {
		crand.Read(seed[:])
	}
	rng := rand.NewChaCha8(seed)
	t := &Tracker{
		cfg:    cfg,
		start:  now,
		key:    newHashKey(rng),
		shards: make([]shard, min(1<<bits.Len(uint(cfg.Shards-1)), maxShards)),
	}
	t.interval.least = max(uint32(divideUp(cfg.Interval*9/10, time.Second)), 1)
	most := max(uint32(cfg.Interval*11/10/time.Second), t.interval.least)
	t.interval.choices = int(most-t.interval.least) + 1
	t.interval.min = uint32(cfg.MinInterval / time.Second)
	t.setClocks(rng)
	return t
}

// The number of shards chosen from the number of processors: enough that two of them seldom want the same. There are never
// more than maxShards.
const (
	minShards = 64
	maxShards = 1024
)

// setClocks makes the shards ready. A tick of seen is a sixtieth of the peer timeout and one of told an eighth of the renew
// boundary, but not so short a part of the other that sweeps would have to come much more often.
func (t *Tracker) setClocks(rng *rand.ChaCha8) {
	seen := max(divideUp(t.cfg.PeerTimeout, timeoutTicks), time.Millisecond)
	told := max(divideUp(t.cfg.Renew, renewTicks), divideUp(seen, renewParts))
	t.sweeps = clock{unit: min(seen, told*(toldSpan*3/4)), span: math.MaxInt64}
	t.resends = clock{unit: max(t.sweeps.unit/time.Duration(len(t.shards)), time.Millisecond), span: math.MaxInt64}
	var sums *sketchKey
	if t.cfg.SketchKey != nil {
		sums = newSketchKey(t.cfg.SketchKey)
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.seen = clock{unit: seen, span: seenSpan}
		s.told = clock{unit: told, span: toldSpan}
		s.minute = clock{unit: time.Minute, span: math.MaxInt64, tick: keepMinutes + 1}
		s.renew = uint64(divideUp(t.cfg.Renew, told)) + 1
		s.resend = max(min(uint64(divideUp(t.cfg.PeerTimeout*2/3, told)), maxResend), s.renew+1)
		s.idle = uint32(divideUp(t.cfg.PeerTimeout, time.Minute))
		s.rng = *rand.NewPCG(rng.Uint64(), rng.Uint64())
		s.torrents.key = t.key
		s.swarms.key = newHashKey(rng)
		s.swarms.slab.max = 1 << refBits
		s.silence = timeoutTicks
		if t.cfg.Budget != nil {
			s.mem = &allowance{budget: t.cfg.Budget, most: t.cfg.Budget.most}
			s.swarms.slab.mem, s.torrents.mem = s.mem, s.mem
			longest := time.Duration(t.interval.least+uint32(t.interval.choices)-1) * time.Second
			s.hurried = min(max(int64(divideUp(longest, seen))+3, timeoutTicks-slackTicks+3), timeoutTicks)
		}
		if sums != nil {
			s.sketch = &sketch{key: sums}
		}
	}
}

// Budget returns what bounds the memory of the store, nil for nothing.
func (t *Tracker) Budget() *Budget { return t.cfg.Budget }

// divideUp returns the smallest whole number that is not below d / by.
func divideUp(d, by time.Duration) time.Duration { return (d + by - 1) / by }

// shard returns the shard of a torrent and the hash to look there for.
func (t *Tracker) shard(name *wire.InfoHash) (*shard, uint32) {
	hash := t.key.infoHash(name)
	return &t.shards[t.shardOf(hash)], hash
}

// shardOf returns the number of the shard for the hash of a torrent.
func (t *Tracker) shardOf(hash uint32) uint64 { return uint64(hash) * uint64(len(t.shards)) >> 32 }

// Run forgets silent peers, and tells again of booked ones, until ctx ends. Then it returns nil.
func (t *Tracker) Run(ctx context.Context) error {
	timer := time.NewTicker(min(t.sweeps.unit, t.resends.unit))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			now := time.Now()
			t.Expire(now)
			t.Resend(now)
			t.weigh()
		}
	}
}
