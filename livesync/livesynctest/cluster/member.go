package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/catchup"
	"starling/livesync/seal"
	"starling/tracker"
	"starling/wire"
)

// member is one machine of the cluster and the node that runs on it.
type member struct {
	*cluster
	number int
	lives  int           // how often a node was started here
	began  time.Duration // when it was started last
	clock  time.Duration // how much the machine's clock is fast
	port   uint16        // the one sent from last

	up      bool
	plugged bool
	store   *tracker.Tracker
	node    *livesync.Node
	wakes   uint64 // the wake-up that counts
	slow    *Event // what slows the node down; nil: nothing
	inbox   []datagram
	reading bool // the next packet of the inbox is being waited for
	id      wire.NodeID
	epoch   uint64 // of the node's start; kept on disk
	answer  tracker.Answer

	snapshot []byte           // on disk; nil: none
	saved    time.Duration    // when it was written
	kept     map[Client]state // who is in it
	knows    time.Time        // what was read of it holds all until then; zero: nothing
	part     bool             // not all
	memory   catchup.Memory   // what it remembers beside
	step     time.Duration    // by how much its clock was set forward while it was down, and
	stepped  time.Duration    // when it came back last
	restored bool             // there was one when the node began
	fetching *fetching        // the stream of catching up that comes; nil: none
}

type datagram struct {
	from netip.AddrPort
	b    []byte
}

func newMember(c *cluster, number int) *member {
	return &member{cluster: c, number: number, port: 40000}
}

// time returns what the machine's clock shows. A node never sees its clock set: it takes readings of one that runs on, and
// the others only from the start of its process.
func (m *member) time() time.Time { return epoch.Add(m.now + m.clock) }

// seed returns what makes a node's decisions repeatable, another for each life.
func (m *member) seed(what uint64) *[32]byte {
	var s [32]byte
	for i, v := range []uint64{m.Seed, what, uint64(m.number), uint64(m.lives)} {
		binary.BigEndian.PutUint64(s[8*i:], v)
	}
	return &s
}

// start runs a node on the machine.
func (m *member) start() {
	m.lives++
	m.began = m.now
	m.up, m.plugged = true, true
	m.model.started(m)
	rng := rand.New(rand.NewChaCha8(*m.seed(1)))
	if m.id == (wire.NodeID{}) {
		binary.BigEndian.PutUint32(m.id[:], rng.Uint32()|1)
	}
	m.epoch = max(uint64(m.time().UnixNano()), m.epoch+1)
	m.store = tracker.New(tracker.Config{
		PeerTimeout: m.Timeout, Renew: m.Renew, MaxNumWant: fullAnswer, OnChange: m.changed, Shards: 2, Seed: m.seed(2),
	}, m.time())
	m.load()
	m.node = livesync.New(m.config())
	m.node.SetCatchUpPort(group.Port())
	m.save()
	m.join()
	m.log("started as %s", m.id)
}

// config joins the node to the store, as the program does.
func (m *member) config() livesync.Config {
	store := m.store
	cfg := livesync.Config{
		ID:               m.id,
		Group:            group,
		Interface:        "eth0",
		Flush:            m.Flush,
		BeaconInterval:   10 * time.Second,
		FirstBeaconDelay: 5 * time.Second,
		InquireThreshold: 25,
		Dialect:          m.Dialect,
		Apply:            m.apply,
		Learn:            store.Learn,
		Lookup:           store.Lookup,
		Tells:            store.Tells,
		Torrents:         store.Torrents,
		SaveID:           func(id wire.NodeID) error { m.id = id; return nil },
		Log:              zerolog.Nop(),
		Seed:             m.seed(4),
	}
	if m.hasKey(m.number) {
		for _, o := range m.members {
			if !m.hasKey(o.number) {
				cfg.PlainNodes = append(cfg.PlainNodes, netip.PrefixFrom(o.address().Addr(), 32))
			}
		}
		files := rotation[m.Rotation]
		cfg.Keys, cfg.Epoch = files[m.rng.IntN(len(files))], m.epoch
		cfg.CatchUp = m.catchUp()
		cfg.Member = func() livesync.Member {
			st := store.Stats()
			return livesync.Member{Peers: st.Peers4 + st.Peers6}
		}
	}
	return cfg
}

// rotation lists the key files that nodes may have at the same time, for each step of a rotation from one key to the next.
var (
	oldKey, newKey = seal.Key{1, 2, 3}, seal.Key{4, 5, 6}

	rotation = [...][]seal.Keys{
		{{oldKey}},
		{{oldKey}, {oldKey, newKey}},
		{{oldKey, newKey}, {newKey, oldKey}},
		{{newKey, oldKey}, {newKey}},
	}
)

// join has the node join the group, from another port each time.
func (m *member) join() {
	m.port++
	m.node.Start(m.time(), livesync.Link{
		Name: "eth0", Index: 1, Local: m.address(),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, ReceiveBuffer: 8 << 20,
	})
	m.pump()
}

func (m *member) address() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(m.number + 1)}), m.port)
}

// works reports whether the node runs and is not held up.
func (m *member) works() bool { return m.up && (m.slow == nil || m.slow.Kind != Pause) }

// announce is a client's request. A node that is down answers nobody, and one that stands still answers too late.
func (m *member) announce(c Client, e *Event) {
	if !m.works() {
		return
	}
	a := tracker.Announce{InfoHash: c.Hash, Peer: c.Peer, Seeder: e.Seeder, NumWant: 0}
	switch {
	case e.Stopped:
		a.Event = wire.EventStopped
	case e.Completed:
		a.Event = wire.EventCompleted
	}
	m.log("%s of %x announces: %s", c.Peer, c.Hash[:2], e.role())
	m.store.Announce(m.time(), &a, &m.answer)
	m.model.announced(m, c, e)
	m.poke()
}

// changed is told by the store what the other nodes must learn.
func (m *member) changed(r wire.Record) {
	if r.Peer == probe {
		return
	}
	m.log("tells %s of %x: %s", r.Peer, r.InfoHash[:2], r.Flags)
	m.model.told(m, r)
	m.node.Offer(r)
}

// apply is told by the node what another one told.
func (m *member) apply(now time.Time, rs []wire.Record) {
	for _, r := range rs {
		m.stats.Applied++
		m.log("applies %s of %x: %s", r.Peer, r.InfoHash[:2], r.Flags)
		m.model.applied(m, r)
		m.store.Apply(now, r)
	}
}

func (m *member) expire() {
	if m.works() {
		m.store.Expire(m.time())
		m.store.Resend(m.time())
		m.poke()
	}
}

// spins is how many packets a node may send without time passing.
const spins = 5000

// poke lets the node send if it wants to, as its sender would be woken.
func (m *member) poke() {
	if m.works() && m.node.Woken() {
		m.pump()
	}
}

// pump sends what the node has to send and has it woken when it has more.
func (m *member) pump() {
	if !m.works() {
		return
	}
	n := 0
	for ; n < spins; n++ {
		pkt := m.node.Next(m.time())
		if pkt == nil {
			break
		}
		m.sends(pkt)
	}
	if n == spins {
		m.fault("sends and sends")
		return
	}
	m.fetch()
	due := m.node.Due(m.time())
	m.wakes++
	if due.IsZero() {
		return
	}
	wake, wait := m.wakes, due.Sub(m.time())
	if wait <= 0 && m.fetching != nil && m.node.FetchStalled(m.time()) {
		m.fetching.over(errStill)
		return
	}
	if wait <= 0 {
		m.fault("has nothing to send and wants to be woken at once")
		return
	}
	m.at(m.now+wait, func() {
		if wake == m.wakes {
			m.pump()
		}
	})
}

// sends puts a packet of the node on the segment.
func (m *member) sends(pkt []byte) {
	m.log("sends %s", describe(pkt))
	m.record.add(m.now, m.address(), pkt)
	m.model.sent(m, pkt)
	m.send(m.number, m.address(), pkt)
}

// fault notes something that must not have happened.
func (m *member) fault(format string, args ...any) {
	m.cluster.fault("node %d %s", m.number, fmt.Sprintf(format, args...))
}

func (m *member) log(format string, args ...any) {
	if m.trace != nil {
		m.tell("node %d %s", m.number, fmt.Sprintf(format, args...))
	}
}

// fault notes something that must not have happened.
func (c *cluster) fault(format string, args ...any) {
	if len(c.faults) == maxFaults {
		return
	}
	f := fmt.Sprintf(format, args...)
	c.tell("WRONG: %s", f)
	c.faults = append(c.faults, fmt.Sprintf("%s: %s", c.now, f))
}

// tell writes a line of the trace.
func (c *cluster) tell(format string, args ...any) {
	if c.trace != nil {
		fmt.Fprintf(c.trace, "%12s  %s\n", c.now, fmt.Sprintf(format, args...))
	}
}

// errUnplugged is why a node is not on the group.
var errUnplugged = errors.New("the interface is down")
