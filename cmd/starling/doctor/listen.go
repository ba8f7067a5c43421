package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"

	"starling/livesync"
	"starling/wire"
)

// probeType is of no packet that a tracker knows: all of them ignore it.
const probeType = 0x5354ffff

// ears collects what is heard on both groups.
type ears struct {
	mu    sync.Mutex // guards all
	all   map[hearKey]*Heard
	probe []byte
	back  bool
	local map[netip.Addr]bool
}

type hearKey struct {
	addr  netip.Addr
	group netip.AddrPort
	port  uint16 // tells nodes on one host apart
}

// listen joins the group and the one of opentracker for a while.
func listen(ctx context.Context, s *Snapshot, while time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	s.Listening.For = while
	e := &ears{all: make(map[hearKey]*Heard), probe: probe(), local: localAddrs()}
	conn, err := livesync.Listen(s.Group, s.Interface.Name)
	if err != nil {
		s.Listening.Trouble = err.Error()
		return
	}
	s.Granted = conn.Link().ReceiveBuffer
	var loops sync.WaitGroup
	loops.Go(func() { e.hear(ctx, conn, s.Group) })
	for _, other := range []netip.AddrPort{wire.Group, wire.OpentrackerGroup} {
		if other == s.Group {
			continue
		}
		if c, err := livesync.Listen(other, s.Interface.Name); err == nil {
			loops.Go(func() { e.hear(ctx, c, other) })
		}
	}
	loops.Go(func() { s.Queries = hearQueries(ctx, s.Interface.Name) })
	s.Interface.Members, s.Interface.IGMP = lookMembership(s.Interface.Name, s.Group.Addr())
	if err := conn.Send(e.probe); err != nil {
		s.Listening.Trouble = fmt.Sprintf("sending: %v", err)
	}
	loops.Wait()
	s.Listening.OwnBack = e.back
	for _, h := range e.all {
		s.Listening.Heard = append(s.Listening.Heard, *h)
	}
	slices.SortFunc(s.Listening.Heard, func(a, b Heard) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// probe returns a packet that nobody takes for anything, with random bytes by which it is known again.
func probe() []byte {
	b := make([]byte, wire.HeaderSize, wire.HeaderSize+8)
	rand.Read(b[:4])
	binary.BigEndian.PutUint32(b[4:], probeType)
	b = b[:cap(b)]
	rand.Read(b[wire.HeaderSize:])
	return b
}

// localAddrs returns the addresses of this host.
func localAddrs() map[netip.Addr]bool {
	local := make(map[netip.Addr]bool)
	all, _ := net.Interfaces() // without them nobody is local
	for i := range all {
		for _, p := range prefixes(&all[i]) {
			local[p.Addr()] = true
		}
	}
	return local
}

// maxHeard bounds what a flood of senders makes of a look.
const maxHeard = 256

// hear reads from a membership until ctx ends, and closes it.
func (e *ears) hear(ctx context.Context, conn livesync.Conn, group netip.AddrPort) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b := make([]byte, 1<<16)
	for ctx.Err() == nil {
		n, from, _, err := conn.Read(b)
		if err != nil {
			return
		}
		e.take(time.Now(), from, group, b[:n])
	}
}

// take counts a packet.
func (e *ears) take(now time.Time, from netip.AddrPort, group netip.AddrPort, b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if bytes.Equal(b, e.probe) {
		e.back = true
		return
	}
	if len(b) >= wire.HeaderSize && binary.BigEndian.Uint32(b[4:]) == probeType {
		return // another doctor's
	}
	key := hearKey{from.Addr(), group, from.Port()}
	h := e.all[key]
	if h == nil {
		if len(e.all) >= maxHeard {
			return
		}
		h = &Heard{Addr: from.Addr(), Group: group, Kind: Stranger, ID: "-", Local: e.local[from.Addr()]}
		e.all[key] = h
	}
	h.Packets++
	h.learn(now, b)
}

// learn takes in what a packet shows of its sender.
func (h *Heard) learn(now time.Time, b []byte) {
	p, err := wire.ParsePacket(b)
	if err != nil {
		return
	}
	h.ID = p.From.String()
	switch {
	case p.Keyed:
		h.Kind = Keyed
	case p.Kind == wire.KindEmpty:
		h.Kind = Old
	case h.Kind == Stranger:
		h.Kind = Plain
	}
	if p.Kind != wire.KindState {
		return
	}
	if st, err := p.State(nil); err == nil {
		h.Clock, h.Timed = time.Unix(0, st.Sent).Sub(now), true
	}
}

// lookMembership reads from /proc/net/igmp whether the kernel is a member of a group on an interface, and the version it speaks there.
func lookMembership(name string, group netip.Addr) (member bool, version string) {
	text, err := os.ReadFile("/proc/net/igmp")
	if err != nil {
		return false, ""
	}
	return parseMembership(string(text), name, group)
}

// parseMembership reads the kernel's table: a line for each interface that ends with the version, then an indented line for each group.
func parseMembership(table, name string, group netip.Addr) (member bool, version string) {
	a := group.As4()
	want := fmt.Sprintf("%08X", binary.NativeEndian.Uint32(a[:]))
	here := false
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		switch {
		case len(f) < 4:
		case line[0] != '\t':
			if here = f[1] == name; here {
				version = f[len(f)-1]
			}
		case here && f[0] == want:
			member = true
		}
	}
	return member, version
}

// hearQueries waits for an IGMP query on an interface, which takes the right to open a raw socket.
func hearQueries(ctx context.Context, name string) (q Queries) {
	const igmp, query = "ip4:igmp", 0x11
	c, err := net.ListenPacket(igmp, "0.0.0.0")
	if err != nil {
		q.Trouble = "listening for IGMP queries takes root"
		return q
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	p := ipv4.NewPacketConn(c)
	ifi := interfaceNamed(name)
	if ifi == nil || p.SetControlMessage(ipv4.FlagInterface, true) != nil {
		q.Trouble = "the interface of a query cannot be told"
		return q
	}
	b := make([]byte, 1500)
	for {
		n, cm, from, err := p.ReadFrom(b)
		if err != nil {
			return q
		}
		if addr, ok := from.(*net.IPAddr); ok && n > 0 && b[0] == query && cm != nil && cm.IfIndex == ifi.Index {
			if a, ok := netip.AddrFromSlice(addr.IP); ok {
				q.From = a.Unmap()
				return q
			}
		}
	}
}
