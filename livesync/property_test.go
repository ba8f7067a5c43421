package livesync_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	. "starling/livesync"
	"starling/livesync/livesynctest"
	"starling/wire"
)

const (
	schedNodes    = 4
	schedPeers    = 24
	schedTorrents = 4
	schedFaulty   = 40 * time.Minute // faults happen
	schedTick     = time.Minute      // of expiry
)

// schedule is a random history of a cluster: clients that come, change, move to another tracker, stop or
// vanish, while packets are lost, doubled and late, the segment is split, and nodes crash and start empty.
type schedule struct {
	t         *testing.T
	seed      uint64
	rng       *rand.Rand
	faults    bool
	segment   *livesynctest.Segment
	hosts     []*livesynctest.Host
	nodes     []*tracker
	started   int // nodes there have been
	clients   []client
	announced map[wire.Record]bool // every peer of every torrent there ever was
}

type client struct {
	key       wire.Record // info hash and peer
	alive     bool
	seeder    bool
	completed bool // has said so
	next      time.Time
}

// TestRandomSchedules checks what plain mode promises: no node ever holds a peer that
// never announced, and every difference in peers is gone one peer timeout and
// one expiry tick after the last fault. Without faults the download counts agree as well.
func TestRandomSchedules(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { newSchedule(t, seed).run() })
	}
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{
		t: t, seed: seed,
		rng:       rand.New(rand.NewPCG(seed, 2)),
		faults:    seed%4 != 0,
		segment:   livesynctest.NewSegment(seed),
		nodes:     make([]*tracker, schedNodes),
		announced: map[wire.Record]bool{},
	}
	for i := range schedNodes {
		s.hosts = append(s.hosts, host(s.segment, byte(i+1)))
		s.restart(i)
	}
	for i := range schedPeers {
		key := wire.Record{InfoHash: HashOf(1 + s.rng.IntN(schedTorrents)), Peer: PeerOf(i)}
		if i%4 == 0 {
			key.Peer = Peer6Of(i)
		}
		s.clients = append(s.clients, client{key: key, next: time.Now().Add(s.upTo(schedFaulty / 2))})
	}
	return s
}

func (s *schedule) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }

// restart puts an empty node in place of number i.
func (s *schedule) restart(i int) {
	if s.nodes[i] != nil {
		s.hosts[i].Down(errors.New("crashed"))
		s.nodes[i].end()
		s.hosts[i].Down(nil)
	}
	s.started++
	s.nodes[i] = start(s.t, onHost{s.hosts[i]}, s.started, func(c *Config) {
		c.Flush, c.BeaconInterval, c.FirstBeaconDelay = 250*time.Millisecond, time.Minute, time.Minute
		c.Dialect = Dialect(s.rng.IntN(3))
	})
}

func (s *schedule) run() {
	begin := time.Now()
	last := begin.Add(schedFaulty)
	end := last.Add(s.nodes[0].Timeout + 2*schedTick)
	for now := begin; now.Before(end); now = time.Now() {
		if now.Before(last) {
			s.fault()
		} else {
			s.segment.SetFaults(livesynctest.Faults{})
			s.segment.Partition()
		}
		for i := range s.clients {
			if c := &s.clients[i]; !now.Before(c.next) {
				s.act(c, now.Before(last))
			}
		}
		for _, n := range s.nodes {
			n.Expire(now)
			s.checkHeld(n)
		}
		pass(10 * time.Second)
	}
	s.checkEqual()
}

// act is what a client does next. While changes are allowed it may become a
// seeder, stop or vanish; after that it only keeps announcing.
func (s *schedule) act(c *client, changes bool) {
	n := s.nodes[s.rng.IntN(schedNodes)]
	flags := wire.Flags(0)
	c.next = time.Now().Add(7*time.Minute + s.upTo(2*time.Minute))
	if changes {
		switch s.rng.IntN(8) {
		case 0:
			c.next = time.Now().Add(s.upTo(schedFaulty))
			if c.alive && s.rng.IntN(2) == 0 {
				n.Announce(time.Now(), c.key.InfoHash, c.key.Peer, wire.Stopped)
			}
			c.alive, c.seeder, c.completed = false, false, false
			return
		case 1:
			c.seeder = true
			if !c.completed {
				c.completed = true
				flags = wire.Complete
			}
		}
	} else if !c.alive {
		c.next = time.Now().Add(24 * time.Hour)
		return
	}
	if c.seeder {
		flags |= wire.Seeding
	}
	c.alive = true
	s.announced[c.key] = true
	n.Announce(time.Now(), c.key.InfoHash, c.key.Peer, flags)
}

// fault lets something go wrong now and then.
func (s *schedule) fault() {
	if !s.faults {
		return
	}
	switch i := s.rng.IntN(schedNodes); s.rng.IntN(60) {
	case 0:
		s.segment.SetFaults(livesynctest.Faults{Loss: s.rng.Float64() / 2, Duplicate: s.rng.Float64() / 2, Delay: s.upTo(2 * time.Second)})
	case 1:
		s.segment.SetFaults(livesynctest.Faults{})
	case 2:
		s.segment.Partition(s.hosts[:1+i])
	case 3:
		s.segment.Partition()
	case 4:
		s.restart(i)
	case 5:
		s.hosts[i].Recreate()
	}
}

// checkHeld fails when n holds a peer that never announced.
func (s *schedule) checkHeld(n *tracker) {
	for key := range n.Roles() {
		if !s.announced[key] {
			s.t.Fatalf("seed %d: %s of torrent %s never announced", s.seed, key.Peer, key.InfoHash)
		}
	}
}

// checkEqual fails unless every node holds just the clients that are alive.
func (s *schedule) checkEqual() {
	want := map[wire.Record]bool{}
	for _, c := range s.clients {
		if c.alive {
			want[c.key] = c.seeder
		}
	}
	for i, n := range s.nodes {
		if got := n.Roles(); !maps.Equal(got, want) {
			s.t.Errorf("seed %d: node %d holds %d peers, want %d, or others, or other roles", s.seed, i, len(got), len(want))
		}
		for h := 1; h <= schedTorrents && !s.faults; h++ {
			if got, first := n.Downloaded(HashOf(h)), s.nodes[0].Downloaded(HashOf(h)); got != first {
				s.t.Errorf("seed %d: node %d counts %d downloads, node 0 %d", s.seed, i, got, first)
			}
		}
	}
}
