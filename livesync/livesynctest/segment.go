// Package livesynctest has a multicast segment in memory, for tests of whole
// nodes: hosts attach to it, and what one sends all of them get, as far as loss,
// duplication, delay and partitions let it through.
//
// Inside a testing/synctest bubble a segment runs on the bubble's clock and takes no real time.
// The fate of a packet follows from the seed, who sent it as which of its packets, and who
// receives it; it does not depend on which goroutine ran first, so a failing seed fails again.
package livesynctest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"starling/livesync"
)

// inbox is how many datagrams wait for a reader, as many as a receive buffer of 8 MiB holds.
const inbox = 3640

// Faults is what happens to packets. The zero value delivers each once and at once.
type Faults struct {
	Loss      float64       // the part that is lost, 0 to 1
	Duplicate float64       // the part that arrives twice
	Delay     time.Duration // the longest a packet is under way; each takes a time of its own, so they overtake each other
}

// Segment is a network on which every host hears every other, and itself.
type Segment struct {
	seed uint64

	mu     sync.Mutex // guards all below
	hosts  []*Host
	conns  []*conn
	joined uint64 // memberships there have been
	faults Faults
	tap    func(from netip.AddrPort, pkt []byte)
}

// NewSegment returns a segment without hosts and faults.
func NewSegment(seed uint64) *Segment { return &Segment{seed: seed} }

// SetFaults changes what happens to packets sent from now on.
func (s *Segment) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Tap has every packet that a host sends shown to f, which must not call the segment. There is one tap.
func (s *Segment) Tap(f func(from netip.AddrPort, pkt []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = f
}

// Partition splits the segment: a host hears only those on its own side. Hosts that
// are not named are together on a side of their own, so Partition() heals the segment.
func (s *Segment) Partition(sides ...[]*Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		h.side = slices.IndexFunc(sides, func(side []*Host) bool { return slices.Contains(side, h) })
	}
}

// Inject delivers a datagram that no host sent to every membership, whatever group it was sent to.
func (s *Segment) Inject(from netip.AddrPort, to netip.Addr, pkt []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.deliver(datagram{from: from, to: to, b: slices.Clone(pkt)})
	}
}

// Host attaches a host with one interface, eth0. Its subnet is the address's /24.
func (s *Segment) Host(addr netip.Addr) *Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &Host{segment: s, addr: addr, side: -1, port: 40000}
	s.hosts = append(s.hosts, h)
	return h
}

// Host is a machine on a segment. Its fields are guarded by the segment's mutex.
type Host struct {
	segment *Segment
	addr    netip.Addr
	side    int
	port    uint16 // the one given out last
	index   int    // of the interface
	down    error
}

// Down takes the interface down, for the reason given; nil brings it up again.
func (h *Host) Down(why error) {
	h.segment.mu.Lock()
	defer h.segment.mu.Unlock()
	h.down = why
}

// Move gives the interface another address.
func (h *Host) Move(addr netip.Addr) {
	h.segment.mu.Lock()
	defer h.segment.mu.Unlock()
	h.addr = addr
}

// Recreate replaces the interface by one of the same name and address.
func (h *Host) Recreate() {
	h.segment.mu.Lock()
	defer h.segment.mu.Unlock()
	h.index++
}

// Listen joins group; it is a livesync.Config.Listen. Each membership has a port of its own to send from.
func (h *Host) Listen(group netip.AddrPort, ifname string) (livesync.Conn, error) {
	s := h.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.down != nil {
		return nil, h.down
	}
	h.port++
	s.joined++
	subnet := netip.PrefixFrom(h.addr, 24).Masked()
	c := &conn{
		host:   h,
		number: s.joined,
		group:  group.Addr(),
		inbox:  make(chan datagram, inbox),
		closed: make(chan struct{}),
		link: livesync.Link{
			Name:          ifname,
			Index:         h.index,
			Local:         netip.AddrPortFrom(h.addr, h.port),
			Subnets:       []netip.Prefix{subnet},
			ReceiveBuffer: 8 << 20,
		},
	}
	s.conns = append(s.conns, c)
	return c, nil
}

type datagram struct {
	from netip.AddrPort
	to   netip.Addr
	b    []byte
}

// conn is one membership.
type conn struct {
	host   *Host
	number uint64
	group  netip.Addr
	link   livesync.Link
	inbox  chan datagram
	closed chan struct{}
	once   sync.Once
	sent   uint64 // guarded by the segment's mutex
}

func (c *conn) Read(b []byte) (int, netip.AddrPort, netip.Addr, error) {
	select {
	case <-c.closed:
		return 0, netip.AddrPort{}, netip.Addr{}, net.ErrClosed
	case d := <-c.inbox:
		return copy(b, d.b), d.from, d.to, nil
	}
}

func (c *conn) Send(b []byte) error {
	s := c.host.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.lostLocked(); err != nil {
		return err
	}
	c.sent++
	d := datagram{from: c.link.Local, to: c.group, b: slices.Clone(b)}
	if s.tap != nil {
		s.tap(d.from, d.b)
	}
	for _, to := range s.conns {
		if to.group == c.group && to.host.side == c.host.side && to.lostLocked() == nil {
			s.faults.deliver(d, to, rand.New(rand.NewPCG(s.seed^c.number<<32^to.number, c.sent)))
		}
	}
	return nil
}

// deliver decides with rng what becomes of d on its way to c.
func (f *Faults) deliver(d datagram, c *conn, rng *rand.Rand) {
	copies := 1
	if rng.Float64() < f.Loss {
		copies = 0
	} else if rng.Float64() < f.Duplicate {
		copies = 2
	}
	for range copies {
		if f.Delay == 0 {
			c.deliver(d)
			continue
		}
		time.AfterFunc(time.Duration(rng.Int64N(int64(f.Delay))), func() { c.deliver(d) })
	}
}

// deliver drops d when the inbox is full, as a kernel does.
func (c *conn) deliver(d datagram) {
	select {
	case c.inbox <- d:
	default:
	}
}

func (c *conn) Link() livesync.Link { return c.link }

func (c *conn) Check() error {
	c.host.segment.mu.Lock()
	defer c.host.segment.mu.Unlock()
	return c.lostLocked()
}

// lostLocked says why the membership is void, nil when it is not.
func (c *conn) lostLocked() error {
	switch h := c.host; {
	case h.down != nil:
		return h.down
	case h.index != c.link.Index:
		return fmt.Errorf("interface %s was made anew", c.link.Name)
	case h.addr != c.link.Local.Addr():
		return fmt.Errorf("interface %s does not have the address %s any more", c.link.Name, c.link.Local.Addr())
	}
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		s := c.host.segment
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = slices.DeleteFunc(s.conns, func(o *conn) bool { return o == c })
		close(c.closed)
	})
	return nil
}
