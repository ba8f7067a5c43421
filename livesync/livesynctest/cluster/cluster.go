package cluster

import (
	"container/heap"
	"encoding/binary"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"starling/wire"
)

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// cluster is a simulation under way.
type cluster struct {
	*Schedule
	now     time.Duration // since the epoch, on a clock that nobody sets
	todo    agenda
	added   uint64     // events put on the agenda
	rng     *rand.Rand // of the network
	members []*member
	model   *model
	active  []Event // noise and cuts
	record  record  // packets seen on the segment
	digest  hash.Hash64
	trace   io.Writer // nil: nobody looks
	faults  []string  // what must not have happened
	stats   Stats
}

// Stats counts what a run did.
type Stats struct {
	Packets, Delivered, Lost, Overflowed uint64
	Applied, Refused                     uint64 // records; packets that were not believed
	Repaired                             uint64 // packets sent again
	CaughtUp                             uint64
	Peace, Late                          uint64 // records told in peace; of those, not everywhere in time
}

// Add adds another run's counts.
func (s *Stats) Add(o Stats) {
	s.Packets += o.Packets
	s.Delivered += o.Delivered
	s.Lost += o.Lost
	s.Overflowed += o.Overflowed
	s.Applied += o.Applied
	s.Refused += o.Refused
	s.Repaired += o.Repaired
	s.CaughtUp += o.CaughtUp
	s.Peace += o.Peace
	s.Late += o.Late
}

// Result is what came of a run.
type Result struct {
	Faults []string // what must not have happened; none: all is well
	Digest uint64   // of every packet sent and of what the nodes hold at the end
	Stats  Stats
}

// maxFaults bounds how much a broken run says.
const maxFaults = 20

// Run plays a schedule. If trace is not nil it is told what happens.
func (s *Schedule) Run(trace io.Writer) Result {
	c := &cluster{
		Schedule: s,
		rng:      rand.New(rand.NewPCG(s.Seed, 3)),
		model:    newModel(s),
		digest:   fnv.New64a(),
		trace:    trace,
	}
	for i := range s.Nodes {
		c.members = append(c.members, newMember(c, i))
		c.at(0, c.members[i].start)
	}
	for i := range s.Events {
		e := &s.Events[i]
		c.at(e.At, func() { c.happen(e) })
	}
	c.expire()
	for len(c.todo) > 0 && c.todo[0].at <= s.End && len(c.faults) < maxFaults {
		e := heap.Pop(&c.todo).(todo)
		c.now = e.at
		e.do()
	}
	c.now = s.End
	c.compare()
	return Result{Faults: c.faults, Digest: c.digest.Sum64(), Stats: c.stats}
}

// todo is something to be done at a time; of two at the same time the one that was thought of first.
type todo struct {
	at time.Duration
	n  uint64
	do func()
}

// agenda is a heap.
type agenda []todo

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a *agenda) Push(x any) { *a = append(*a, x.(todo)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = todo{}
	*a = old[:len(old)-1]
	return e
}

// at has something done at a time.
func (c *cluster) at(t time.Duration, do func()) {
	c.added++
	heap.Push(&c.todo, todo{max(t, c.now), c.added, do})
}

// expire lets all nodes look for silent peers, as Tracker.Run does, and again.
func (c *cluster) expire() {
	for _, m := range c.members {
		m.expire()
	}
	c.at(c.now+c.Timeout/60, c.expire)
}

// happen lets an event happen.
func (c *cluster) happen(e *Event) {
	if e.Kind != Announce {
		c.tell("%s", e)
	}
	switch m := c.members[e.Node]; e.Kind {
	case Announce:
		m.announce(c.Clients[e.Client], e)
	case Noise, Cut, Spoil:
		c.active = append(c.active, *e)
	case Crash:
		m.crash(e)
	case Leave:
		m.leave(e)
	case Pause, Slow:
		m.hold(e)
	case Unplug:
		m.unplug(e)
	case Flood:
		for i := range e.Clients {
			m.announce(c.Clients[e.Client+i], e)
		}
	case Forge:
		c.forge(e)
	}
}

// send delivers a packet to every node's receive buffer, as far as noise and cuts let it through.
func (c *cluster) send(from int, source netip.AddrPort, pkt []byte) {
	c.stats.Packets++
	c.hash(pkt)
	for i, m := range c.members {
		copies, delay := c.fate(from, i)
		for range copies {
			c.deliver(m, source, pkt, delay())
		}
	}
}

// deliver puts a packet on its way to one node.
func (c *cluster) deliver(m *member, source netip.AddrPort, pkt []byte, delay time.Duration) {
	b := append([]byte(nil), pkt...)
	c.at(c.now+delay, func() { m.arrive(datagram{source, b}) })
}

// fate says how often a packet arrives, and how late each time. Without noise packets do not overtake each other.
func (c *cluster) fate(from, to int) (copies int, delay func() time.Duration) {
	copies = 1
	longest := time.Duration(0)
	kept := c.active[:0]
	for _, e := range c.active {
		if c.now >= e.end() {
			continue
		}
		kept = append(kept, e)
		switch {
		case from == to:
		case e.cuts(from, to), e.Kind == Noise && c.rng.Float64() < e.Loss:
			copies = 0
		case e.Kind == Noise && c.rng.Float64() < e.Double:
			copies = min(copies*2, 2)
		}
		if e.Kind == Noise {
			longest = max(longest, e.Delay)
		}
	}
	c.active = kept
	if copies == 0 {
		c.stats.Lost++
	}
	return copies, func() time.Duration {
		d := time.Duration(100+50*from+11*to) * time.Microsecond
		if longest > 0 {
			d += time.Duration(c.rng.Int64N(int64(longest)))
		}
		return d
	}
}

// hash adds something to what must be the same in every run.
func (c *cluster) hash(b []byte) {
	c.digest.Write(binary.BigEndian.AppendUint64(nil, uint64(c.now)))
	c.digest.Write(b)
}

// group is where all packets go.
var group = wire.Group
