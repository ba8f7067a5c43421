package cluster

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"starling/livesync"
	"starling/wire"
)

const (
	// quiet is how long before the comparison the last clients announce, in keyed mode.
	quiet = 3 * time.Second
	// settling is how long after the last fault every node must be right, in keyed mode.
	settling = 40 * time.Second
	// ticks is how many sixtieths of the peer timeout expiry may come late.
	ticks = 4
	// torrents is how many there are.
	torrents = 5
	// manyClients at once are more than a queue holds.
	manyClients = 5000
	// mildLoss and mildDelay are what repair makes up for, but for a packet in thousands.
	mildLoss  = 0.05
	mildDelay = 30 * time.Millisecond
	// late is the longest that noise holds up a packet.
	late = 2 * time.Second
)

// generator makes a schedule.
type generator struct {
	*Schedule
	rng    *rand.Rand
	window time.Duration // in which faults begin
}

// New returns the schedule of a seed.
func New(seed uint64, keyed bool) *Schedule {
	mode := uint64(1)
	if keyed {
		mode = 2
	}
	return newSchedule(seed, mode, keyed)
}

// NewMixed returns the schedule of a seed for a cluster in which some nodes have a key and some have none.
func NewMixed(seed uint64) *Schedule {
	s := newSchedule(seed, 3, false)
	s.Keys = 1 + rand.New(rand.NewPCG(seed, 4)).Uint64N(1<<s.Nodes-2)
	return s
}

func newSchedule(seed, mode uint64, keyed bool) *Schedule {
	g := &generator{
		Schedule: &Schedule{Seed: seed, Keyed: keyed, Timeout: 6 * time.Minute, Renew: 80 * time.Second},
		rng:      rand.New(rand.NewPCG(seed, mode)),
	}
	g.Nodes = 2 + g.rng.IntN(4)
	g.Fixed = g.chance(0.2)
	if keyed && g.chance(0.2) {
		g.Rotation = 1 + g.rng.IntN(3)
	}
	g.Flush = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond}[g.rng.IntN(3)]
	g.window = g.between(2*time.Minute, 8*time.Minute)
	if keyed && !g.chance(0.25) { // short, so that nobody is forgotten
		g.Timeout, g.Renew = 12*time.Minute, 160*time.Second
		if g.chance(0.3) {
			g.Timeout, g.Renew = 45*time.Minute, 10*time.Minute
		}
		g.window = g.between(20*time.Second, 2*time.Minute)
	}
	g.Dialect = livesync.Dialect(g.rng.IntN(3))
	g.faults()
	for _, e := range g.Events {
		g.Last = max(g.Last, e.end())
	}
	g.Last += late
	g.End = g.Last + settling
	if !keyed {
		g.End = g.Last + g.Timeout + ticks*g.Timeout/60
	}
	g.clients()
	slices.SortStableFunc(g.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return g.Schedule
}

func (g *generator) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(g.rng.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func (g *generator) chance(p float64) bool { return g.rng.Float64() < p }

// faults adds some faults, none to one seed in ten.
func (g *generator) faults() {
	n := g.rng.IntN(10)
	kinds := []Kind{Noise, Noise, Noise, Cut, Cut, Crash, Crash, Leave, Pause, Slow, Unplug, Flood, Forge, Forge}
	if g.Keyed {
		kinds = append(kinds, Spoil)
	}
	for range n {
		e := Event{
			At: g.between(0, g.window), For: g.between(100*time.Millisecond, g.window/4),
			Kind: kinds[g.rng.IntN(len(kinds))], Node: g.rng.IntN(g.Nodes), Salt: g.rng.Uint64(),
		}
		g.fill(&e)
		g.Events = append(g.Events, e)
	}
}

// fill sets what the fault's kind needs.
func (g *generator) fill(e *Event) {
	switch e.Kind {
	case Noise:
		e.Loss, e.Double = g.part(), g.part()
		if g.chance(0.5) {
			e.Delay = g.between(time.Millisecond, late)
		}
		if g.chance(0.4) {
			e.Loss, e.Delay = mildLoss*g.rng.Float64(), time.Duration(g.rng.Int64N(int64(mildDelay)))
		}
	case Cut:
		all := uint64(1)<<g.Nodes - 1
		e.From = 1 + g.rng.Uint64N(all-1)
		e.To = all &^ e.From
		if g.chance(0.3) { // not even all of them
			e.To = 1 << e.Node
			e.From &^= e.To
		}
	case Crash, Leave:
		e.For = g.between(100*time.Millisecond, 20*time.Second)
		e.State = g.chance(0.5)
		if g.chance(0.3) {
			e.Step = g.between(-time.Hour, time.Hour)
		}
		if e.State { // nobody can tell how old a snapshot from the future is, nor one from long ago that is not
			e.Step = e.Step.Abs() / 100
		}
	case Pause:
		e.For = g.between(50*time.Millisecond, 10*time.Second)
		e.Buffer = 1 + g.rng.IntN(100)
	case Slow:
		e.Buffer = 1 + g.rng.IntN(100)
		e.Delay = g.between(time.Millisecond, 200*time.Millisecond)
	case Unplug:
		e.For = g.between(100*time.Millisecond, 20*time.Second)
	case Flood:
		e.For = 0
		e.Clients = 1 + g.rng.IntN(500)
		if g.chance(0.1) { // while nothing can leave, so that some must be discarded
			e.Clients = manyClients * 2
			g.Events = append(g.Events, Event{Kind: Unplug, At: max(0, e.At-time.Second), For: 5 * time.Second, Node: e.Node})
		}
		e.Client = len(g.Clients)
		for range e.Clients {
			g.client(0.2)
		}
	case Spoil:
		e.Loss = g.rng.Float64()
	case Forge:
		e.For = 0
		e.Forgery = Forgery(g.rng.IntN(int(forgeries)))
		if !g.Keyed {
			e.Forgery = plainForgeries[g.rng.IntN(len(plainForgeries))]
		}
	}
}

// part returns a part of all packets, often none.
func (g *generator) part() float64 {
	if g.chance(0.3) {
		return 0
	}
	return g.rng.Float64() * g.rng.Float64()
}

// client adds a client and returns its number.
func (g *generator) client(six float64) int {
	n := len(g.Clients)
	c := Client{Hash: hashOf(g.rng.IntN(torrents))}
	port := uint16(1024 + n)
	if g.chance(six) {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		binary.BigEndian.PutUint32(a[12:], uint32(n))
		c.Peer = wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom16(a), port))
	} else {
		c.Peer = wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), port))
	}
	g.Clients = append(g.Clients, c)
	return n
}

// hashOf returns info hash number n.
func hashOf(n int) wire.InfoHash {
	var h wire.InfoHash
	binary.BigEndian.PutUint64(h[:], uint64(n+1)*0x9e3779b97f4a7c15)
	return h
}

// clients adds clients and what they do until the end.
func (g *generator) clients() {
	for range 5 + g.rng.IntN(30) {
		g.life(g.client(0.3))
	}
}

// life adds what one client does: it comes, comes back, becomes a seeder, moves to another node, stops or vanishes, and perhaps
// comes again. Once the faults are over it only comes back, if it is there then.
func (g *generator) life(client int) {
	e := Event{Kind: Announce, Client: client, At: g.between(0, g.window), Node: g.rng.IntN(g.Nodes)}
	e.Seeder = g.chance(0.3)
	step := g.between(g.Timeout/8, g.Timeout/4)
	if g.Keyed { // the more happens the better
		step = min(step, g.between(time.Second, g.window/2))
	}
	until := g.End - quiet
	for ; e.At < until; e.At += g.between(step/2, step) {
		if g.chance(0.2) {
			e.Node = g.rng.IntN(g.Nodes)
		}
		e.Completed, e.Stopped = false, false
		if e.At < g.Last-late && !g.change(&e) {
			return
		}
		g.Events = append(g.Events, e)
		if e.Stopped {
			e.Seeder = false
		}
	}
}

// change lets a client do something else than come back, and reports false when it vanishes.
func (g *generator) change(e *Event) bool {
	switch p := g.rng.Float64(); {
	case p < 0.15 && !e.Seeder:
		e.Seeder, e.Completed = true, true
	case p < 0.2:
		e.Seeder = !e.Seeder
	case p < 0.3:
		e.Stopped = true
	case p < 0.33:
		return false
	}
	return true
}
